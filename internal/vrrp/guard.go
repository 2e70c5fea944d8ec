package vrrp

import (
	"net/netip"
	"slices"
	"time"
)

// A Guard knows what one virtual router may hear. One forged packet takes a pair that
// believes everybody off the air for minutes (interval 4095), so strangers and intervals
// out of bounds have no effect.
type Guard struct {
	Self      netip.Addr
	Peers     []netip.Addr
	Interval  time.Duration // our own
	Addresses []netip.Addr
}

// boundsFactor is how far a peer's interval may be from ours, either way.
const boundsFactor = 4

// Admit says whether an advert from that address may have an effect.
func (g *Guard) Admit(a *Advert, from netip.Addr) Reject {
	switch {
	case from == g.Self:
		return RejectOwn
	case !slices.Contains(g.Peers, from):
		return RejectStranger
	case a.Interval < g.Interval/boundsFactor || a.Interval > g.Interval*boundsFactor:
		return RejectBounds
	}
	return Admitted
}

// SameAddresses reports whether a lists the addresses that we serve, in whatever order.
// A difference is counted; it has no effect on the election (RFC 9568, section 7.1).
func (g *Guard) SameAddresses(a *Advert) bool {
	if len(a.Addresses) != len(g.Addresses) {
		return false
	}
	for _, v := range a.Addresses {
		if !slices.Contains(g.Addresses, v) {
			return false
		}
	}
	return true
}
