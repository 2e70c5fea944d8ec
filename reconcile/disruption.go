package reconcile

import (
	"slices"

	"github.com/hareconcile/hareconcile/reconcile/resource"
)

// A Disruption is the worst that a change does to clients on the way.
type Disruption int

// The disruptions, from the least to the most.
const (
	// Undisturbed changes are made in place, beside what is there, or after a drain.
	Undisturbed Disruption = iota
	// ResetsConnections ends connections that were open.
	ResetsConnections
	// MovesAddresses takes a virtual address away from where it is.
	MovesAddresses
	// Lockstep changes have to be made on all members of a virtual router at the same time:
	// those that have them and those that do not discard each other's adverts.
	Lockstep
)

// String returns the word that a JSON plan uses.
func (d Disruption) String() string {
	return [...]string{"none", "connections", "vip", "lockstep"}[d]
}

// Disruption returns what c does to clients.
func (c Change) Disruption() Disruption {
	if c.Action == Adopt || c.Action == Create {
		return Undisturbed
	}
	switch before := c.Before.(type) {
	case resource.VRRPInstance:
		after, ok := c.After.(resource.VRRPInstance)
		if !ok {
			return MovesAddresses
		}
		return ofRouter(before, after)
	case resource.IPVSService, resource.Address:
		if c.Action == Delete {
			return ResetsConnections
		}
	}
	return Undisturbed
}

// intervalBound is by how many times an advert's interval may differ from ours without being
// taken for forged (internal/vrrp, the guard).
const intervalBound = 4

// ofRouter returns what a change of a virtual router in place does.
func ofRouter(a, b resource.VRRPInstance) Disruption {
	steps := []string{"", resource.AuthReceiveOnly, resource.AuthPermissive, resource.AuthEnforce}
	leap := slices.Index(steps, a.Auth) - slices.Index(steps, b.Auth)
	apart := max(a.Interval, b.Interval) > intervalBound*min(a.Interval, b.Interval)
	switch {
	case leap < -1 || leap > 1, a.Version != b.Version, a.Unicast != b.Unicast, a.Password != b.Password, a.Checksum != b.Checksum,
		a.Version == 2 && a.Interval != b.Interval, apart: // version 3 learns the master's (RFC 9568, section 6.1)
		return Lockstep
	case a.VirtualMAC != b.VirtualMAC, gone(a.Addresses, b.Addresses), gone(a.Excluded, b.Excluded):
		return MovesAddresses
	}
	return Undisturbed
}

// gone reports whether something of a is not in b.
func gone(a, b resource.List) bool {
	return slices.ContainsFunc(a.Items(), func(s string) bool { return !slices.Contains(b.Items(), s) })
}

// Disruption returns the worst of p's changes, and the virtual routers that move or have to be
// changed in lockstep, by the names of their IDs, sorted.
func (p Plan) Disruption() (worst Disruption, routers []string) {
	for _, c := range p.Changes {
		d := c.Disruption()
		worst = max(worst, d)
		if c.ID.Kind == resource.KindVRRPInstance && d >= MovesAddresses {
			routers = append(routers, c.ID.Name)
		}
		old, ok := c.Before.(resource.VRRPInstance)
		if ok && c.Action == Delete && p.replaces(old) {
			worst = Lockstep
		}
	}
	slices.Sort(routers)
	return worst, routers
}

// replaces reports whether p makes another virtual router with addresses of old, as it does
// where the identifier or the interface is another one.
func (p Plan) replaces(old resource.VRRPInstance) bool {
	return slices.ContainsFunc(p.Changes, func(c Change) bool {
		v, ok := c.After.(resource.VRRPInstance)
		return ok && c.Action == Create && slices.ContainsFunc(v.Addresses.Items(), func(s string) bool { return slices.Contains(old.Addresses.Items(), s) })
	})
}
