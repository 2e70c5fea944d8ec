package vrrp

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"hash"
	"net/netip"
	"time"
)

// The trailer: type, key id, two reserved bytes, the sequence's eight, and the code.
const (
	trailerLen  = trailerHead + codeLen
	trailerHead = 12
	trailerHMAC = 1
	codeLen     = 16 // of HMAC-SHA256's 32 bytes
	pseudoLen   = 20
)

// A key computes codes. Everything that a hash reads or writes is in here, because what is
// passed to an interface would otherwise be allocated.
type key struct {
	mac    hash.Hash
	pseudo [pseudoLen]byte
	zeros  [codeLen]byte
	code   [sha256.Size]byte
}

func newKey(secret []byte) *key {
	k := &key{mac: hmac.New(sha256.New, secret)}
	k.mac.Reset() // the first one prepares the others
	return k
}

// A signer is what the signatures of one letter are bound to. Verifying shares no code
// with it.
type signer struct {
	auth   *Auth
	pseudo []byte
}

func newSigner(a *Auth, version, vrid uint8, from netip.Addr) *signer {
	s := &signer{auth: a, pseudo: append(make([]byte, 0, pseudoLen), 4, version, vrid, 0)}
	if from.Is6() {
		s.pseudo[0] = 6
	}
	s.pseudo = append(s.pseudo, from.AsSlice()...)[:pseudoLen]
	return s
}

// sign fills in the trailer of a message that it follows in b, whose checksum is not
// computed yet and zero.
func (s *signer) sign(b []byte, wall time.Time) {
	t := b[len(b)-trailerLen:]
	t[0], t[1], t[2], t[3] = trailerHMAC, s.auth.active, 0, 0
	binary.BigEndian.PutUint64(t[4:], s.auth.next(wall))
	clear(t[trailerHead:])
	k := s.auth.keys[s.auth.active]
	k.mac.Reset()
	k.mac.Write(s.pseudo)
	k.mac.Write(b)
	copy(t[trailerHead:], k.mac.Sum(k.code[:0]))
}

// verify checks a received trailer. Time is looked at before the code, so that old
// captures cost little; the marks move only for what has the right code.
func (a *Auth) verify(ad *Advert, from netip.Addr, wall time.Time) Reject {
	t := ad.trailer
	if len(t) != trailerLen || t[0] != trailerHMAC || t[2] != 0 || t[3] != 0 {
		return RejectTrailer
	}
	sequence, now := binary.BigEndian.Uint64(t[4:]), sequenceAt(wall)
	if !a.within(sequence, now) {
		return RejectStale
	}
	k := a.keys[t[1]]
	if k == nil {
		return RejectKey
	}
	msg := ad.message
	k.bind(ad.Version, ad.VRID, from)
	k.mac.Write(msg[:6])
	k.mac.Write(k.zeros[:2]) // the checksum
	k.mac.Write(msg[8:])
	k.mac.Write(t[:trailerHead])
	k.mac.Write(k.zeros[:])
	if !hmac.Equal(k.mac.Sum(k.code[:0])[:codeLen], t[trailerHead:]) {
		return RejectHMAC
	}
	if !a.fresh(from, sequence, now) {
		return RejectReplay
	}
	a.drift = int64(now - sequence)
	return Admitted
}

// bind starts a code over what the signature is bound to: the IP version, VRRP version,
// virtual router and sender. The destination is not among it, nor the rest of the IP
// header.
func (k *key) bind(version, vrid uint8, from netip.Addr) {
	k.pseudo = [pseudoLen]byte{4, version, vrid}
	if from.Is4() {
		v4 := from.As4()
		copy(k.pseudo[4:], v4[:])
	} else {
		k.pseudo[0] = 6
		v6 := from.As16()
		copy(k.pseudo[4:], v6[:])
	}
	k.mac.Reset()
	k.mac.Write(k.pseudo[:])
}
