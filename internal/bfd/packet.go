package bfd

import (
	"encoding/binary"
	"time"
)

// Constants of the wire (RFC 5880, section 4.1; RFC 5881, sections 4 and 5).
const (
	// Port is the UDP port that control packets are sent to.
	Port = 3784
	// FirstSource is the first UDP port that control packets may come from; the last is 65535.
	FirstSource = 49152
	// TTL is the only time to live, or hop limit, that a packet may have: it did not cross a router.
	TTL = 255
	// PacketLen is the length of a control packet without authentication, in octets.
	PacketLen = 24

	version = 1
	// Bits of the second octet.
	pollBit, finalBit, independentBit, authBit, demandBit, multipointBit = 0x20, 0x10, 0x08, 0x04, 0x02, 0x01
)

// A Packet is a BFD control packet without authentication (RFC 5880, section 4.1).
type Packet struct {
	Diag  Diagnostic
	State State
	// Poll asks for a packet with Final.
	Poll, Final bool
	// Independent says that the sender's forwarding survives its control plane.
	Independent bool
	// Demand asks the receiver not to send periodically.
	Demand     bool
	Multiplier uint8
	// My and Your are the sender's and the receiver's discriminators; Your is 0 if unknown.
	My, Your uint32
	// DesiredMinTx and RequiredMinRx are the sender's, in whole microseconds.
	DesiredMinTx, RequiredMinRx time.Duration
	// RequiredMinEchoRx is 0 for a sender that does not loop echo packets back.
	RequiredMinEchoRx time.Duration
}

// Append appends p's 24 octets to b. Durations are cut to whole microseconds of 32 bits.
func (p *Packet) Append(b []byte) []byte {
	flags := uint8(p.State&3)<<6 |
		bit(p.Poll, pollBit) | bit(p.Final, finalBit) | bit(p.Independent, independentBit) | bit(p.Demand, demandBit)
	b = append(b, version<<5|uint8(p.Diag&0x1f), flags, p.Multiplier, PacketLen)
	b = binary.BigEndian.AppendUint32(b, p.My)
	b = binary.BigEndian.AppendUint32(b, p.Your)
	b = binary.BigEndian.AppendUint32(b, micros(p.DesiredMinTx))
	b = binary.BigEndian.AppendUint32(b, micros(p.RequiredMinRx))
	return binary.BigEndian.AppendUint32(b, micros(p.RequiredMinEchoRx))
}

func bit(set bool, mask uint8) uint8 {
	if set {
		return mask
	}
	return 0
}

// micros saturates: an interval that does not fit is the longest that does.
func micros(d time.Duration) uint32 {
	return uint32(min(max(d/time.Microsecond, 0), 1<<32-1))
}

// Parse reads the payload of a UDP datagram into p by the rules of RFC 5880, section
// 6.8.6, that need no session. It is total: no input makes it panic.
func (p *Packet) Parse(b []byte) Reject {
	*p = Packet{}
	switch {
	case len(b) < PacketLen:
		return RejectShort
	case b[0]>>5 != version:
		return RejectVersion
	case b[3] < PacketLen, int(b[3]) > len(b):
		return RejectLength
	case b[1]&authBit != 0:
		return RejectAuth
	case b[1]&multipointBit != 0:
		return RejectMultipoint
	case b[2] == 0:
		return RejectMultiplier
	}
	*p = Packet{
		Diag: Diagnostic(b[0] & 0x1f), State: State(b[1] >> 6),
		Poll: b[1]&pollBit != 0, Final: b[1]&finalBit != 0,
		Independent: b[1]&independentBit != 0, Demand: b[1]&demandBit != 0,
		Multiplier: b[2],
		My:         binary.BigEndian.Uint32(b[4:]), Your: binary.BigEndian.Uint32(b[8:]),
		DesiredMinTx: interval(b[12:]), RequiredMinRx: interval(b[16:]), RequiredMinEchoRx: interval(b[20:]),
	}
	switch {
	case p.My == 0:
		return RejectMine
	case p.Your == 0 && p.State != Down && p.State != AdminDown:
		return RejectYours
	}
	return Accepted
}

func interval(b []byte) time.Duration {
	return time.Duration(binary.BigEndian.Uint32(b)) * time.Microsecond
}
