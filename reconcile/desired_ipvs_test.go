package reconcile_test

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/hareconcile/hareconcile/internal/spec"
	"github.com/hareconcile/hareconcile/reconcile"
	"github.com/hareconcile/hareconcile/reconcile/resource"
)

var comparable = cmpopts.EquateComparable(netip.Addr{}, netip.AddrPort{}, netip.Prefix{})

// names returns the IDs of some kinds in the target, sorted.
func names(d reconcile.Target, kinds ...resource.Kind) []string {
	var out []string
	for id := range d.Set {
		if slices.Contains(kinds, id.Kind) {
			out = append(out, id.String())
		}
	}
	slices.Sort(out)
	return out
}

func TestEveryServiceOfAVirtualServer(t *testing.T) {
	c := lvsDR()
	vs := &c.VirtualServers[0]
	vs.Services = []spec.Service{
		{Protocol: "tcp", Address: netip.MustParseAddr("172.25.254.100"), Port: 80},
		{Protocol: "udp", Address: netip.MustParseAddr("172.25.254.100"), Port: 80},
		{Mark: 7}, {Mark: 7, IPv6: true},
	}
	vs.Flags, vs.OnePacket = []string{"sh-port"}, true
	vs.Persistence = spec.Persistence{Timeout: time.Minute, Bits: 24, Engine: "sip"}
	d := desired(t, c, "ka1", facts(reconcile.Up, reconcile.Up))
	want := []string{
		"ipvs_service/mark 7 ipv4", "ipvs_service/mark 7 ipv6", "ipvs_service/tcp 172.25.254.100:80", "ipvs_service/udp 172.25.254.100:80",
	}
	if diff := cmp.Diff(want, names(d, resource.KindIPVSService)); diff != "" {
		t.Errorf("services (-want +got):\n%s", diff)
	}
	if got := len(names(d, resource.KindIPVSServer)); got != 8 {
		t.Errorf("there are %d servers, want 2 for each service", got)
	}
	got := d.Set[resource.ID{Kind: resource.KindIPVSService, Name: "mark 7 ipv6"}]
	if diff := cmp.Diff(any(resource.IPVSService{
		ServiceKey: resource.ServiceKey{Mark: 7, Family: resource.IPv6}, Scheduler: "wrr", Flags: "sh-port", OnePacket: true,
		Persistence: resource.Duration(time.Minute), PersistenceBits: 24, PersistenceEngine: "sip",
	}), got, comparable); diff != "" {
		t.Errorf("service (-want +got):\n%s", diff)
	}
}

func TestServersWithoutPortHaveTheServices(t *testing.T) {
	c := lvsDR()
	c.VirtualServers[0].Services = []spec.Service{
		{Protocol: "tcp", Address: netip.MustParseAddr("172.25.254.100"), Port: 8001},
		{Protocol: "tcp", Address: netip.MustParseAddr("172.25.254.100"), Port: 8002},
	}
	c.Pools[0].Servers = c.Pools[0].Servers[:1]
	c.Pools[0].Servers[0].Port = 0
	c.VirtualServers[0].Sorry = ""
	want := []string{
		"ipvs_server/tcp 172.25.254.100:8001 -> 172.25.254.110:8001",
		"ipvs_server/tcp 172.25.254.100:8002 -> 172.25.254.110:8002",
	}
	d := desired(t, c, "ka1", facts(reconcile.Up, reconcile.Up))
	if diff := cmp.Diff(want, names(d, resource.KindIPVSServer)); diff != "" {
		t.Errorf("servers (-want +got):\n%s", diff)
	}
	if got := reconcile.SeedVerdicts(c, d.Set)["web/rs1"]; got != reconcile.Up {
		t.Errorf("the table of an earlier agent says %q of rs1, want up", got)
	}
}

