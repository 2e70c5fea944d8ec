// Package echo speaks the echo of ICMP and ICMPv6.
package echo

import (
	"encoding/binary"
	"net/netip"
)

// Types of messages (RFC 792; RFC 4443, section 4).
const (
	echoRequest4, echoReply4 = 8, 0
	echoRequest6, echoReply6 = 128, 129

	header     = 8
	messageLen = header + TokenLen
	ip4Header  = 20
)

// TokenLen is the length of a token.
const TokenLen = 16

// A Message is a request or a reply. Its token is what nobody can answer who has not seen
// the request.
type Message struct {
	ID, Seq uint16
	Token   [TokenLen]byte
}

// AppendRequest appends the request's message to b. The kernel fills in ICMPv6's checksum,
// which covers the addresses.
func (m *Message) AppendRequest(b []byte, ipv6 bool) []byte {
	start := len(b)
	kind := byte(echoRequest4)
	if ipv6 {
		kind = echoRequest6
	}
	b = append(b, kind, 0, 0, 0)
	b = binary.BigEndian.AppendUint16(b, m.ID)
	b = binary.BigEndian.AppendUint16(b, m.Seq)
	b = append(b, m.Token[:]...)
	if !ipv6 {
		binary.BigEndian.PutUint16(b[start+2:], ^sum(b[start:]))
	}
	return b
}

// parseReply4 reads an IPv4 packet as a raw socket delivers it: with its header, and with
// a checksum that nobody has looked at.
func parseReply4(b []byte) (m Message, from netip.Addr, ok bool) {
	if len(b) < ip4Header || b[0]>>4 != 4 {
		return m, from, false
	}
	length := int(b[0]&0xf) * 4
	if length < ip4Header || length > len(b) || b[9] != 1 {
		return m, from, false
	}
	from = netip.AddrFrom4([4]byte(b[12:16]))
	if sum(b[length:]) != 0xffff {
		return m, from, false
	}
	ok = m.parse(b[length:], echoReply4)
	return m, from, ok
}

func (m *Message) parse(b []byte, kind byte) bool {
	if len(b) != messageLen || b[0] != kind || b[1] != 0 {
		return false
	}
	m.ID, m.Seq = binary.BigEndian.Uint16(b[4:]), binary.BigEndian.Uint16(b[6:])
	m.Token = [TokenLen]byte(b[header:])
	return true
}

// sum is the ones' complement sum of RFC 1071.
func sum(b []byte) uint16 {
	var s uint32
	for ; len(b) >= 2; b = b[2:] {
		s += uint32(binary.BigEndian.Uint16(b))
		s = s>>16 + s&0xffff
	}
	if len(b) == 1 {
		s += uint32(b[0]) << 8
		s = s>>16 + s&0xffff
	}
	return uint16(s)
}
