package reconcile

import (
	"cmp"
	"net/netip"

	"github.com/hareconcile/hareconcile/internal/spec"
	"github.com/hareconcile/hareconcile/reconcile/resource"
)

// realServer makes this node accept packets for the addresses of vs, if it is one of its
// servers and gets them as the client sent them.
func (b *builder) realServer(vs spec.VirtualServer, i spec.VRRPInstance, pool spec.Pool) {
	sorry := b.pools[vs.Sorry]
	for _, p := range []spec.Pool{pool, sorry} {
		for _, s := range p.Servers {
			if s.Address != b.node.Address {
				continue
			}
			switch resource.Forward(cmp.Or(s.Forward, vs.Forward)) {
			case resource.ForwardDR:
				b.virtualAddresses(vs, i, "lo")
			case resource.ForwardTunnel:
				b.unwrap(vs, s)
				b.virtualAddresses(vs, i, tunnelDevice(tunnel(vs, s).Type, s.Address.Is6(), false))
			}
		}
	}
}

// arpSysctls keep a real server silent about an address on lo: it answers ARP only for
// addresses of the interface asked (arp_ignore 1) and announces only those (arp_announce 2).
// Source: Documentation/networking/ip-sysctl.rst; all and lo are both set because the
// kernel takes the larger of "all" and the interface's own value.
var arpSysctls = []resource.Sysctl{
	{Key: "net/ipv4/conf/all/arp_ignore", Value: "1"},
	{Key: "net/ipv4/conf/all/arp_announce", Value: "2"},
	{Key: "net/ipv4/conf/lo/arp_ignore", Value: "1"},
	{Key: "net/ipv4/conf/lo/arp_announce", Value: "2"},
}

// virtualAddresses puts the addresses of vs on lo, and those of IPv4 on dev4. Neighbour
// discovery does not speak of addresses on other interfaces, so that IPv6 needs no sysctl.
func (b *builder) virtualAddresses(vs spec.VirtualServer, i spec.VRRPInstance, dev4 string) {
	for _, s := range vs.Services {
		if s.Mark == 0 {
			b.virtualAddress(vs, s.Address, dev4)
			continue
		}
		for _, a := range i.All() { // what the firewall marks is for one of these
			if addr := a.Prefix.Addr(); addr.Is6() == s.IPv6 {
				b.virtualAddress(vs, addr, dev4)
			}
		}
	}
}

func (b *builder) virtualAddress(vs spec.VirtualServer, addr netip.Addr, dev4 string) {
	dev := "lo"
	if addr.Is4() {
		dev = dev4
		for _, s := range arpSysctls {
			b.add(s, vs.Origin)
		}
	}
	id := b.add(resource.Address{Prefix: netip.PrefixFrom(addr, addr.BitLen()), Device: dev}, vs.Origin)
	b.t.Adopt[id] = vs.Adopt
}

// unwrap adds the devices on which packets for s come out of their tunnel.
func (b *builder) unwrap(vs spec.VirtualServer, s spec.Server) {
	t := tunnel(vs, s)
	for _, inner := range vs.Services {
		v := resource.Tunnel{Device: tunnelDevice(t.Type, s.Address.Is6(), Key(inner).IPv6()), Type: cmp.Or(t.Type, "ipip"), Port: t.Port}
		b.add(v, vs.Origin)
		if !Key(inner).IPv6() {
			// Packets on the tunnel come from addresses that are reached by another interface.
			// The kernel takes the larger of "all" and the interface's own value: 2, loose, is
			// the one that holds whatever "all" is. It passes nothing on an interface without an
			// address (__fib_validate_source), so the virtual address is there and not on lo.
			b.add(resource.Sysctl{Key: "net/ipv4/conf/" + v.Device + "/rp_filter", Value: "2"}, vs.Origin)
		}
	}
}

// tunnelDevice returns the kernel's fallback device for packets of one family in packets of
// another. What gue unwraps goes on as ipip.
func tunnelDevice(kind string, outer6, inner6 bool) string {
	switch {
	case kind == "gre" && outer6:
		return "ip6gre0"
	case kind == "gre":
		return "gre0"
	case outer6:
		return "ip6tnl0"
	case inner6:
		return "sit0"
	}
	return "tunl0"
}
