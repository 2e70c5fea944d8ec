package agent

import (
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hareconcile/hareconcile/internal/control"
	"github.com/hareconcile/hareconcile/internal/revision"
	"github.com/hareconcile/hareconcile/internal/spec"
	"github.com/hareconcile/hareconcile/reconcile"
	"github.com/hareconcile/hareconcile/reconcile/resource"
)

func TestRenamedPoolKeepsItsVerdicts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		defer converged(t, w)()
		before := w.host.applies
		r := lab("bbbbbbb", 2)
		r.Cluster.Pools[0].Name = "www"
		r.Cluster.VirtualServers[0].Pool = "www"
		r.Cluster.Moved = []spec.Moved{{From: "pool.web", To: "pool.www"}}
		w.origin.push(r)
		after(time.Minute)
		if w.host.applies != before || w.weight() != 2 {
			t.Errorf("changes = %d, weight = %d; want none and 2", w.host.applies-before, w.weight())
		}
	})
}

func TestADrainGoesWithARenamedPool(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		stop := converged(t, w)
		if _, err := w.Drain(t.Context(), control.DrainRequest{Server: "web/rs1"}); err != nil {
			t.Fatal(err)
		}
		renamed := func(commit string, moved ...spec.Moved) *revision.Revision {
			r := lab(commit, 2)
			r.Cluster.Pools[0].Name, r.Cluster.VirtualServers[0].Pool, r.Cluster.Moved = "www", "www", moved
			return r
		}
		rename := spec.Moved{From: "pool.web", To: "pool.www"}
		w.origin.push(renamed("bbbbbbb", rename))
		after(time.Minute)
		w.origin.push(renamed("ccccccc")) // nobody tells of the rename any more
		after(time.Minute)
		stop()
		w.Agent = New(w.config())
		defer w.start(t)()
		after(time.Minute)
		w.verdict("rs1", reconcile.Up)
		synctest.Wait()
		if d := w.Status().Drains; len(d) != 1 || d[0].Server != "www/rs1" || w.weight() > 0 {
			t.Fatalf("drains after a restart = %+v with weight %d, want www/rs1 out", d, w.weight())
		}
		if _, err := w.Drain(t.Context(), control.DrainRequest{Server: "www/rs1", Cancel: true}); err != nil {
			t.Fatal(err)
		}
		w.origin.push(renamed("ddddddd", rename))
		after(time.Minute)
		if d := w.Status().Drains; len(d) != 0 {
			t.Errorf("drains after undrain and another revision = %+v, want none", d)
		}
	})
}

func TestServerWithAnotherAddressWaitsForItsFirstVerdict(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		defer converged(t, w)()
		for i, name := range []string{"web", "www"} { // the second time the pool gets another name, too
			r := lab(strings.Repeat(string(rune('b'+i)), 7), 2)
			moved := netip.AddrFrom4([4]byte{172, 25, 254, byte(111 + i)})
			r.Cluster.Pools[0].Servers[0].Address = moved
			r.Cluster.Pools[0].Name, r.Cluster.VirtualServers[0].Pool = name, name
			r.Cluster.Moved = []spec.Moved{{From: "pool.web", To: "pool.www"}}
			w.origin.push(r)
			after(time.Minute)
			id := resource.IPVSServer{Service: labService, Address: netip.AddrPortFrom(moved, 80)}.ID()
			if s, ok := w.host.get(id).(resource.IPVSServer); !ok || s.Weight != 0 {
				t.Errorf("server at its new address = %+v, %v, want weight 0", s, ok)
			}
			w.verdict("rs1", reconcile.Up)
			synctest.Wait()
		}
	})
}
