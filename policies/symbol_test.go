package policies

import (
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/hareconcile/hareconcile/internal/spec"
)

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
