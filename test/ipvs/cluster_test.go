// Package ipvs runs what a cluster file asks of directors and real servers, and sends
// clients' packets through it.
package ipvs

import (
	"net/netip"
	"testing"

	"github.com/hareconcile/hareconcile/internal/ledger"
	"github.com/hareconcile/hareconcile/internal/spec"
	"github.com/hareconcile/hareconcile/reconcile"
	"github.com/hareconcile/hareconcile/reconcile/kind/address"
	"github.com/hareconcile/hareconcile/reconcile/kind/ipvs"
	"github.com/hareconcile/hareconcile/reconcile/kind/sysctl"
	"github.com/hareconcile/hareconcile/reconcile/kind/tunnel"
	"github.com/hareconcile/hareconcile/reconcile/resource"
)

// handlers returns the handlers that are at work in this test's hosts: all but those that
// need vrrpd.
func handlers(t *testing.T) []reconcile.Handler {
	t.Helper()
	l, err := ledger.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return []reconcile.Handler{
		tunnel.New(l), sysctl.New("/proc/sys", l), address.New(address.WithLedger(l)), ipvs.NewServices(l), ipvs.NewServers(l),
	}
}

// target is what a node should be, without what vrrpd does: the tests give the director its
// addresses.
func target(t *testing.T, c *spec.Cluster, node string, f *reconcile.Facts) reconcile.Target {
	t.Helper()
	if f == nil {
		f = &reconcile.Facts{}
	}
	to, err := reconcile.Desired(c, node, f)
	if err != nil {
		t.Fatal(err)
	}
	for id := range to.Set {
		if id.Kind == resource.KindVRRPInstance || id.Kind == resource.KindVRRPTracker {
			delete(to.Set, id)
		}
	}
	return to
}

// cluster returns a cluster of the director lb1 and of real servers, which are nodes too.
func cluster(servers []spec.Server, vs ...spec.VirtualServer) *spec.Cluster {
	c := &spec.Cluster{
		Name:      "test",
		Nodes:     []spec.Node{{Name: "lb1", Address: netip.MustParseAddr("10.0.0.10")}},
		Instances: []spec.VRRPInstance{{Name: "web", Interface: "eth0", VRID: 51, Version: 3, Priority: map[string]uint8{"lb1": 100}}},
		Pools:     []spec.Pool{{Name: "web", OnFail: "weight_zero", Servers: servers}},
	}
	for _, s := range servers {
		c.Nodes = append(c.Nodes, spec.Node{Name: s.Name, Address: s.Address})
	}
	for _, v := range vs {
		v.On, v.Pool = "web", "web"
		c.VirtualServers = append(c.VirtualServers, v)
	}
	return c
}

// plan returns the plan to what node should be. It is called in the node's namespace.
func plan(t *testing.T, hs []reconcile.Handler, to reconcile.Target) reconcile.Plan {
	t.Helper()
	live, err := reconcile.Observe(t.Context(), hs)
	if err != nil {
		t.Fatal(err)
	}
	p := reconcile.Diff(live, to)
	if len(p.Conflicts) > 0 {
		t.Fatalf("conflicts: %+v", p.Conflicts)
	}
	return p
}
