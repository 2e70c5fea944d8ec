package agent

import (
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hareconcile/hareconcile/internal/control"
	"github.com/hareconcile/hareconcile/internal/spec"
	"github.com/hareconcile/hareconcile/reconcile/resource"
)

// TestADrainFollowsItsPool has a pool renamed while one of its servers is being worked on.
func TestADrainFollowsItsPool(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		defer converged(t, w)()
		if _, err := w.Drain(t.Context(), control.DrainRequest{Server: "web/rs1"}); err != nil {
			t.Fatal(err)
		}
		after(time.Minute)
		r := lab("bbbbbbb", 2)
		r.Cluster.Pools[0].Name, r.Cluster.VirtualServers[0].Pool = "www", "www"
		r.Cluster.Moved = []spec.Moved{{From: "pool.web", To: "pool.www"}}
		w.origin.push(r)
		after(time.Minute)
		if got, d := w.weight(), w.Status().Drains; got != -1 || len(d) != 1 || d[0].Server != "www/rs1" {
			t.Fatalf("weight = %d with drains %+v, want www/rs1 to stay out", got, d)
		}
		if _, err := w.Drain(t.Context(), control.DrainRequest{Server: "www/rs1", Cancel: true}); err != nil || w.weight() != 2 {
			t.Errorf("undrain by its new name = %v with weight %d, want 2", err, w.weight())
		}
	})
}

// TestADrainIsOverInAllServices has rs1 in two services and in a third as sorry server.
func TestADrainIsOverInAllServices(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		defer converged(t, w)()
		r := lab("bbbbbbb", 2)
		vs := &r.Cluster.VirtualServers[0]
		second, third := vs.Services[0], vs.Services[0]
		second.Port, third.Port = 443, 8080
		vs.Services = append(vs.Services, second)
		dead := spec.Pool{Name: "dead", OnFail: "weight_zero", Checks: r.Cluster.Pools[0].Checks,
			Servers: []spec.Server{{Name: "rs3", Address: netip.MustParseAddr("172.25.254.130"), Port: 80, Weight: 1}}}
		r.Cluster.Pools = append(r.Cluster.Pools, dead)
		other := *vs
		other.Name, other.Services, other.Pool, other.Sorry = "other", []spec.Service{third}, "dead", "web"
		r.Cluster.VirtualServers = append(r.Cluster.VirtualServers, other)
		w.origin.push(r)
		after(time.Minute)
		at := func(port uint16) resource.ID {
			v := rs1
			v.Service.Address = netip.AddrPortFrom(labService.Address.Addr(), port)
			return v.ID()
		}
		w.host.mu.Lock()
		w.host.busy = map[resource.ID]int{at(80): 1, at(443): 2, at(8080): 4}
		w.host.mu.Unlock()
		if _, err := w.Drain(t.Context(), control.DrainRequest{Server: "web/rs1", Deadline: resource.Duration(time.Hour)}); err != nil {
			t.Fatal(err)
		}
		after(time.Minute)
		if d := w.Status().Drains; len(d) != 1 || d[0].Connections != 7 {
			t.Errorf("drains = %+v, want rs1 with 7 connections", d)
		}
		w.host.mu.Lock()
		w.host.busy = map[resource.ID]int{at(8080): 4}
		w.host.mu.Unlock()
		after(time.Minute)
		if d := w.Status().Drains; w.weight() != -1 || drainState(w) != "draining" || d[0].Connections != 4 {
			t.Errorf("drains = %+v with weight %d, want it to wait for the service that it stands in for", d, w.weight())
		}
	})
}
