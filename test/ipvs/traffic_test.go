package ipvs

import (
	"fmt"
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/hareconcile/hareconcile/internal/nstest"
	"github.com/hareconcile/hareconcile/internal/spec"
)

// TestIPVS runs everything that needs the kernel's IPVS.
func TestIPVS(t *testing.T) {
	if nstest.UML(t) {
		return
	}
	t.Run("keepalived makes the same table", sameTable)
	t.Run("a real server with tunnels is silent", func(t *testing.T) { walk(t, 30, "dr", "tunnel") })
	nstest.Need(t, "fou")
	w := newWorld(t)
	for _, s := range paths {
		t.Run(s.String(), func(t *testing.T) { w.path(t, s) })
	}
	for _, s := range stories {
		t.Run(s.name, func(t *testing.T) {
			s.f(t, w)
			w.clear(t)
		})
	}
}

// A path is one way from a client to a server.
type path struct {
	forward string
	tunnel  spec.Tunnel
	inner   int // family of clients
	outer   int // family of servers
}

func (p path) String() string {
	s := p.forward
	if p.tunnel.Type != "" {
		s += " " + p.tunnel.Type
	}
	if p.tunnel.Checksum != "" {
		s += " " + p.tunnel.Checksum
	}
	s += fmt.Sprintf(" ipv%d", p.inner)
	if p.inner != p.outer {
		s += fmt.Sprintf(" to ipv%d", p.outer)
	}
	return s
}

var (
	ipip = spec.Tunnel{Type: "ipip"}
	gre  = spec.Tunnel{Type: "gre"}
	gue  = spec.Tunnel{Type: "gue", Port: 5555}
)

var paths = []path{
	{"nat", spec.Tunnel{}, 4, 4}, {"nat", spec.Tunnel{}, 6, 6},
	{"dr", spec.Tunnel{}, 4, 4}, {"dr", spec.Tunnel{}, 6, 6},
	{"tunnel", ipip, 4, 4}, {"tunnel", ipip, 6, 6}, {"tunnel", ipip, 4, 6}, {"tunnel", ipip, 6, 4},
	{"tunnel", gre, 4, 4}, {"tunnel", gre, 6, 6}, {"tunnel", gre, 4, 6}, {"tunnel", gre, 6, 4},
	{"tunnel", gue, 4, 4}, {"tunnel", gue, 6, 6}, {"tunnel", gue, 4, 6}, {"tunnel", gue, 6, 4},
	{"tunnel", spec.Tunnel{Type: "gre", Checksum: "csum"}, 4, 4},
	{"tunnel", spec.Tunnel{Type: "gue", Port: 5555, Checksum: "csum"}, 4, 4},
	{"tunnel", spec.Tunnel{Type: "gue", Port: 5555, Checksum: "remcsum"}, 4, 4},
}

// servers returns the two servers with weights 2 and 1.
func servers(forward string, family int) []spec.Server {
	names := []string{"rs1", "rs2"}
	if forward == "nat" {
		names = []string{"nat1", "nat2"}
	}
	var out []spec.Server
	for i, name := range names {
		out = append(out, spec.Server{Name: name, Address: addressesOf(name)[family], Port: 80, Weight: 2 - i})
	}
	return out
}

// path sends connections and datagrams one after the other: wrr gives each server exactly
// its share of them.
func (w *world) path(t *testing.T, p path) {
	vip := vips[p.inner]
	ss := servers(p.forward, p.outer)
	w.apply(t, cluster(ss, spec.VirtualServer{
		Name: "web", Scheduler: "wrr", Forward: p.forward, Tunnel: p.tunnel,
		Services: []spec.Service{{Protocol: "tcp", Address: vip, Port: 80}, {Protocol: "udp", Address: vip, Port: 80}},
	}), nil)
	if p.tunnel.Type == "gre" && p.tunnel.Checksum != "" {
		w.checksummed(t)
	}
	want := map[string]int{ss[0].Name: 10, ss[1].Name: 5}
	for _, network := range []string{"tcp", "udp"} {
		got := w.ask(t, network, netip.Addr{}, netip.AddrPortFrom(vip, 80), 15)
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("%s answers (-want +got):\n%s", network, d)
		}
	}
	w.clear(t)
}

// checksummed gives the real servers devices that take gre with checksums: the fallback device
// takes none (ip_tunnel_rcv), so such servers cannot be left to the cluster file.
func (w *world) checksummed(t *testing.T) {
	for _, name := range []string{"rs1", "rs2"} {
		ns := w.hosts[name].ns
		configure(t, ns,
			"link add gre1 type gre local "+addressesOf(name)[4].String()+" remote "+addressesOf("lb1")[4].String()+" icsum",
			"link set gre1 up",
			"addr add 198.51.100.1/32 dev gre1") // rp_filter passes nothing without an address
		ns.Run("sysctl", "-qw", "net.ipv4.conf.gre1.rp_filter=2")
		t.Cleanup(func() { ns.Run("ip", "link", "del", "gre1") })
	}
}
