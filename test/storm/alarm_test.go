package storm

import (
	"fmt"
	"net/netip"
	"time"

	"github.com/hareconcile/hareconcile/internal/spec"
	"github.com/hareconcile/hareconcile/reconcile"
	"github.com/hareconcile/hareconcile/reconcile/resource"
)

// served turns the verdicts that were heard into the table of a director whose pool has all
// the servers and panics below half of them: how many have a weight, and the alarms.
func (s *storm) served() (n int, alarms []reconcile.Alarm) {
	s.t.Helper()
	vip := netip.MustParseAddr("192.0.2.100")
	pool := spec.Pool{Origin: spec.Origin{Address: "pool.web"}, Name: "web", Port: 80, OnFail: "remove", PanicPercent: 50, Checks: []spec.Check{tcp()}}
	facts := reconcile.Facts{Servers: map[reconcile.ServerRef]reconcile.Verdict{}}
	k := 0
	for _, v := range s.verdicts {
		server := spec.Server{Name: fmt.Sprint(k), Address: netip.AddrFrom4([4]byte{10, 0, byte(k >> 8), byte(k)}), Port: 80, Weight: 1}
		pool.Servers = append(pool.Servers, server)
		facts.Servers[reconcile.NewServerRef(pool.Name, server.Name)] = reconcile.Verdict(v)
		k++
	}
	t, err := reconcile.Desired(&spec.Cluster{
		Name: "storm", Nodes: []spec.Node{{Name: "ka1", Address: netip.MustParseAddr("192.0.2.10")}}, Pools: []spec.Pool{pool},
		Instances: []spec.VRRPInstance{{
			Name: "web", Interface: "eth0", VRID: 1, Version: 3, Interval: time.Second, Priority: map[string]uint8{"ka1": 100},
			Addresses: []spec.VirtualAddress{{Prefix: netip.PrefixFrom(vip, 24)}},
		}},
		VirtualServers: []spec.VirtualServer{{
			Origin: spec.Origin{Address: "virtual_server.http"}, Name: "http", On: "web", Scheduler: "wrr", Forward: "dr", Pool: "web",
			Services: []spec.Service{{Protocol: "tcp", Address: vip, Port: 80}},
		}},
	}, "ka1", &facts)
	if err != nil {
		s.t.Fatal(err)
	}
	for _, v := range t.Set {
		if r, ok := v.(resource.IPVSServer); ok && r.Weight > 0 {
			n++
		}
	}
	return n, t.Alarms
}

// keepsServing checks that the verdicts leave servers in the table, with an alarm where it
// is one, and none where it is not.
func (s *storm) keepsServing(want int, alarm bool) {
	s.t.Helper()
	n, alarms := s.served()
	raised := false
	for _, a := range alarms {
		raised = raised || a.Kind == "panic"
	}
	if n != want || raised != alarm {
		s.t.Errorf("%d servers are served with alarms %v, want %d and an alarm: %t", n, alarms, want, alarm)
	}
}
