package vrrp

import (
	"encoding/binary"
	"net/netip"
)

const ipHeaderLen = 20

// Receive reads an IPv4 packet, as a raw socket delivers it, into a, and says who sent it.
// What it returns for a refused packet is as much as could be read.
func Receive(packet []byte, a *Advert) (from netip.Addr, form Form, r Reject) {
	*a = Advert{Addresses: a.Addresses[:0]}
	if len(packet) < ipHeaderLen || packet[0]>>4 != 4 {
		return from, FormNone, RejectHeader
	}
	header, total := int(packet[0]&0xf)*4, int(binary.BigEndian.Uint16(packet[2:]))
	if header < ipHeaderLen || total < header || total > len(packet) || packet[9] != Protocol {
		return from, FormNone, RejectHeader
	}
	from = netip.AddrFrom4([4]byte(packet[12:16]))
	to := netip.AddrFrom4([4]byte(packet[16:20]))
	msg := packet[header:total]
	if len(msg) >= 2 {
		a.VRID = msg[1]
	}
	const moreOrOffset = 0x3fff
	switch {
	case binary.BigEndian.Uint16(packet[6:])&moreOrOffset != 0:
		return from, FormNone, RejectFragment
	case packet[8] != TTL:
		return from, FormNone, RejectTTL
	case to != Multicast4:
		return from, FormNone, RejectDestination
	}
	form, r = a.Parse(msg, from, to)
	return from, form, r
}

// AppendPacket appends a's whole IPv4 packet from a source to Multicast4: internetwork
// control, TTL 255. The kernel fills in identification and header checksum.
func (a *Advert) AppendPacket(b []byte, from netip.Addr) ([]byte, error) {
	if !from.Is4() {
		return b, ErrAdvert
	}
	start := len(b)
	const internetworkControl = 0xc0
	b = append(b, 0x45, internetworkControl, 0, 0, 0, 0, 0, 0, TTL, Protocol, 0, 0)
	f, t := from.As4(), Multicast4.As4()
	b = append(append(b, f[:]...), t[:]...)
	b, err := a.Append(b, from, Multicast4)
	if err != nil {
		return b[:start], err
	}
	binary.BigEndian.PutUint16(b[start+2:], uint16(len(b)-start))
	return b, nil
}
