package reconcile_test

import (
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/hareconcile/hareconcile/internal/spec"
	"github.com/hareconcile/hareconcile/reconcile"
	"github.com/hareconcile/hareconcile/reconcile/resource"
)

// TestAHAProxyIsOnItsNodes wants the file, the servers, the map and the sysctl on the nodes
// that are named, and nothing on the others.
func TestAHAProxyIsOnItsNodes(t *testing.T) {
	a := netip.MustParseAddr
	c := &spec.Cluster{
		Name:  "edge",
		Nodes: []spec.Node{{Name: "ka1", Address: a("192.0.2.10")}, {Name: "rs1", Address: a("192.0.2.110")}},
		HAProxies: []spec.HAProxy{{
			Name: "edge", Nodes: []string{"ka1"}, ConfigDir: "/etc/haproxy/h.d", RuntimeSocket: "/run/h.sock", MasterSocket: "/run/m.sock",
			Frontends: []spec.HAProxyFrontend{{Name: "web", DefaultBackend: "app", Binds: []spec.HAProxyBind{
				{Name: "http", Address: a("192.0.2.100"), Port: 80, Nonlocal: "sysctl"},
				{Name: "six", Address: a("2001:db8::100"), Port: 80, Nonlocal: "transparent"},
			}}},
			Backends: []spec.HAProxyBackend{{Name: "app", Servers: []spec.HAProxyEntry{
				{Name: "rs1", Address: a("192.0.2.110"), Port: 8080, Weight: 10, Admin: "ready", MaxConn: 5},
				{Name: "rs2", Address: a("192.0.2.120"), Port: 8080, Weight: 0, Admin: "drain"},
			}}},
			Maps: []spec.HAProxyMap{{Path: "/etc/haproxy/hosts.map", Entries: []spec.HAProxyMapRecord{{Key: "a", Value: "b"}, {Key: "c", Value: "d"}}}},
		}},
	}
	got, err := reconcile.Desired(c, "ka1", nil)
	if err != nil {
		t.Fatal(err)
	}
	file := resource.ID{Kind: resource.KindHAProxyFile, Name: "/etc/haproxy/h.d/50-hareconcile.cfg"}
	// The definition says whether a file of somebody else is taken over; nothing else is.
	for _, adopt := range []bool{false, true} {
		c.HAProxies[0].Adopt = adopt
		t2, err := reconcile.Desired(c, "ka1", nil)
		if err != nil {
			t.Fatal(err)
		}
		for id := range t2.Set {
			if t2.Adopt[id] != (adopt && id == file) {
				t.Errorf("adopt = %v: Adopt[%s] = %v", adopt, id, t2.Adopt[id])
			}
		}
		foreign := reconcile.Live{Owned: resource.Set{}, Foreign: resource.Set{file: resource.HAProxyFile{Path: file.Name, Text: "mine\n"}}}
		p := reconcile.Diff(foreign, t2)
		if inTheWay := len(p.Conflicts) == 1 && p.Conflicts[0].ID == file; inTheWay == adopt {
			t.Errorf("adopt = %v: conflicts = %+v", adopt, p.Conflicts)
		}
	}
	c.HAProxies[0].Adopt = false
	f, ok := got.Set[file].(resource.HAProxyFile)
	if !ok || f.Text == "" || f.Structure == "" {
		t.Errorf("the file is %+v", got.Set[file])
	}
	delete(got.Set, file)
	server := func(name, address string, weight int, admin string, most int) resource.HAProxyServer {
		return resource.HAProxyServer{Socket: "/run/h.sock", Backend: "app", Name: name, Address: netip.MustParseAddrPort(address), Weight: weight, Admin: admin, MaxConn: most}
	}
	want := resource.Set{}
	for _, v := range []interface{ ID() resource.ID }{
		server("rs1", "192.0.2.110:8080", 10, "ready", 5), server("rs2", "192.0.2.120:8080", 0, "drain", 0),
		resource.HAProxyMap{Socket: "/run/h.sock", Path: "/etc/haproxy/hosts.map", Text: "a b\nc d\n"},
		resource.Sysctl{Key: "net/ipv4/ip_nonlocal_bind", Value: "1"},
	} {
		want[v.ID()] = v
	}
	if diff := cmp.Diff(want, got.Set, cmp.Comparer(func(a, b netip.AddrPort) bool { return a == b })); diff != "" {
		t.Errorf("ka1 (-want +got):\n%s", diff)
	}
	if got, err := reconcile.Desired(c, "rs1", nil); err != nil || len(got.Set) != 0 {
		t.Errorf("rs1 has %v, %v, want nothing", got.Set, err)
	}
}
