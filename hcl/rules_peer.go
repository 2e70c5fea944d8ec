package hcl

import (
	"encoding/binary"
	"maps"
	"net/netip"
	"slices"

	"github.com/hareconcile/hareconcile/internal/spec"
)

// maxPeers bounds the routers beside the members.
const maxPeers = 256

// members checks that priorities and sources name nodes, each with an address of its own.
func (v *view) members(i spec.VRRPInstance) {
	names := v.nodeNames()
	for _, name := range slices.Sorted(maps.Keys(i.Priority)) {
		if !slices.Contains(names, name) {
			v.fail(i.Origin, "priority", "There is no such node", "priority names %q, which is no node of the cluster.%s", name, DidYouMean(name, names))
		}
	}
	if len(i.Priority) == 0 {
		v.fail(i.Origin, "priority", "The instance has no member", "Write priority = { NODE = 150, NODE = 100 }.")
	}
	members := i.Members()
	for _, name := range slices.Sorted(maps.Keys(i.Source)) {
		if _, ok := i.Priority[name]; !ok {
			v.fail(i.Origin, "source", "The source is no member's", "source names %q, which has no priority.%s", name, DidYouMean(name, members))
		}
		if a := i.Source[name]; a.Is6() != i.IPv6() && len(i.Addresses) > 0 {
			v.fail(i.Origin, "source", "source is of the other family", "%s of %s cannot send adverts for %s.", a, name, i.Addresses[0].Prefix.Addr())
		} else if a.IsLoopback() {
			v.fail(i.Origin, "source", "source cannot be that", "%s of %s is a loopback address, from which no advert reaches another host.", a, name)
		}
	}
	v.linkLocal(i)
	sources := map[netip.Addr]string{}
	for _, name := range members {
		n, _ := v.cluster.NodeByName(name)
		a := i.SourceOf(n)
		if other, dup := sources[a]; dup && a.IsValid() {
			v.fail(i.Origin, "source", "Two members have one source", "%s and %s would both send from %s.", other, name, a)
		}
		sources[a] = name
	}
}

// linkLocal warns of sources from which multicast over IPv6 is not sent by the book.
func (v *view) linkLocal(i spec.VRRPInstance) {
	if !i.IPv6() || i.Unicast {
		return
	}
	for _, name := range slices.Sorted(maps.Keys(i.Source)) {
		if a := i.Source[name]; a.Is6() && !a.IsLinkLocalUnicast() {
			v.warn(i.Origin, "source", "The source is not link-local", "Multicast over IPv6 comes from link-local addresses (RFC 9568, section 5.1.2.1), and %s of %s is none: other routers may not listen to it.", a, name)
			return
		}
	}
}

// peerRules checks that every member knows whom to hear, and how to reach them.
func (v *view) peerRules(i spec.VRRPInstance) {
	known := map[netip.Addr]string{}
	var missing []string
	for _, name := range i.Members() {
		n, ok := v.cluster.NodeByName(name)
		if a := i.SourceOf(n); a.IsValid() {
			known[a] = name
		} else if ok {
			missing = append(missing, name)
		}
	}
	switch {
	case len(missing) == 0 || len(i.Addresses) == 0:
	case i.Unicast || !i.IPv6():
		n, _ := v.cluster.NodeByName(missing[0])
		v.fail(i.Origin, "source", "A member has no address here", "%s has %s, which is of the other family. Write source = { %s = \"ADDRESS\" }.", missing[0], n.Address, missing[0])
	case len(i.Source) > 0:
		v.fail(i.Origin, "source", "A member has no source", "source is for all members or none, and %s is not in it.", missing[0])
	case len(missing) > 1:
		v.warn(i.Origin, "source", "The peers are not known", "Over IPv6 multicast %s sends from the devices' link-local addresses, so adverts from anybody on the segment count. Write source = { %s = \"fe80::...\" } with the address of every member.", i.Origin.Address, missing[0])
	}
	v.otherRouters(i, known)
	if i.Unicast && len(i.Priority) < 2 && len(i.Peers) == 0 {
		v.fail(i.Origin, "unicast", "Unicast has no peer", "There is nobody to send adverts to. Write another member into priority, or peers = [\"ADDRESS\"].")
	}
}