// TestWhatForwardingNeeds has the sysctls, devices and addresses of both ends.
func TestWhatForwardingNeeds(t *testing.T) {
	arp := []string{
		"sysctl/net/ipv4/conf/all/arp_announce", "sysctl/net/ipv4/conf/all/arp_ignore",
		"sysctl/net/ipv4/conf/lo/arp_announce", "sysctl/net/ipv4/conf/lo/arp_ignore",
	}
	const vip = "address/172.25.254.100"
	for _, c := range []struct {
		claim    string
		change   func(*spec.VirtualServer, []spec.Server)
		director []string
		real     []string
		server   string
	}{
		{"direct routing", func(*spec.VirtualServer, []spec.Server) {}, nil, append([]string{vip}, arp...), "dr"},
		{"NAT", func(vs *spec.VirtualServer, _ []spec.Server) { vs.Forward = "nat" }, []string{"sysctl/net/ipv4/ip_forward"}, nil, "nat"},
		{"ipip", func(vs *spec.VirtualServer, _ []spec.Server) { vs.Forward = "tunnel" }, nil,
			append(append([]string{vip}, arp...), "sysctl/net/ipv4/conf/tunl0/rp_filter", "tunnel/tunl0"), "tunnel"},
		{"gre with a checksum", func(vs *spec.VirtualServer, _ []spec.Server) {
			vs.Forward, vs.Tunnel = "tunnel", spec.Tunnel{Type: "gre", Checksum: "csum"}
		}, nil, append(append([]string{vip}, arp...), "sysctl/net/ipv4/conf/gre0/rp_filter", "tunnel/gre0"), "tunnel gre 0 csum"},
		{"gue of one server", func(_ *spec.VirtualServer, s []spec.Server) {
			s[0].Forward, s[0].Tunnel = "tunnel", spec.Tunnel{Type: "gue", Port: 5555, Checksum: "none"}
		}, nil, append(append([]string{vip}, arp...), "sysctl/net/ipv4/conf/tunl0/rp_filter", "tunnel/tunl0:5555"), "tunnel gue 5555"},
	} {
		t.Run(c.claim, func(t *testing.T) {
			cl := lvsDR()
			c.change(&cl.VirtualServers[0], cl.Pools[0].Servers)
			kinds := []resource.Kind{resource.KindAddress, resource.KindSysctl, resource.KindTunnel}
			director := desired(t, cl, "ka1", facts(reconcile.Up, reconcile.Up))
			if diff := cmp.Diff(c.director, names(director, kinds...)); diff != "" {
				t.Errorf("director (-want +got):\n%s", diff)
			}
			slices.Sort(c.real)
			real := desired(t, cl, "rs1", nil)
			if diff := cmp.Diff(c.real, names(real, kinds...)); diff != "" {
				t.Errorf("real server (-want +got):\n%s", diff)
			}
			s := director.Set[resource.ID{Kind: resource.KindIPVSServer, Name: "tcp 172.25.254.100:80 -> 172.25.254.110:80"}].(resource.IPVSServer)
			got := strings.TrimSpace(fmt.Sprintf("%s %s", s.Forward, strings.TrimSpace(fmt.Sprintf("%s %d %s", s.Tunnel, s.TunnelPort, s.TunnelChecksum))))
			if got = strings.TrimSuffix(got, " 0"); got != c.server {
				t.Errorf("server = %q, want %q", got, c.server)
			}
			a, ok := real.Set[resource.ID{Kind: resource.KindAddress, Name: "172.25.254.100"}].(resource.Address)
			if tunnelled := s.Forward == resource.ForwardTunnel; ok && tunnelled == (a.Device == "lo") {
				t.Errorf("the address is on %s, want it on lo unless packets come by a tunnel", a.Device)
			}
		})
	}
}

func TestIPv6RealServerNeedsNoSysctl(t *testing.T) {
	c := lvsDR()
	c.VirtualServers[0].Services[0].Address = netip.MustParseAddr("2001:db8::100")
	got := names(desired(t, c, "rs1", nil), resource.KindSysctl, resource.KindAddress)
	if diff := cmp.Diff([]string{"address/2001:db8::100"}, got); diff != "" {
		t.Errorf("real server (-want +got):\n%s", diff)
	}
}

func TestAMarkIsForTheInstancesAddresses(t *testing.T) {
	c := lvsDR()
	c.Instances[0].Excluded = []spec.VirtualAddress{{Prefix: netip.MustParsePrefix("2001:db8::100/64")}}
	c.VirtualServers[0].Services = []spec.Service{{Mark: 3}}
	got := names(desired(t, c, "rs1", nil), resource.KindAddress)
	if diff := cmp.Diff([]string{"address/172.25.254.100"}, got); diff != "" {
		t.Errorf("addresses (-want +got):\n%s", diff)
	}
}

// TestRolesDecide has a table for the master alone, and a daemon that follows the role.
func TestRolesDecide(t *testing.T) {
	c := lvsDR()
	c.VirtualServers[0].Program = "master"
	c.IPVS = &spec.IPVS{
		TCP: time.Hour, Sysctls: map[string]string{"expire_nodest_conn": "1"},
		Syncs: []spec.Sync{{Name: "web", On: "web", Interface: "eth0", ID: 100}},
	}
	kinds := []resource.Kind{resource.KindIPVSService, resource.KindIPVSServer, resource.KindIPVSSync, resource.KindIPVSTimeouts, resource.KindSysctl}
	table := []string{
		"ipvs_server/tcp 172.25.254.100:80 -> 172.25.254.110:80", "ipvs_server/tcp 172.25.254.100:80 -> 172.25.254.120:80",
		"ipvs_service/tcp 172.25.254.100:80",
	}
	beside := []string{"ipvs_timeouts/ipvs", "sysctl/net/ipv4/vs/expire_nodest_conn"}
	h := newHost()
	for _, step := range []struct {
		role string
		want []string
	}{
		{"", beside},
		{"BACKUP", append([]string{"ipvs_sync/backup"}, beside...)},
		{"", append([]string{"ipvs_sync/backup"}, beside...)},
		{"MASTER", append(append([]string{"ipvs_sync/master"}, table...), beside...)},
		{"", append(append([]string{"ipvs_sync/master"}, table...), beside...)},
		{"FAULT", append([]string{"ipvs_sync/backup"}, beside...)},
	} {
		f := facts(reconcile.Up, reconcile.Up)
		f.Roles = map[string]string{}
		if step.role != "" {
			f.Roles["eth0/100/ipv4"] = step.role
		}
		converge(t, h, desired(t, c, "ka1", f))
		slices.Sort(step.want)
		if diff := cmp.Diff(step.want, names(reconcile.Target{Set: h.owned}, kinds...)); diff != "" {
			t.Errorf("as %q (-want +got):\n%s", step.role, diff)
		}
	}
	if got := names(desired(t, c, "rs1", nil), kinds...); len(got) != 4 {
		t.Errorf("a real server has %v, want its arp sysctls only", got)
	}
}
