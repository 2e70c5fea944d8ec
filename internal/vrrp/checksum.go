package vrrp

import (
	"encoding/binary"
	"net/netip"
)

// pseudoChecksum computes what goes into an advert whose checksum field is zero: the
// one's complement of the sum over the pseudo-header and the message.
func pseudoChecksum(msg []byte, from, to [4]byte) uint16 {
	var head [12]byte
	copy(head[0:], from[:])
	copy(head[4:], to[:])
	head[9] = Protocol
	binary.BigEndian.PutUint16(head[10:], uint16(len(msg)))
	var sum uint16
	for _, part := range [2][]byte{head[:], msg} {
		for i := 0; i+1 < len(part); i += 2 {
			sum = addCarry(sum, binary.BigEndian.Uint16(part[i:]))
		}
	}
	return ^sum
}

// addCarry is one's complement addition.
func addCarry(a, b uint16) uint16 {
	s := uint32(a) + uint32(b)
	return uint16(s) + uint16(s>>16)
}

// verify reports what the checksum of a received message covers. It shares no code with
// pseudoChecksum, so that an error in one does not hide in the other: it adds 32 bits at a
// time and looks at the sum of everything, in which the checksum itself takes part.
func verify(msg []byte, from, to netip.Addr) Form {
	var sum uint64
	for rest := msg; len(rest) >= 4; rest = rest[4:] {
		sum += uint64(rest[0])<<24 | uint64(rest[1])<<16 | uint64(rest[2])<<8 | uint64(rest[3])
	}
	if from.Is4() && to.Is4() {
		f, t := from.As4(), to.As4()
		with := sum + uint64(binary.BigEndian.Uint32(f[:])) + uint64(binary.BigEndian.Uint32(t[:])) +
			Protocol + uint64(len(msg))
		if fold(with) == 0xffff {
			return FormPseudo
		}
	}
	if fold(sum) == 0xffff {
		return FormMessage
	}
	return FormNone
}

// fold reduces a sum to sixteen bits by adding the carries back.
func fold(sum uint64) uint64 {
	for sum > 0xffff {
		sum = sum&0xffff + sum>>16
	}
	return sum
}
