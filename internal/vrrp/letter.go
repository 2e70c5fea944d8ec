package vrrp

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"
)

// ErrAdvert is wrapped by what NewLetter returns for an advert that cannot be sent.
var ErrAdvert = errors.New("impossible advert")

// A Letter is one router's advert to one destination, encoded once and sent many times.
type Letter struct {
	from, to netip.Addr
	packet   []byte
	message  int     // where the message begins
	sum      uint16  // over all that does not change, with a priority of 0
	signer   *signer // nil if it is not signed
}

// NewLetter encodes a for a destination, which is a group or a peer. auth signs, if its
// mode says so; password makes a version 2 advert carry simple text authentication. Both
// may be nil. The Form is for version 3 over IPv4 only.
func NewLetter(a *Advert, from, to netip.Addr, form Form, auth *Auth, password *[8]byte) (*Letter, error) {
	if a.Version == 0 {
		with := *a
		with.Version = version3
		a = &with
	}
	if err := sendable(a, from, to, password != nil, auth != nil); err != nil {
		return nil, err
	}
	l := &Letter{from: from.WithZone(""), to: to.WithZone("")}
	if auth != nil && auth.signs {
		l.signer = newSigner(auth, a.Version, a.VRID, l.from)
	}
	l.packet = appendMessage(l.header(), a, password)
	covered := len(l.packet)
	if l.signer != nil {
		l.packet = append(l.packet, make([]byte, trailerLen)...)
	}
	l.seal()
	if from.Is6() {
		covered = len(l.packet) // over IPv6 it covers the trailer
	}
	l.sum = addWords(0, l.packet[l.message:covered])
	if a.Version == version3 && (from.Is6() || form != FormMessage) {
		l.sum = addCarry(l.sum, pseudoSum(from, to, covered-l.message))
	}
	return l, nil
}

// sendable says why a cannot be sent.
func sendable(a *Advert, from, to netip.Addr, password, auth bool) error {
	unit, longest := Tick, MaxInterval
	if a.Version == version2 {
		unit, longest = time.Second, MaxInterval2
	}
	switch {
	case a.Version != version2 && a.Version != version3:
		return fmt.Errorf("%w: version %d", ErrAdvert, a.Version)
	case a.VRID == 0:
		return fmt.Errorf("%w: virtual router id 0", ErrAdvert)
	case a.Interval < unit || a.Interval > longest || a.Interval%unit != 0:
		return fmt.Errorf("%w: interval %v", ErrAdvert, a.Interval)
	case len(a.Addresses) == 0 || len(a.Addresses) > MaxAddresses:
		return fmt.Errorf("%w: %d addresses", ErrAdvert, len(a.Addresses))
	case !from.IsValid() || from.IsUnspecified() || from.IsMulticast() || from.Is4() != to.Is4() || !to.IsValid():
		return fmt.Errorf("%w: from %v to %v", ErrAdvert, from, to)
	case a.Version == version2 && !from.Is4():
		return fmt.Errorf("%w: version 2 over IPv6", ErrAdvert)
	case password && a.Version != version2:
		return fmt.Errorf("%w: a password in version 3", ErrAdvert)
	case password && auth:
		return fmt.Errorf("%w: a password and a signature", ErrAdvert)
	}
	for _, v := range a.Addresses {
		if !v.IsValid() || v.Is4() != from.Is4() {
			return fmt.Errorf("%w: virtual address %v", ErrAdvert, v)
		}
	}
	return nil
}

// header returns an IP header without lengths and sums, and notes where it ends.
func (l *Letter) header() []byte {
	if l.from.Is4() {
		l.message = header4Len
		f, t := l.from.As4(), l.to.As4()
		b := []byte{0x45, internetworkControl, 0, 0, 0, 0, 0, 0, TTL, Protocol, 0, 0}
		return append(append(b, f[:]...), t[:]...)
	}
	l.message = header6Len
	f, t := l.from.As16(), l.to.As16()
	b := []byte{6<<4 | internetworkControl>>4, internetworkControl << 4 & 0xff, 0, 0, 0, 0, Protocol, TTL}
	return append(append(b, f[:]...), t[:]...)
}

// seal fills the lengths and sums of the IP header in.
func (l *Letter) seal() {
	if l.from.Is4() {
		binary.BigEndian.PutUint16(l.packet[2:], uint16(len(l.packet)))
		binary.BigEndian.PutUint16(l.packet[10:], ^addWords(0, l.packet[:header4Len]))
		return
	}
	binary.BigEndian.PutUint16(l.packet[4:], uint16(len(l.packet)-header6Len))
}

// appendMessage appends a with a priority and a checksum of 0.
func appendMessage(b []byte, a *Advert, password *[8]byte) []byte {
	b = append(b, a.Version<<4|typeAdvert, a.VRID, 0, uint8(len(a.Addresses)))
	switch {
	case a.Version == version3:
		b = binary.BigEndian.AppendUint16(b, uint16(a.Interval/Tick))
	case password != nil:
		b = append(b, authPassword, uint8(a.Interval/time.Second))
	default:
		b = append(b, authNone, uint8(a.Interval/time.Second))
	}
	b = append(b, 0, 0)
	for _, v := range linkLocalFirst(a.Addresses) {
		if v.Is4() {
			v4 := v.As4()
			b = append(b, v4[:]...)
			continue
		}
		v6 := v.As16()
		b = append(b, v6[:]...)
	}
	if a.Version == version2 {
		var none [passwordLen]byte
		if password == nil {
			password = &none
		}
		b = append(b, password[:]...)
	}
	return b
}

// linkLocalFirst puts the first IPv6 link-local address first (RFC 9568, section 5.2.9).
func linkLocalFirst(list []netip.Addr) []netip.Addr {
	i := slices.IndexFunc(list, func(a netip.Addr) bool { return a.Is6() && a.IsLinkLocalUnicast() })
	if i <= 0 {
		return list
	}
	out := append(make([]netip.Addr, 0, len(list)), list[i])
	return append(append(out, list[:i]...), list[i+1:]...)
}

// To returns the destination.
func (l *Letter) To() netip.Addr { return l.to }

// Packet returns the whole IP packet with that priority. A signature has the wall clock's
// time. The packet is valid until the next call, and nothing is allocated.
func (l *Letter) Packet(priority uint8, wall time.Time) []byte {
	msg := l.packet[l.message:]
	msg[2], msg[6], msg[7] = priority, 0, 0
	sum := addCarry(l.sum, uint16(priority)<<8)
	if l.signer != nil {
		l.signer.sign(msg, wall)
		if l.from.Is6() {
			sum = addWords(sum, msg[len(msg)-trailerLen:])
		}
	}
	binary.BigEndian.PutUint16(msg[6:], ^sum)
	return l.packet
}
