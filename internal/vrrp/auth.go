package vrrp

import (
	"encoding/hex"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/hareconcile/hareconcile/reconcile/resource"
)

// The bounds of HMAC authentication (draft-cassen-vrrp-auth-hmac).
const (
	MinKey    = 32 // bytes
	MaxKey    = 64
	MinWindow = time.Second
	MaxWindow = 300 * time.Second

	// maxMarks is how many senders' sequences are remembered. Only who has a key gets one.
	maxMarks = 16
)

// An AuthConfig is what the operator chose for the signatures of one virtual router.
type AuthConfig struct {
	Mode   string           // one of resource.Auth*
	Keys   map[uint8][]byte // by id, 1 to 255, MinKey to MaxKey bytes each
	Active uint8            // the id of the key that signs
	// Window is how far a signature's time may be from ours; 0 is the larger of three
	// intervals and 5s.
	Window   time.Duration
	Interval time.Duration // our own
}

// An Auth signs one virtual router's adverts and verifies its peers' (the wire form of
// draft-cassen-vrrp-auth-hmac, as keepalived 2.4.2 has it). It is not safe for concurrent
// use.
type Auth struct {
	signs   bool // every advert of ours
	demands bool // a signature on every advert of others
	keys    [256]*key
	active  uint8
	window  int64 // in sequences, 2^-32 s each

	sent  uint64 // the last sequence signed; 0 before the first
	marks [maxMarks]mark
	used  uint64 // counts the uses of marks
	drift int64  // of the last sender that verified, as window
}

// A mark is the highest sequence of one sender.
type mark struct {
	from     netip.Addr
	sequence uint64
	used     uint64 // 0 in an empty slot
}

// ErrAuth is wrapped by what NewAuth returns.
var ErrAuth = errors.New("impossible authentication")

// ParseKey reads a key as keepalived writes it: the bytes themselves, or "hex:" and
// digits. The error does not tell the key.
func ParseKey(text string) ([]byte, error) {
	key := []byte(text)
	if digits, ok := strings.CutPrefix(text, "hex:"); ok {
		var err error
		if key, err = hex.DecodeString(digits); err != nil {
			return nil, fmt.Errorf("%w: a key that is not hexadecimal", ErrAuth)
		}
	}
	if len(key) < MinKey || len(key) > MaxKey {
		return nil, fmt.Errorf("%w: a key of %d bytes, want %d to %d", ErrAuth, len(key), MinKey, MaxKey)
	}
	return key, nil
}

// NewAuth returns an Auth that has heard nobody.
func NewAuth(cfg AuthConfig) (*Auth, error) {
	a := &Auth{active: cfg.Active}
	switch cfg.Mode {
	case resource.AuthReceiveOnly:
	case resource.AuthPermissive:
		a.signs = true
	case resource.AuthEnforce:
		a.signs, a.demands = true, true
	default:
		return nil, fmt.Errorf("%w: mode %q", ErrAuth, cfg.Mode)
	}
	for id, k := range cfg.Keys {
		if id == 0 || len(k) < MinKey || len(k) > MaxKey {
			return nil, fmt.Errorf("%w: key %d of %d bytes", ErrAuth, id, len(k))
		}
		a.keys[id] = newKey(k)
	}
	if a.keys[a.active] == nil {
		return nil, fmt.Errorf("%w: no key %d to sign with", ErrAuth, a.active)
	}
	window := cfg.Window
	if window == 0 {
		window = max(3*cfg.Interval, 5*time.Second)
	}
	if window < MinWindow || window > MaxWindow {
		return nil, fmt.Errorf("%w: window %v", ErrAuth, window)
	}
	a.window = int64(window/time.Second)<<32 + int64(window%time.Second)<<32/int64(time.Second)
	return a, nil
}

// AuthState is what an Auth has to remember when it is replaced: by another configuration
// or by another process.
type AuthState struct {
	Sent  uint64                `json:"sent,omitempty"`
	Heard map[netip.Addr]uint64 `json:"heard,omitempty"`
}

// State returns what the next Auth of the router has to Restore.
func (a *Auth) State() AuthState {
	s := AuthState{Sent: a.sent, Heard: map[netip.Addr]uint64{}}
	for _, m := range a.marks {
		if m.used != 0 {
			s.Heard[m.from] = m.sequence
		}
	}
	return s
}

// Restore goes on from s, so that what was heard before cannot be replayed and what is
// sent is not taken for a replay.
func (a *Auth) Restore(s AuthState) {
	a.sent = s.Sent
	for from, sequence := range s.Heard {
		a.mark(from).sequence = sequence
	}
}

// Drift returns how far behind ours the clock of the last sender was whose signature
// verified, and whether that is more than half of the window: then adverts will soon have
// no effect, and somebody should look after the clocks.
func (a *Auth) Drift() (behind time.Duration, far bool) {
	behind = time.Duration(a.drift>>32)*time.Second + time.Duration((a.drift&0xffffffff)*int64(time.Second)>>32)
	return behind, max(a.drift, -a.drift) > a.window/2
}

// admit says whether the advert may have an effect in this mode.
func (a *Auth) admit(ad *Advert, from netip.Addr, wall time.Time) Reject {
	switch {
	case ad.Signed():
		return a.verify(ad, from, wall)
	case a.demands:
		return RejectUnsigned
	}
	return Admitted
}

// fresh reports whether the sequence is later than all that the sender sent, and notes it.
// A mark that is out of the window orders nothing that the window admits; forgetting it
// lets a sender back in whose clock was ahead and has been set right.
func (a *Auth) fresh(from netip.Addr, sequence, now uint64) bool {
	m := a.mark(from)
	known := m.sequence != 0 && a.within(m.sequence, now)
	if known && int64(sequence-m.sequence) <= 0 { // serial number arithmetic (RFC 1982)
		return false
	}
	m.sequence = sequence
	return true
}

// mark returns the sender's mark, in the place of the one that was not used for longest.
func (a *Auth) mark(from netip.Addr) *mark {
	a.used++
	oldest := &a.marks[0]
	for i := range a.marks {
		m := &a.marks[i]
		if m.used != 0 && m.from == from {
			m.used = a.used
			return m
		}
		if m.used < oldest.used {
			oldest = m
		}
	}
	*oldest = mark{from: from, used: a.used}
	return oldest
}

func (a *Auth) within(sequence, now uint64) bool {
	age := int64(now - sequence)
	return age <= a.window && age >= -a.window
}

// next returns the sequence to sign with: the clock's, or one more than the last where the
// clock has not moved on. A clock that was ahead by more than the window and has been set
// right is followed back, because nobody would believe the old time.
func (a *Auth) next(wall time.Time) uint64 {
	now := sequenceAt(wall)
	ahead := int64(a.sent - now)
	if a.sent == 0 || ahead < 0 || ahead > a.window {
		a.sent = now
	} else {
		a.sent++
	}
	return a.sent
}

// sequenceAt returns the sequence of an instant: 32 bits of Unix seconds, 16 of a second's
// fraction, and a counter of 16 that starts at 0.
func sequenceAt(t time.Time) uint64 {
	return uint64(uint32(t.Unix()))<<32 | uint64(t.Nanosecond())<<16/uint64(time.Second)<<16
}
