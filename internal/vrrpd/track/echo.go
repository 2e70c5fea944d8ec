package track

import (
	"encoding/binary"
	"net/netip"
)

// ICMP's and ICMPv6's echo (RFC 792; RFC 4443, section 4).
const (
	echoRequest4, echoReply4 = 8, 0
	echoRequest6, echoReply6 = 128, 129

	echoHeader = 8
	tokenLen   = 16
	echoLen    = echoHeader + tokenLen
	ip4Header  = 20
)

// An echo is a request or a reply. Its token is what nobody can answer who has not seen
// the request.
type echo struct {
	id, seq uint16
	token   [tokenLen]byte
}

// appendRequest appends the request's message to b. The kernel fills in ICMPv6's checksum,
// which covers the addresses.
func (e *echo) appendRequest(b []byte, ipv6 bool) []byte {
	start := len(b)
	kind := byte(echoRequest4)
	if ipv6 {
		kind = echoRequest6
	}
	b = append(b, kind, 0, 0, 0)
	b = binary.BigEndian.AppendUint16(b, e.id)
	b = binary.BigEndian.AppendUint16(b, e.seq)
	b = append(b, e.token[:]...)
	if !ipv6 {
		binary.BigEndian.PutUint16(b[start+2:], ^sum(b[start:]))
	}
	return b
}

// parseReply4 reads an IPv4 packet as a raw socket delivers it: with its header, and with
// a checksum that nobody has looked at.
func parseReply4(b []byte) (e echo, from netip.Addr, ok bool) {
	if len(b) < ip4Header || b[0]>>4 != 4 {
		return e, from, false
	}
	header := int(b[0]&0xf) * 4
	if header < ip4Header || header > len(b) || b[9] != 1 {
		return e, from, false
	}
	from = netip.AddrFrom4([4]byte(b[12:16]))
	if sum(b[header:]) != 0xffff {
		return e, from, false
	}
	ok = e.parse(b[header:], echoReply4)
	return e, from, ok
}

// parseReply6 reads an ICMPv6 message, whose checksum the kernel has verified.
func parseReply6(b []byte) (e echo, ok bool) {
	ok = e.parse(b, echoReply6)
	return e, ok
}

func (e *echo) parse(b []byte, kind byte) bool {
	if len(b) != echoLen || b[0] != kind || b[1] != 0 {
		return false
	}
	e.id, e.seq = binary.BigEndian.Uint16(b[4:]), binary.BigEndian.Uint16(b[6:])
	e.token = [tokenLen]byte(b[echoHeader:])
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
