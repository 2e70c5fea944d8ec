package rtnl

import (
	"encoding/binary"
	"net/netip"

	"golang.org/x/sys/unix"
)

// A message is one netlink message.
type message struct {
	typ   uint16
	flags uint16
	seq   uint32
	port  uint32
	body  []byte
}

// cutMessage takes the first message off b.
func cutMessage(b []byte) (m message, rest []byte, ok bool) {
	if len(b) < unix.SizeofNlMsghdr {
		return m, nil, false
	}
	native := binary.NativeEndian
	size := int(native.Uint32(b))
	if size < unix.SizeofNlMsghdr || size > len(b) {
		return m, nil, false
	}
	m = message{
		typ:   native.Uint16(b[4:]),
		flags: native.Uint16(b[6:]),
		seq:   native.Uint32(b[8:]),
		port:  native.Uint32(b[12:]),
		body:  b[unix.SizeofNlMsghdr:size],
	}
	return m, b[min((size+3)&^3, len(b)):], true
}

// beginMessage appends a header; endMessage writes the length into it.
func beginMessage(b []byte, typ, flags uint16, seq uint32) (out []byte, start int) {
	native := binary.NativeEndian
	start = len(b)
	b = native.AppendUint32(b, 0)
	b = native.AppendUint16(b, typ)
	b = native.AppendUint16(b, flags)
	b = native.AppendUint32(b, seq)
	return native.AppendUint32(b, 0), start
}

func endMessage(b []byte, start int) []byte {
	binary.NativeEndian.PutUint32(b[start:], uint32(len(b)-start))
	return pad(b)
}

func pad(b []byte) []byte {
	for len(b)%4 != 0 {
		b = append(b, 0)
	}
	return b
}

// eachAttr calls f for the attributes in b, up to the first that does not fit.
func eachAttr(b []byte, f func(typ uint16, value []byte)) {
	native := binary.NativeEndian
	for len(b) >= unix.SizeofRtAttr {
		size := int(native.Uint16(b))
		if size < unix.SizeofRtAttr || size > len(b) {
			return
		}
		f(native.Uint16(b[2:])&0x3fff, b[unix.SizeofRtAttr:size])
		b = b[min((size+3)&^3, len(b)):]
	}
}

func appendAttr(b []byte, typ uint16, value []byte) []byte {
	native := binary.NativeEndian
	b = native.AppendUint16(b, uint16(unix.SizeofRtAttr+len(value)))
	b = native.AppendUint16(b, typ)
	return pad(append(b, value...))
}

func appendString(b []byte, typ uint16, s string) []byte {
	native := binary.NativeEndian
	b = native.AppendUint16(b, uint16(unix.SizeofRtAttr+len(s)+1))
	b = native.AppendUint16(b, typ)
	return pad(append(append(b, s...), 0))
}

func appendNumber(b []byte, typ uint16, n uint32) []byte {
	native := binary.NativeEndian
	b = native.AppendUint16(b, unix.SizeofRtAttr+4)
	b = native.AppendUint16(b, typ)
	return native.AppendUint32(b, n)
}

func appendAddr(b []byte, typ uint16, a netip.Addr) []byte {
	if a.Is4() {
		v := a.As4()
		return appendAttr(b, typ, v[:])
	}
	v := a.As16()
	return appendAttr(b, typ, v[:])
}

// beginNest appends the head of an attribute that holds attributes; endNest closes it.
func beginNest(b []byte, typ uint16) (out []byte, start int) {
	start = len(b)
	return appendAttr(b, typ|unix.NLA_F_NESTED, nil), start
}

func endNest(b []byte, start int) []byte {
	binary.NativeEndian.PutUint16(b[start:], uint16(len(b)-start))
	return b
}

// number reads an attribute of four bytes; 0 if it has less.
func number(v []byte) uint32 {
	if len(v) < 4 {
		return 0
	}
	return binary.NativeEndian.Uint32(v)
}

// addr reads an address of family; not valid if the length is another's.
func addr(family uint8, v []byte) netip.Addr {
	switch {
	case family == unix.AF_INET && len(v) == 4:
		return netip.AddrFrom4([4]byte(v))
	case family == unix.AF_INET6 && len(v) == 16:
		return netip.AddrFrom16([16]byte(v))
	}
	return netip.Addr{}
}

// family is the AF_* of an address.
func family(a netip.Addr) uint8 {
	if a.Is4() {
		return unix.AF_INET
	}
	return unix.AF_INET6
}
