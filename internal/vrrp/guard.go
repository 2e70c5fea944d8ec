package vrrp

import (
	"bytes"
	"crypto/subtle"
	"net/netip"
	"slices"
	"time"
)

// A Guard knows what one virtual router may hear. One forged packet takes a pair that
// believes everybody off the air for minutes (interval 4095), so strangers and intervals
// out of bounds have no effect. Addresses are without zones.
type Guard struct {
	Version uint8      // 2 or 3; 0 is 3
	Self    netip.Addr // our own address on the segment
	Peers   []netip.Addr
	// Open admits strangers, because the peers' addresses are not known.
	Open bool
	// Unicast takes adverts to Self instead of those to the multicast group.
	Unicast bool
	// MinTTL is the least TTL of a unicast advert; 0 is 255. RFC 9568 knows no unicast, and
	// keepalived sends it over IPv6 with the kernel's hop limit unless told otherwise.
	MinTTL      uint8
	Interval    time.Duration // our own
	Addresses   []netip.Addr  // those that we advertise
	Password    [passwordLen]byte
	HasPassword bool  // version 2 adverts must carry Password
	Auth        *Auth // nil takes unsigned adverts only

	memo memo
}

// A memo is what was found of a list of addresses. A master sends the same one again and
// again, and comparing 255 addresses in another order takes long.
type memo struct {
	heard []byte       // as it was in the advert
	ours  []netip.Addr // with which it was compared
	same  bool
}

// boundsFactor is how far a peer's interval may be from ours, either way.
const boundsFactor = 4

// Judge says whether an advert that Open read may have an effect (RFC 9568, section 7.1;
// RFC 3768, section 7.1). What is cheap comes first, and the signature last, so that
// nothing that fails moves the replay marks. wall is the wall clock's time; only
// signatures are judged by it.
func (g *Guard) Judge(a *Advert, e Envelope, form Form, wall time.Time) Reject {
	if form == FormNone {
		return RejectChecksum
	}
	if r := g.envelope(&e); r != Admitted {
		return r
	}
	version := g.Version
	if version == 0 {
		version = version3
	}
	switch {
	case a.Version != version:
		return RejectOtherVersion
	case e.From == g.Self:
		return RejectOwn
	case !g.Open && g.Stranger(e.From):
		return RejectStranger
	}
	if r := g.interval(a); r != Admitted {
		return r
	}
	switch {
	case g.Auth != nil:
		return g.Auth.admit(a, e.From, wall)
	case a.Signed():
		return RejectSigned
	}
	return Admitted
}

// envelope judges the IP header: an advert to a group did not cross a router.
func (g *Guard) envelope(e *Envelope) Reject {
	if e.IPv6 != g.Self.Is6() {
		return RejectFamily
	}
	to, least := Multicast4, uint8(TTL)
	switch {
	case g.Unicast:
		to = g.Self
		if g.MinTTL != 0 {
			least = g.MinTTL
		}
	case e.IPv6:
		to = Multicast6
	}
	switch {
	case e.TTL < least:
		return RejectTTL
	case e.To != to:
		return RejectDestination
	}
	return Admitted
}

// interval judges the interval and, in version 2, the authentication before it.
func (g *Guard) interval(a *Advert) Reject {
	if a.Version == version2 {
		switch {
		case g.HasPassword != (a.auth == authPassword) || a.auth > authPassword:
			return RejectAuthType
		case g.HasPassword && subtle.ConstantTimeCompare(a.password(), g.Password[:]) == 0:
			return RejectPassword
		case a.Interval != g.Interval:
			return RejectMismatch
		}
		return Admitted
	}
	if a.Interval < g.Interval/boundsFactor || a.Interval > g.Interval*boundsFactor {
		return RejectBounds
	}
	return Admitted
}

// Stranger reports whether the sender is not one of the peers: where Open admits it, it is
// to be counted.
func (g *Guard) Stranger(from netip.Addr) bool { return !slices.Contains(g.Peers, from) }

// SameAddresses reports whether a lists the addresses that we serve, in whatever order.
// A difference is counted; it has no effect on the election (RFC 9568, section 7.1).
func (g *Guard) SameAddresses(a *Advert) bool {
	if len(a.Addresses) != len(g.Addresses) {
		return false
	}
	if slices.Equal(a.Addresses, g.Addresses) {
		return true
	}
	heard, m := a.list(), &g.memo
	if len(heard) > 0 && bytes.Equal(heard, m.heard) && len(m.ours) == len(g.Addresses) && &m.ours[0] == &g.Addresses[0] {
		return m.same
	}
	m.heard, m.ours = append(m.heard[:0], heard...), g.Addresses
	m.same = covers(a.Addresses, g.Addresses) && covers(g.Addresses, a.Addresses)
	return m.same
}

// covers reports whether everything in b is in a.
func covers(a, b []netip.Addr) bool {
	for _, v := range b {
		if !slices.Contains(a, v) {
			return false
		}
	}
	return true
}
