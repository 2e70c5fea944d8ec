package vrrp

import (
	"encoding/binary"
	"net/netip"
)

// An Envelope is what the IP header of an advert said.
type Envelope struct {
	From, To netip.Addr
	TTL      uint8 // or hop limit
	IPv6     bool
}

// unwrap reads the IP header and returns the message behind it, without what the link
// padded the packet with. It sets as much of the envelope as there is.
func unwrap(packet []byte, e *Envelope) ([]byte, Reject) {
	if len(packet) == 0 {
		return nil, RejectHeader
	}
	switch packet[0] >> 4 {
	case 4:
		return unwrap4(packet, e)
	case 6:
		return unwrap6(packet, e)
	}
	return nil, RejectHeader
}

// unwrap4 follows RFC 791, section 3.1.
func unwrap4(packet []byte, e *Envelope) ([]byte, Reject) {
	if len(packet) < header4Len {
		return nil, RejectHeader
	}
	e.From = netip.AddrFrom4([4]byte(packet[12:16]))
	e.To = netip.AddrFrom4([4]byte(packet[16:20]))
	e.TTL = packet[8]
	header, total := int(packet[0]&0xf)*4, int(binary.BigEndian.Uint16(packet[2:]))
	if header < header4Len || total < header || total > len(packet) || packet[9] != Protocol {
		return nil, RejectHeader
	}
	const moreOrOffset = 0x3fff
	if binary.BigEndian.Uint16(packet[6:])&moreOrOffset != 0 {
		return packet[header:total], RejectFragment
	}
	return packet[header:total], Admitted
}

// unwrap6 follows RFC 8200, section 3. Adverts have no extension headers.
func unwrap6(packet []byte, e *Envelope) ([]byte, Reject) {
	if len(packet) < header6Len {
		return nil, RejectHeader
	}
	e.IPv6 = true
	e.From = netip.AddrFrom16([16]byte(packet[8:24]))
	e.To = netip.AddrFrom16([16]byte(packet[24:40]))
	e.TTL = packet[7]
	total := header6Len + int(binary.BigEndian.Uint16(packet[4:]))
	if total > len(packet) || packet[6] != Protocol {
		return nil, RejectHeader
	}
	return packet[header6Len:total], Admitted
}
