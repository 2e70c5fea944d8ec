package vrrp

import (
	"encoding/binary"
	"net/netip"
	"time"
)

// Open reads a whole IP packet into a, whose Addresses it reuses. VRID and the envelope
// are set whenever the bytes have them, so that a reject can be counted where it belongs;
// what the packet may do is for a Guard to say. Open is total: no input makes it panic.
func Open(packet []byte, a *Advert) (Envelope, Form, Reject) {
	var e Envelope
	*a = Advert{Addresses: a.Addresses[:0]}
	msg, reject := unwrap(packet, &e)
	if len(msg) >= 2 {
		a.Version, a.VRID = msg[0]>>4, msg[1]
	}
	if reject == Admitted {
		reject = a.read(msg, e.IPv6)
	}
	if reject != Admitted {
		return e, FormNone, reject
	}
	form := a.sum(&e)
	if form == FormNone {
		return e, FormNone, RejectChecksum
	}
	a.readAddresses(e.IPv6)
	return e, form, Admitted
}

// read takes the message apart (RFC 9568, section 5.2; RFC 3768, section 5.3).
func (a *Advert) read(msg []byte, ipv6 bool) Reject {
	switch {
	case len(msg) < headerLen:
		return RejectShort
	case a.Version != version3 && a.Version != version2, a.Version == version2 && ipv6:
		return RejectVersion
	case msg[0]&0xf != typeAdvert:
		return RejectType
	case msg[1] == 0:
		return RejectVRID
	case msg[3] == 0:
		return RejectCount // RFC 9568, erratum 8299
	}
	size := headerLen + 4*int(msg[3])
	switch {
	case a.Version == version2:
		size += passwordLen
		a.auth = msg[4]
		a.Interval = time.Duration(msg[5]) * time.Second
	case ipv6:
		size = headerLen + 16*int(msg[3])
		fallthrough
	default:
		a.Interval = time.Duration(binary.BigEndian.Uint16(msg[4:])&intervalMask) * Tick
	}
	a.Priority = msg[2]
	switch {
	case len(msg) < size:
		return RejectShort
	case len(msg) != size && len(msg) != size+trailerLen:
		return RejectLength
	case a.Interval == 0:
		return RejectInterval // RFC 9568, erratum 8301
	}
	a.message, a.trailer = msg[:size], msg[size:]
	return Admitted
}

// sum says which form of the checksum is right. Over IPv4 it covers the message without
// the trailer; over IPv6, where the kernel sums what a raw socket sends, all of it.
func (a *Advert) sum(e *Envelope) Form {
	switch {
	case a.Version == version2:
		return verifyMessage(a.message)
	case e.IPv6:
		return verify6(a.message, a.trailer, e.From, e.To)
	}
	if form := verify4(a.message, e.From, e.To); form != FormNone {
		return form
	}
	return verifyMessage(a.message)
}

func (a *Advert) readAddresses(ipv6 bool) {
	rest := a.message[headerLen:]
	for range a.message[3] {
		if ipv6 {
			a.Addresses = append(a.Addresses, netip.AddrFrom16([16]byte(rest[:16])))
			rest = rest[16:]
			continue
		}
		a.Addresses = append(a.Addresses, netip.AddrFrom4([4]byte(rest[:4])))
		rest = rest[4:]
	}
}

// list returns the addresses as the message has them.
func (a *Advert) list() []byte { return a.message[min(headerLen, len(a.message)):] }

// password returns version 2's authentication data.
func (a *Advert) password() []byte {
	return a.message[max(0, len(a.message)-passwordLen):]
}
