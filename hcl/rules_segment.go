package hcl

import (
	"cmp"
	"net/netip"
	"slices"

	"github.com/hareconcile/hareconcile/internal/spec"
)

// takenRules refuses an address that two instances have. Link-local addresses are each
// link's own: there, they have to be on one device of a node.
func (v *view) takenRules() {
	type place struct {
		addr   netip.Addr
		device string
	}
	holder := map[place]spec.VRRPInstance{}
	for _, i := range v.cluster.Instances {
		for _, a := range v.vips[i.Name] {
			at := place{addr: a.Prefix.Addr()}
			if at.addr.IsLinkLocalUnicast() {
				at.device = cmp.Or(a.Device, i.Interface)
			}
			other, taken := holder[at]
			if taken && other.Name != i.Name && (at.device == "" || common(i, other)) {
				a.in.fail(a.attr, "The address is taken", "%s has %s, too.", other.Origin.Address, at.addr)
			}
			holder[at] = i
		}
	}
}

// common reports whether a node takes part in both.
func common(i, o spec.VRRPInstance) bool {
	for name := range i.Priority {
		if _, both := o.Priority[name]; both {
			return true
		}
	}
	return false
}

// vridRules refuses two instances of one VRID and family that are certainly on one segment:
// they have an interface of a node in common, or a network.
func (v *view) vridRules() {
	type place struct {
		vrid         uint8
		v6           bool
		node, device string
	}
	first := map[place]int{}
	reported := map[int]bool{}
	list := v.cluster.Instances
	taken := func(k, earlier int) {
		if !reported[k] {
			reported[k] = true
			v.fail(list[k].Origin, "virtual_router_id", "The VRID is taken", "%s is on the same segment with %d. Two routers of one VRID shut each other out.", list[earlier].Origin.Address, list[k].VRID)
		}
	}
	for k, i := range list {
		for _, name := range i.Members() {
			at := place{i.VRID, i.IPv6(), name, i.Interface}
			if earlier, ok := first[at]; ok {
				taken(k, earlier)
			} else {
				first[at] = k
			}
		}
	}
	sharedNetworks(list, taken)
}

// A network is a prefix of an instance's addresses, which is known by its place in the list.
type network struct {
	vrid uint8
	netip.Prefix
	instance int
}

// sharedNetworks calls taken for instances of one VRID with overlapping networks. Sorted, a
// network follows those that hold it.
func sharedNetworks(list []spec.VRRPInstance, taken func(later, earlier int)) {
	var all []network
	for k, i := range list {
		for _, a := range i.Addresses {
			if !a.Prefix.Addr().IsLinkLocalUnicast() { // the same on every link
				all = append(all, network{i.VRID, a.Prefix.Masked(), k})
			}
		}
	}
	slices.SortFunc(all, func(a, b network) int {
		return cmp.Or(cmp.Compare(a.vrid, b.vrid), a.Addr().Compare(b.Addr()), cmp.Compare(a.Bits(), b.Bits()), cmp.Compare(a.instance, b.instance))
	})
	var holds []network // each in the one before
	for _, n := range all {
		for len(holds) > 0 && (holds[len(holds)-1].vrid != n.vrid || !holds[len(holds)-1].Overlaps(n.Prefix)) {
			holds = holds[:len(holds)-1]
		}
		if k := slices.IndexFunc(holds, func(h network) bool { return h.instance != n.instance }); k >= 0 {
			taken(max(n.instance, holds[k].instance), min(n.instance, holds[k].instance))
		} else if len(holds) == 0 || holds[len(holds)-1] != n {
			holds = append(holds, n)
		}
	}
}
