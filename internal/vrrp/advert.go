package vrrp

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"time"
)

// Constants of the wire (RFC 9568, section 5).
const (
	// Protocol is VRRP's number in the IP header.
	Protocol = 112
	// TTL is the only time to live that an advert may have: it did not cross a router.
	TTL = 255
	// MaxAddresses is how many addresses an advert can list.
	MaxAddresses = 255
	// Tick is the unit of the advertisement interval.
	Tick = 10 * time.Millisecond
	// MaxInterval is the longest interval that fits twelve bits.
	MaxInterval = 4095 * Tick

	headerLen    = 8
	version3     = 3
	typeAdvert   = 1
	intervalMask = 0x0fff
)

// Multicast4 is the multicast group of VRRP over IPv4 (RFC 9568, section 5.1.1.2).
var Multicast4 = netip.AddrFrom4([4]byte{224, 0, 0, 18})

// An Advert is one VRRPv3 advertisement over IPv4.
type Advert struct {
	VRID      uint8
	Priority  uint8
	Interval  time.Duration
	Addresses []netip.Addr
}

// A Form says what a checksum covered.
type Form uint8

// The checksum's forms: RFC 5798 was read both ways.
const (
	// FormNone is a wrong checksum.
	FormNone Form = iota
	// FormPseudo covers the IPv4 pseudo-header too, as keepalived and FRR have it.
	FormPseudo
	// FormMessage covers the message only, as RFC 9568 has it.
	FormMessage
)

// ErrAdvert is wrapped by what Append returns for an advert that cannot be sent.
var ErrAdvert = errors.New("impossible advert")

// Append appends a's message to b, with a checksum over the pseudo-header of a packet
// from one address to another. It allocates only if b is too small.
func (a *Advert) Append(b []byte, from, to netip.Addr) ([]byte, error) {
	switch {
	case a.VRID == 0:
		return b, fmt.Errorf("%w: virtual router id 0", ErrAdvert)
	case a.Interval < Tick || a.Interval > MaxInterval:
		return b, fmt.Errorf("%w: interval %v", ErrAdvert, a.Interval)
	case len(a.Addresses) == 0 || len(a.Addresses) > MaxAddresses:
		return b, fmt.Errorf("%w: %d addresses", ErrAdvert, len(a.Addresses))
	case !from.Is4() || !to.Is4():
		return b, fmt.Errorf("%w: not between IPv4 addresses", ErrAdvert)
	}
	start := len(b)
	b = append(b, version3<<4|typeAdvert, a.VRID, a.Priority, uint8(len(a.Addresses)))
	b = binary.BigEndian.AppendUint16(b, uint16(a.Interval/Tick))
	b = append(b, 0, 0)
	for _, v := range a.Addresses {
		if !v.Is4() {
			return b[:start], fmt.Errorf("%w: virtual address %v is not IPv4", ErrAdvert, v)
		}
		v4 := v.As4()
		b = append(b, v4[:]...)
	}
	binary.BigEndian.PutUint16(b[start+6:], pseudoChecksum(b[start:], from.As4(), to.As4()))
	return b, nil
}

// Parse reads a message that came in a packet from one address to another into a, whose
// Addresses it reuses. VRID is set whenever the bytes have one, so that a reject can be
// counted where it belongs. Parse is total: no input makes it panic.
func (a *Advert) Parse(b []byte, from, to netip.Addr) (Form, Reject) {
	*a = Advert{Addresses: a.Addresses[:0]}
	if len(b) >= 2 {
		a.VRID = b[1]
	}
	switch {
	case len(b) < headerLen:
		return FormNone, RejectShort
	case b[0]>>4 != version3:
		return FormNone, RejectVersion
	case b[0]&0xf != typeAdvert:
		return FormNone, RejectType
	case b[1] == 0:
		return FormNone, RejectVRID
	case b[3] == 0:
		return FormNone, RejectCount // RFC 9568, erratum 8299
	case len(b) != headerLen+4*int(b[3]):
		return FormNone, RejectLength
	}
	a.Priority = b[2]
	a.Interval = time.Duration(binary.BigEndian.Uint16(b[4:])&intervalMask) * Tick
	if a.Interval == 0 {
		return FormNone, RejectInterval // RFC 9568, erratum 8301
	}
	form := verify(b, from, to)
	if form == FormNone {
		return FormNone, RejectChecksum
	}
	for rest := b[headerLen:]; len(rest) >= 4; rest = rest[4:] {
		a.Addresses = append(a.Addresses, netip.AddrFrom4([4]byte(rest[:4])))
	}
	return form, Admitted
}
