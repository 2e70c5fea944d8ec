package vrrp

import (
	"net/netip"
	"time"
)

// Receive reads a version 3 packet to the IPv4 group into a, and says who sent it.
func Receive(packet []byte, a *Advert) (from netip.Addr, form Form, r Reject) {
	e, form, r := Open(packet, a)
	switch {
	case r != Admitted:
	case e.IPv6:
		r = RejectHeader
	case e.TTL != TTL:
		r = RejectTTL
	case e.To != Multicast4:
		r = RejectDestination
	case a.Version != version3:
		r = RejectVersion
	}
	if r != Admitted {
		form = FormNone
	}
	return e.From, form, r
}

// AppendPacket appends a's packet from a source to the IPv4 group.
func (a *Advert) AppendPacket(b []byte, from netip.Addr) ([]byte, error) {
	l, err := NewLetter(a, from, Multicast4, FormPseudo, nil, nil)
	if err != nil {
		return b, err
	}
	return append(b, l.Packet(a.Priority, time.Time{})...), nil
}

// Admit says whether an advert from that address may have an effect.
func (g *Guard) Admit(a *Advert, from netip.Addr) Reject {
	switch {
	case from == g.Self:
		return RejectOwn
	case g.Stranger(from):
		return RejectStranger
	case a.Interval < g.Interval/boundsFactor || a.Interval > g.Interval*boundsFactor:
		return RejectBounds
	}
	return Admitted
}
