package bfd

import (
	"math"
	"time"
)

// SlowTx is the least time between two packets that a session announces while it is not
// Up (RFC 5880, section 6.8.3).
const SlowTx = time.Second

const never = time.Duration(math.MaxInt64)

// A Config is what the operator chose for one session.
type Config struct {
	// DesiredMinTx is the least time between two packets that we would like to keep.
	DesiredMinTx time.Duration
	// RequiredMinRx is the least time between two packets that we can take.
	RequiredMinRx time.Duration
	// Multiplier is how many of our packets the peer may miss; not 0.
	Multiplier uint8
}

// A Session is one end of a BFD session. The zero value is not usable; call New. Times are
// since a moment of the caller's choice and never run backwards. A Session is not safe for
// concurrent use: one goroutine owns it.
type Session struct {
	cfg    Config
	begun  bool // Start was there once: what has never begun says nothing
	random func() uint32
	local  uint32
	state  State
	diag   Diagnostic

	desired  time.Duration // what we announce as DesiredMinTx
	required time.Duration // what we announce as RequiredMinRx
	sending  time.Duration // the DesiredMinTx that counts for our own rhythm
	awaiting time.Duration // the RequiredMinRx that counts for the detection time
	polling  bool
	repoll   bool // what is polled for changed again

	remote     uint32 // the peer's discriminator; 0 if unknown
	peer       Packet // what the peer said last
	heard      bool   // peer is worth something
	heardAt    time.Duration
	sentAt     time.Duration
	wait       time.Duration // between periodic packets before jitter; never if there are none
	transmitAt time.Duration
	out        []Action
}

// New returns a Session in state AdminDown that has said nothing yet. Its discriminator is
// not 0 and no other session's on this host; random is the source of the jitter.
func New(cfg Config, discriminator uint32, random func() uint32) *Session {
	s := &Session{
		cfg: cfg.bounded(), random: random, local: discriminator,
		wait: never, transmitAt: never, out: make([]Action, 0, 4),
	}
	s.announce()
	return s
}

// Resume returns a Session that goes on as Up where a predecessor of the same discriminator
// stopped a moment ago, without a word to the peer. It polls, because what it announces may
// have changed.
func Resume(now time.Duration, cfg Config, discriminator uint32, peer Packet, random func() uint32) *Session {
	s := New(cfg, discriminator, random)
	s.begun, s.state = true, Up
	s.remote, s.peer, s.heard, s.heardAt = peer.My, peer, true, now
	s.announce()
	s.pace(now)
	return s
}

// bounded returns what fits the wire and is not reserved there.
func (c Config) bounded() Config {
	const longest = (1<<32 - 1) * time.Microsecond
	c.DesiredMinTx = min(max(c.DesiredMinTx, time.Microsecond), longest)
	c.RequiredMinRx = min(max(c.RequiredMinRx, time.Microsecond), longest)
	c.Multiplier = max(c.Multiplier, 1)
	return c
}

// State reports the session's state.
func (s *Session) State() State { return s.state }

// Diag reports why the session last changed its state.
func (s *Session) Diag() Diagnostic { return s.diag }

// Peer reports what the peer said last; false if that is longer ago than the detection time.
func (s *Session) Peer() (Packet, bool) { return s.peer, s.heard }

// Deadline is when the session wants TimerFired, unless something else comes first.
func (s *Session) Deadline() time.Duration { return min(s.transmitAt, s.detectAt()) }

// Step advances the session by one event. The result is valid until the next Step.
func (s *Session) Step(now time.Duration, e Event) []Action {
	s.out = s.out[:0]
	switch e := e.(type) {
	case Start:
		if s.begun = true; s.state == AdminDown {
			s.move(now, Down, NoDiagnostic)
		}
	case Stop:
		if s.state != AdminDown {
			s.move(now, AdminDown, AdministrativelyDown)
		}
	case Reconfigured:
		s.reconfigure(now, e.Config)
	case Received:
		s.receive(now, e.Packet)
	case Woke:
		s.heardAt = now
	case TimerFired:
		s.fire(now)
	}
	return s.out
}

// receive follows RFC 5880, section 6.8.6.
func (s *Session) receive(now time.Duration, p *Packet) {
	s.remote, s.peer, s.heard, s.heardAt = p.My, *p, true, now
	switch {
	case !s.polling || !p.Final:
	case s.repoll:
		s.repoll = false // the answer may be to what was asked before the change
	default:
		s.settle()
	}
	s.pace(now)
	if s.state == AdminDown {
		return
	}
	switch {
	case p.State == AdminDown:
		if s.state != Down {
			s.move(now, Down, NeighborSignaledDown)
		}
	case s.state == Down && p.State == Down:
		s.move(now, Init, NoDiagnostic)
	case s.state == Down && p.State == Init, s.state == Init && p.State >= Init:
		s.move(now, Up, NoDiagnostic)
	case s.state == Up && p.State == Down:
		s.move(now, Down, NeighborSignaledDown)
	}
	if s.pace(now); p.Poll {
		s.transmit(now, true)
	}
}

// fire judges silence before it sends, so that what it sends is true.
func (s *Session) fire(now time.Duration) {
	if s.detectAt() <= now {
		// Whoever has not been heard for so long starts anew (RFC 5880, section 6.8.1).
		s.remote, s.peer, s.heard = 0, Packet{}, false
		s.settle()
		if s.state > Down {
			s.move(now, Down, DetectionTimeExpired)
		}
		s.pace(now)
	}
	if s.transmitAt <= now {
		s.transmit(now, false)
	}
}

func (s *Session) reconfigure(now time.Duration, cfg Config) {
	s.cfg = cfg.bounded()
	s.announce()
	s.pace(now)
	if s.polling {
		s.transmit(now, false)
	}
}

// move changes the state and tells the peer at once.
func (s *Session) move(now time.Duration, to State, why Diagnostic) {
	s.out = append(s.out, Action{Do: Move, From: s.state, To: to, Why: why})
	s.state, s.diag = to, why
	s.announce()
	s.pace(now)
	s.transmit(now, false)
}

// detectAt is when silence becomes a failure (RFC 5880, section 6.8.4).
func (s *Session) detectAt() time.Duration {
	if !s.heard {
		return never
	}
	return s.heardAt + time.Duration(s.peer.Multiplier)*max(s.awaiting, s.peer.DesiredMinTx)
}

// transmit sends what is so now, unless the peer wants nothing at all.
func (s *Session) transmit(now time.Duration, final bool) {
	if !final && s.silent() {
		return
	}
	s.out = append(s.out, Action{Do: Transmit, Packet: Packet{
		Diag: s.diag, State: s.state, Poll: s.polling && !final, Final: final,
		Multiplier: s.cfg.Multiplier, My: s.local, Your: s.remote,
		DesiredMinTx: s.desired, RequiredMinRx: s.required,
	}})
	if !final { // an answer does not put the rhythm off
		s.sentAt = now
		s.transmitAt = now + s.jitter(s.wait)
	}
}
