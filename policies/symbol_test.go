package policies

import (
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/hareconcile/hareconcile/internal/spec"
	"github.com/hareconcile/hareconcile/reconcile"
	"github.com/hareconcile/hareconcile/reconcile/resource"
)

func TestOnlyWhatAPolicyIsAboutIsDescribed(t *testing.T) {
	s := Shipped()
	address := netip.MustParseAddrPort("192.0.2.100:80")
	in := Input{Node: "ka1", Next: &spec.Cluster{}, Plan: reconcile.Plan{Changes: []reconcile.Change{
		{Action: reconcile.Create, ID: resource.ID{Kind: resource.KindIPVSServer, Name: "a"}, After: resource.IPVSServer{Address: address}},
		{Action: reconcile.Create, ID: resource.ID{Kind: resource.KindVRRPInstance, Name: "b"}, After: resource.VRRPInstance{}},
	}}}
	all, err := subjectsOf(in)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range s.policies {
		s.judge(p, all)
	}
	got := map[string]bool{}
	for _, sub := range all {
		got[sub.kind] = sub.symbols != nil
	}
	want := map[string]bool{"": true, string(resource.KindIPVSServer): false, string(resource.KindVRRPInstance): true}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("described (-want +got):\n%s", d)
	}
}

func TestServersWithoutAPortHaveThatOfTheService(t *testing.T) {
	vip := netip.MustParseAddr("192.0.2.100")
	got := virtuals(&spec.Cluster{
		Pools: []spec.Pool{{Name: "web", Servers: []spec.Server{
			{Name: "a", Address: netip.MustParseAddr("192.0.2.110"), Weight: 1},
			{Name: "b", Address: netip.MustParseAddr("192.0.2.120"), Port: 8080, Weight: 2},
		}}},
		VirtualServers: []spec.VirtualServer{{Pool: "web", Services: []spec.Service{{Protocol: "tcp", Address: vip, Port: 80}, {Protocol: "tcp", Address: vip, Port: 81}}}},
	})
	var services []virtual
	for _, v := range got {
		services = append(services, v.virtual)
	}
	want := []virtual{
		{Service: "tcp 192.0.2.100:80", Pool: "web", Servers: []server{{"a", "192.0.2.110:80", 1}, {"b", "192.0.2.120:8080", 2}}},
		{Service: "tcp 192.0.2.100:81", Pool: "web", Servers: []server{{"a", "192.0.2.110:81", 1}, {"b", "192.0.2.120:8080", 2}}},
	}
	if d := cmp.Diff(want, services); d != "" {
		t.Errorf("virtual servers (-want +got):\n%s", d)
	}
}
