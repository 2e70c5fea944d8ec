package announce

import (
	"encoding/binary"
	"net/netip"
)

const (
	etherARP  = 0x0806
	etherIPv6 = 0x86dd

	protocolICMPv6 = 58
	advertisement  = 136 // RFC 4861, section 4.4
	flagRouter     = 0x80
	flagOverride   = 0x20
	linkLayer      = 2 // the target link-layer address option
	messageLen     = 32
)

var (
	broadcast = [6]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}
	// allNodes is ff02::1, and allNodesMAC the Ethernet address that it has (RFC 2464).
	allNodes    = [16]byte{0: 0xff, 1: 0x02, 15: 0x01}
	allNodesMAC = [6]byte{0x33, 0x33, 0, 0, 0, 1}
)

// AppendFrame appends the Ethernet frame that announces t: an ARP announcement for IPv4
// and an unsolicited neighbour advertisement for IPv6. It allocates only if b is too small.
func AppendFrame(b []byte, t Target) []byte {
	if t.Address.Is4() {
		return appendARP(b, t.MAC, t.Address)
	}
	return appendNA(b, t.MAC, t.Address, t.Router)
}

// appendARP appends a request whose sender and target are the address (RFC 5227,
// section 3), with the target's hardware address that RFC 9568, section 6.4.1 wants.
func appendARP(b []byte, mac [6]byte, a netip.Addr) []byte {
	v4 := a.As4()
	b = append(append(b, broadcast[:]...), mac[:]...)
	b = binary.BigEndian.AppendUint16(b, etherARP)
	b = append(b, 0, 1, 8, 0, 6, 4, 0, 1) // Ethernet, IPv4, request
	b = append(append(b, mac[:]...), v4[:]...)
	return append(append(b, mac[:]...), v4[:]...)
}

// appendNA appends an advertisement from the address to all nodes, which overrides what
// they know (RFC 4861, section 7.2.6; RFC 9568, section 6.4.1).
func appendNA(b []byte, mac [6]byte, a netip.Addr, router bool) []byte {
	v6 := a.As16()
	b = append(append(b, allNodesMAC[:]...), mac[:]...)
	b = binary.BigEndian.AppendUint16(b, etherIPv6)
	b = append(b, 6<<4, 0, 0, 0, 0, messageLen, protocolICMPv6, 255)
	b = append(append(b, v6[:]...), allNodes[:]...)
	flags := byte(flagOverride)
	if router {
		flags |= flagRouter
	}
	start := len(b)
	b = append(b, advertisement, 0, 0, 0, flags, 0, 0, 0)
	b = append(b, v6[:]...)
	b = append(append(b, linkLayer, 1), mac[:]...)
	sum := uint32(protocolICMPv6 + messageLen)
	for _, part := range [3][]byte{v6[:], allNodes[:], b[start:]} {
		for i := 0; i < len(part); i += 2 {
			sum += uint32(part[i])<<8 | uint32(part[i+1])
		}
	}
	for sum > 0xffff {
		sum = sum&0xffff + sum>>16
	}
	binary.BigEndian.PutUint16(b[start+2:], ^uint16(sum))
	return b
}
