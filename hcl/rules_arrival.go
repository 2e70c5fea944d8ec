package hcl

import (
	"cmp"
	"net/netip"

	"github.com/hareconcile/hareconcile/internal/spec"
)

// An arrival is a virtual address on a real server that is a node of the cluster.
type arrival struct{ node, address netip.Addr }

// A way is how packets for an arrival come, and the virtual server that says so.
type way struct {
	device string
	by     string
}

// arrives checks what a node needs to take packets as a real server. The cluster file says
// it, so it can be told what cannot work.
func (t *table) arrives(s *spec.VirtualServer, r *spec.Server, forward, attr string) {
	if _, ok := t.nodes[r.Address]; !ok || forward == "nat" {
		return
	}
	device := "lo"
	if forward == "tunnel" {
		tunnel := cmp.Or(r.Tunnel, s.Tunnel)
		device = cmp.Or(tunnel.Type, "ipip")
		if device == "gre" && cmp.Or(tunnel.Checksum, "none") != "none" {
			t.v.fail(s.Origin, attr, "A node takes no gre with checksums", "Server %q is a node of the cluster, whose device for gre drops packets with checksums (ip_tunnel.c, ip_tunnel_rcv). Leave checksum out, or use gue.", r.Name)
			return
		}
		if device == "gue" {
			device = "ipip" // what is unwrapped goes on as that
		}
	}
	for _, service := range s.Services {
		if service.Mark != 0 || service.Address.Is6() {
			continue // IPv6 addresses are on lo in any case
		}
		at := arrival{r.Address, service.Address}
		other, known := t.ways[at]
		if known && other.device != device {
			t.v.fail(s.Origin, attr, "The address would be on two devices", "Server %q gets packets to %s in another way from %s. The address can be on lo, for direct routing, or on one tunnel's device.", r.Name, service.Address, other.by)
			return
		}
		t.ways[at] = way{device, s.Origin.Address}
	}
}
