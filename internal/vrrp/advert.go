package vrrp

import (
	"net/netip"
	"time"
)

// Constants of the wire (RFC 9568, section 5; RFC 3768, section 5).
const (
	// Protocol is VRRP's number in the IP header.
	Protocol = 112
	// TTL is the time to live or hop limit of every advert that did not cross a router.
	TTL = 255
	// MaxAddresses is how many addresses the count of an advert can say.
	MaxAddresses = 255
	// Tick is the unit of version 3's interval.
	Tick = 10 * time.Millisecond
	// MaxInterval is the longest interval that fits version 3's twelve bits.
	MaxInterval = 4095 * Tick
	// MaxInterval2 is the longest interval that fits version 2's eight bits of seconds.
	MaxInterval2 = 255 * time.Second

	version2     = 2
	version3     = 3
	typeAdvert   = 1
	headerLen    = 8
	passwordLen  = 8 // version 2 always has them, after the addresses
	authNone     = 0
	authPassword = 1
	intervalMask = 0x0fff

	header4Len = 20
	header6Len = 40
	// internetworkControl is the traffic class of routing protocols (RFC 791).
	internetworkControl = 0xc0
)

// The multicast groups of VRRP (RFC 9568, sections 5.1.1.2 and 5.1.2.2).
var (
	Multicast4 = netip.AddrFrom4([4]byte{224, 0, 0, 18})
	Multicast6 = netip.AddrFrom16([16]byte{0: 0xff, 1: 0x02, 15: 0x12})
)

// An Advert is one advertisement. Version 0 is 3. What Open read keeps slices of the
// packet until it reads the next one.
type Advert struct {
	Version   uint8
	VRID      uint8
	Priority  uint8
	Interval  time.Duration
	Addresses []netip.Addr

	auth    uint8  // version 2's authentication type
	message []byte // what was received, without the trailer
	trailer []byte // the HMAC trailer received, if there is one
}

// Signed reports whether the advert that Open read carries an HMAC trailer.
func (a *Advert) Signed() bool { return len(a.trailer) > 0 }

// A Form says what a checksum covered.
type Form uint8

// The checksum's forms: for version 3 over IPv4, RFC 5798 was read both ways. Version 2 is
// always FormMessage, IPv6 always FormPseudo.
const (
	// FormNone is a wrong checksum; to NewLetter it is the usual form.
	FormNone Form = iota
	// FormPseudo covers the pseudo-header too, as keepalived and FRR have it for IPv4.
	FormPseudo
	// FormMessage covers the message only, as RFC 9568, section 5.2.8 has it for IPv4.
	FormMessage
)

// MaxAddressesFor returns how many virtual addresses fit one advert of that version in an
// IP packet of mtu bytes, signed or not. It is never more than MaxAddresses.
func MaxAddressesFor(version int, ipv6, signed bool, mtu int) int {
	room, each := mtu-header4Len-headerLen, 4
	if ipv6 {
		room, each = mtu-header6Len-headerLen, 16
	}
	if version == version2 {
		room -= passwordLen
	}
	if signed {
		room -= trailerLen
	}
	return min(max(room, 0)/each, MaxAddresses)
}