// otherRouters checks the peers that are no members; known has the members' addresses.
func (v *view) otherRouters(i spec.VRRPInstance, known map[netip.Addr]string) {
	seen, moving := map[netip.Addr]bool{}, map[netip.Addr]bool{}
	for _, a := range i.All() {
		moving[a.Prefix.Addr()] = true
	}
	if len(i.Peers) > maxPeers {
		v.fail(i.Origin, "peers", "There are too many peers", "It is a list of %d; at most %d are supported.", len(i.Peers), maxPeers)
		return
	}
	for _, p := range i.Peers {
		name, member := known[p]
		switch {
		case member:
			v.fail(i.Origin, "peers", "The peer is a member", "%s is %s itself. Members know each other; peers are routers beside them.", p, name)
		case seen[p]:
			v.fail(i.Origin, "peers", "The peer is there twice", "%s is in the list more than once.", p)
		case p.Is6() != i.IPv6():
			v.fail(i.Origin, "peers", "The peer is of the other family", "%s cannot hear adverts for %s.", p, familyName(i))
		case p.IsLoopback():
			v.fail(i.Origin, "peers", "peers cannot be that", "%s is a loopback address, and a peer is another host.", p)
		case moving[p]:
			v.fail(i.Origin, "peers", "The peer is a virtual address", "%s moves from node to node. Write the address that the peer sends from.", p)
		}
		seen[p] = true
	}
}

func familyName(i spec.VRRPInstance) string {
	if i.IPv6() {
		return "IPv6"
	}
	return "IPv4"
}

// vipRules checks an instance's addresses, one by one and against the nodes' own.
func (v *view) vipRules(i spec.VRRPInstance) {
	fixed := map[netip.Addr]string{}
	for _, n := range v.cluster.Nodes {
		if i.Priority[n.Name] != owner {
			fixed[n.Address], fixed[i.SourceOf(n)] = n.Name, n.Name
		}
	}
	seen := map[netip.Addr]bool{}
	for _, a := range v.vips[i.Name] {
		addr := a.Prefix.Addr()
		switch {
		case seen[addr]:
			a.in.fail(a.attr, "The address is there twice", "%s is in the instance more than once.", addr)
		case notOfAHost(a.Prefix) != "":
			a.in.fail(a.attr, a.attr+" cannot be that", "%s is the %s address of %s and no host's. Write another one, or its full length.", addr, notOfAHost(a.Prefix), a.Prefix.Masked())
		case addr.IsLoopback():
			a.in.fail(a.attr, a.attr+" cannot be that", "%s is a loopback address.", addr)
		case a.Prefix.Bits() == 0:
			a.in.fail(a.attr, a.attr+" cannot be that", "A prefix of length 0 would take the default route.")
		case fixed[addr] != "":
			a.in.fail(a.attr, "The address is a node's own", "%s belongs to node %q and cannot move, unless that has priority 255.", addr, fixed[addr])
		}
		seen[addr] = true
	}
}

// notOfAHost says what else an IPv4 address is in its network (RFC 1122, section 3.2.1.3;
// RFC 3021): "network" or "broadcast".
func notOfAHost(p netip.Prefix) string {
	if !p.Addr().Is4() || p.Bits() >= 31 {
		return ""
	}
	host := binary.BigEndian.Uint32(p.Addr().AsSlice()) << p.Bits()
	switch host {
	case 0:
		return "network"
	case ^uint32(0) << p.Bits():
		return "broadcast"
	}
	return ""
}

// networkRules compares the advertised addresses with each other and with the members'.
func (v *view) networkRules(i spec.VRRPInstance) {
	first := i.Addresses[0].Prefix.Addr()
	for _, a := range v.vips[i.Name] {
		addr := a.Prefix.Addr()
		switch {
		case !a.advertised:
		case addr.Is6() != first.Is6():
			a.in.fail(a.attr, "Two families in one instance", "%s and %s cannot be in one advert. Write two instances, and a sync_group to keep them together; or excluded, which is not advertised.", first, addr)
			return
		case addr.Is6() && addr.IsLinkLocalUnicast() && !first.IsLinkLocalUnicast():
			a.in.fail(a.attr, "The link-local address is not the first", "Adverts begin with it: write %s before %s (RFC 9568, section 5.2.9).", addr, first)
			return
		}
		if !v.reached(i, a) {
			v.ev.report.add(Warning, a.in.attrRange(a.attr), "No member is in the address's network",
				a.Prefix.Masked().String()+" holds no member's address, so it may not be the segment's network. Where that is meant, write the address with its full length.")
		}
	}
}

// reached reports whether a member has an address in a's network, as far as that is known.
func (v *view) reached(i spec.VRRPInstance, a vip) bool {
	known := false
	for _, name := range i.Members() {
		n, _ := v.cluster.NodeByName(name)
		s := i.SourceOf(n)
		if !s.IsValid() || s.IsLinkLocalUnicast() || s.Is6() != a.Prefix.Addr().Is6() {
			continue
		}
		known = true
		if a.Prefix.Contains(s) {
			return true
		}
	}
	return !known || a.Prefix.IsSingleIP() || a.Device != ""
}
