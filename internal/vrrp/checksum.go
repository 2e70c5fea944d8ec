package vrrp

import (
	"encoding/binary"
	"net/netip"
)

// Building and verifying share no code, so that an error in one does not hide in the
// other: what builds adds sixteen bits at a time, and what verifies adds 32 and looks at
// the sum of everything, in which the checksum itself takes part.

// addCarry is one's complement addition.
func addCarry(a, b uint16) uint16 {
	s := uint32(a) + uint32(b)
	return uint16(s) + uint16(s>>16)
}

// addWords adds the bytes of b, of which there is an even number, to a sum.
func addWords(sum uint16, b []byte) uint16 {
	for i := 0; i+1 < len(b); i += 2 {
		sum = addCarry(sum, binary.BigEndian.Uint16(b[i:]))
	}
	return sum
}

// pseudoSum is the sum over the pseudo-header of a message of that many bytes between the
// addresses (RFC 9568, section 5.2.8; RFC 8200, section 8.1).
func pseudoSum(from, to netip.Addr, length int) uint16 {
	sum := addCarry(Protocol, uint16(length))
	for _, a := range [2]netip.Addr{from, to} {
		if a.Is4() {
			v4 := a.As4()
			sum = addWords(sum, v4[:])
			continue
		}
		v6 := a.As16()
		sum = addWords(sum, v6[:])
	}
	return sum
}

// verifyMessage checks a sum over the message alone.
func verifyMessage(msg []byte) Form {
	if fold(sum32(msg)) == 0xffff {
		return FormMessage
	}
	return FormNone
}

// verify4 checks a sum over the IPv4 pseudo-header and the message.
func verify4(msg []byte, from, to netip.Addr) Form {
	f, t := from.As4(), to.As4()
	sum := sum32(msg) + sum32(f[:]) + sum32(t[:]) + Protocol + uint64(len(msg))
	if fold(sum) == 0xffff {
		return FormPseudo
	}
	return FormNone
}

// verify6 checks a sum over the IPv6 pseudo-header, the message and the trailer.
func verify6(msg, trailer []byte, from, to netip.Addr) Form {
	f, t := from.As16(), to.As16()
	sum := sum32(msg) + sum32(trailer) + sum32(f[:]) + sum32(t[:]) + Protocol + uint64(len(msg)+len(trailer))
	if fold(sum) == 0xffff {
		return FormPseudo
	}
	return FormNone
}

// sum32 adds b, whose length is a multiple of four, without folding: there is room for
// the carries of any packet.
func sum32(b []byte) uint64 {
	var sum uint64
	for ; len(b) >= 4; b = b[4:] {
		sum += uint64(b[0])<<24 | uint64(b[1])<<16 | uint64(b[2])<<8 | uint64(b[3])
	}
	return sum
}

// fold reduces a sum to sixteen bits by adding the carries back.
func fold(sum uint64) uint64 {
	for sum > 0xffff {
		sum = sum&0xffff + sum>>16
	}
	return sum
}
