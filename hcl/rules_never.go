package hcl

import (
	"cmp"
	"net/netip"
	"slices"

	"github.com/hareconcile/hareconcile/internal/spec"
)

// neverRules refuses what is written well and can never come true.
func (v *view) neverRules(i spec.VRRPInstance) {
	if i.Interface == "lo" {
		v.fail(i.Origin, "interface", "interface cannot be that", "lo reaches no other host. Write the device of the segment; an address block with dev = \"lo\" puts an address there.")
	}
	moving := map[netip.Addr]bool{}
	for _, a := range v.vips[i.Name] {
		moving[a.Prefix.Addr()] = true
	}
	v.ownGates(i, moving)
	v.hopRules(i, moving)
	v.scopeRules(i)
}

// ownGates refuses gates that only a MASTER passes.
func (v *view) ownGates(i spec.VRRPInstance, moving map[netip.Addr]bool) {
	for _, g := range i.Gates {
		t, _ := v.cluster.Tracker(g)
		route := slices.ContainsFunc(i.Routes, func(r spec.VirtualRoute) bool { return r.Prefix == t.Route })
		if moving[t.Address] || route {
			_, what := t.Watches()
			v.fail(i.Origin, "gates", "The gate never opens", "tracker.%s waits for %s, which %s brings when it is MASTER, and it waits for that.", g, what, i.Origin.Address)
		}
	}
}

// scopeRules refuses scopes that exclude each other: the kernel keeps one for all addresses
// of a network on a device (net/ipv4/devinet.c, "Invalid scope value").
func (v *view) scopeRules(i spec.VRRPInstance) {
	type place struct {
		network netip.Prefix
		device  string
	}
	scopes := map[place]spec.VirtualAddress{}
	for _, a := range v.vips[i.Name] {
		at := place{a.Prefix.Masked(), a.Device}
		if !a.Prefix.Addr().Is4() || a.Prefix.IsSingleIP() {
			continue
		}
		if other, ok := scopes[at]; ok && other.Scope != a.Scope {
			a.in.fail("scope", "Two scopes in one network", "%s has %q and %s has %q. The kernel takes one for all addresses of %s on a device.",
				other.Prefix.Addr(), cmp.Or(other.Scope, "global"), a.Prefix.Addr(), cmp.Or(a.Scope, "global"), at.network)
			return
		}
		scopes[at] = a.VirtualAddress
	}
}

// hopRules refuses next hops that are the host itself.
func (v *view) hopRules(i spec.VRRPInstance, moving map[netip.Addr]bool) {
	blocks := v.at[i.Origin.Address].children("route")
	for k, r := range i.Routes {
		if moving[r.Via] {
			blocks[k].fail("via", "The next hop is the node itself", "%s is an address of %s: a MASTER would send to itself.", r.Via, i.Origin.Address)
		}
	}
}

// lonelySessions warns of BFD with a node that has no session with another one: both ends
// have to have a tracker.
func (v *view) lonelySessions() {
	toward := map[string]bool{} // the nodes that trackers look at, by any of their addresses
	for _, t := range v.cluster.Trackers {
		for _, n := range v.cluster.Nodes {
			toward[n.Name] = toward[n.Name] || t.BFD.IsValid() && n.Address == t.BFD
		}
		for _, i := range v.cluster.Instances {
			for name, a := range i.Source {
				toward[name] = toward[name] || a == t.BFD
			}
		}
	}
	for _, t := range v.cluster.Trackers {
		n, ok := v.cluster.NodeByAddress(t.BFD)
		if !ok || !t.BFD.IsValid() {
			continue
		}
		if !slices.ContainsFunc(v.cluster.Nodes, func(o spec.Node) bool { return o.Name != n.Name && toward[o.Name] }) {
			v.warn(t.Origin, "bfd", "The node has no session itself", "No tracker looks from %s at another node, so it answers to nobody. Both ends of a session are trackers: write one with bfd = \"NODE\" for the other end, and use it, too.", n.Name)
		}
	}
}
