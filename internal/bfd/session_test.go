package bfd_test

import (
	"testing"
	"time"

	"github.com/hareconcile/hareconcile/internal/bfd"
)

var fast = bfd.Config{DesiredMinTx: 100 * ms, RequiredMinRx: 100 * ms, Multiplier: 3}

// half is the middle of every jitter.
func half() uint32 { return 1 << 31 }

// said is a packet of the peer, whose discriminator is 99.
func said(state bfd.State) *bfd.Packet {
	return &bfd.Packet{State: state, Multiplier: 3, My: 99, Your: 7, DesiredMinTx: 100 * ms, RequiredMinRx: 100 * ms}
}

// in returns a session that has come to a state at time 0.
func in(t *testing.T, state bfd.State) *bfd.Session {
	t.Helper()
	s := bfd.New(fast, 7, half)
	if state >= bfd.Down {
		s.Step(0, bfd.Start{})
	}
	switch state {
	case bfd.Init:
		s.Step(0, bfd.Received{Packet: said(bfd.Down)})
	case bfd.Up:
		s.Step(0, bfd.Received{Packet: said(bfd.Init)})
		final := said(bfd.Up)
		final.Final = true
		s.Step(0, bfd.Received{Packet: final})
	}
	if s.State() != state {
		t.Fatalf("state = %v, want %v", s.State(), state)
	}
	return s
}

// sent returns the packets among actions.
func sent(actions []bfd.Action) (out []bfd.Packet) {
	for _, a := range actions {
		if a.Do == bfd.Transmit {
			out = append(out, a.Packet)
		}
	}
	return out
}

// TestReception is RFC 5880, section 6.2 and 6.8.6: one row for each arrow and each loop.
func TestReception(t *testing.T) {
	for _, tt := range []struct {
		in, hears, want bfd.State
		diag            bfd.Diagnostic
		moves           bool
	}{
		{bfd.Down, bfd.AdminDown, bfd.Down, 0, false},
		{bfd.Down, bfd.Down, bfd.Init, 0, true},
		{bfd.Down, bfd.Init, bfd.Up, 0, true},
		{bfd.Down, bfd.Up, bfd.Down, 0, false},
		{bfd.Init, bfd.AdminDown, bfd.Down, bfd.NeighborSignaledDown, true},
		{bfd.Init, bfd.Down, bfd.Init, 0, false},
		{bfd.Init, bfd.Init, bfd.Up, 0, true},
		{bfd.Init, bfd.Up, bfd.Up, 0, true},
		{bfd.Up, bfd.AdminDown, bfd.Down, bfd.NeighborSignaledDown, true},
		{bfd.Up, bfd.Down, bfd.Down, bfd.NeighborSignaledDown, true},
		{bfd.Up, bfd.Init, bfd.Up, 0, false},
		{bfd.Up, bfd.Up, bfd.Up, 0, false},
		{bfd.AdminDown, bfd.AdminDown, bfd.AdminDown, 0, false},
		{bfd.AdminDown, bfd.Down, bfd.AdminDown, 0, false},
		{bfd.AdminDown, bfd.Init, bfd.AdminDown, 0, false},
		{bfd.AdminDown, bfd.Up, bfd.AdminDown, 0, false},
	} {
		t.Run(tt.in.String()+" hears "+tt.hears.String(), func(t *testing.T) {
			s := in(t, tt.in)
			actions := s.Step(ms, bfd.Received{Packet: said(tt.hears)})
			check(t, s, actions)
			if s.State() != tt.want || s.Diag() != tt.diag {
				t.Errorf("state = %v, %v, want %v, %v", s.State(), s.Diag(), tt.want, tt.diag)
			}
			if got := sent(actions); len(got) > 0 != tt.moves || tt.moves && got[0].State != tt.want {
				t.Errorf("sent %+v, want the new state at once: %v", got, tt.moves)
			}
		})
	}
}

func TestSilenceTakesTheSessionDown(t *testing.T) {
	for _, tt := range []struct {
		name   string
		ours   time.Duration // required
		theirs time.Duration // desired
		mult   uint8
		want   time.Duration
	}{
		{"the slower of the two, times the peer's multiplier: ours", 100 * ms, 10 * ms, 5, 500 * ms},
		{"the slower of the two, times the peer's multiplier: theirs", 100 * ms, 300 * ms, 3, 900 * ms},
		{"equal", 100 * ms, 100 * ms, 3, 300 * ms},
		{"a peer that desires 0", 100 * ms, 0, 1, 100 * ms},
		{"the longest of all", 100 * ms, (1<<32 - 1) * us, 255, 255 * (1<<32 - 1) * us},
	} {
		for _, state := range []bfd.State{bfd.Init, bfd.Up} {
			t.Run(tt.name+", "+state.String(), func(t *testing.T) {
				s := in(t, state)
				s.Step(0, bfd.Reconfigured{Config: bfd.Config{DesiredMinTx: 100 * ms, RequiredMinRx: tt.ours, Multiplier: 9}})
				p := said(state)
				p.DesiredMinTx, p.Multiplier = tt.theirs, tt.mult
				if state == bfd.Init {
					p.State = bfd.Down
				}
				s.Step(ms, bfd.Received{Packet: p})
				s.Step(ms+tt.want-1, bfd.TimerFired{})
				if s.State() != state {
					t.Fatalf("state = %v a nanosecond early", s.State())
				}
				if s.Deadline() > ms+tt.want {
					t.Fatalf("deadline = %v, want no later than %v", s.Deadline(), ms+tt.want)
				}
				got := sent(s.Step(ms+tt.want, bfd.TimerFired{}))
				if s.State() != bfd.Down || s.Diag() != bfd.DetectionTimeExpired {
					t.Fatalf("state = %v, %v, want DOWN by silence", s.State(), s.Diag())
				}
				if len(got) == 0 || got[0].Your != 0 || got[0].Diag != bfd.DetectionTimeExpired || got[0].Poll {
					t.Errorf("sent %+v, want one that has forgotten the peer and says why", got)
				}
				if _, heard := s.Peer(); heard {
					t.Error("the peer still counts")
				}
			})
		}
	}
}

func TestWaking(t *testing.T) {
	s := in(t, bfd.Up)
	s.Step(time.Minute, bfd.Woke{})
	if s.Step(time.Minute, bfd.TimerFired{}); s.State() != bfd.Up {
		t.Fatalf("state = %v, want UP: nobody could hear", s.State())
	}
	if s.Step(time.Minute+300*ms, bfd.TimerFired{}); s.State() != bfd.Down {
		t.Errorf("state = %v a detection time later, want DOWN", s.State())
	}
}

func TestSlowUntilUp(t *testing.T) {
	s := bfd.New(fast, 7, half)
	if got := s.Deadline(); got < 1<<62 {
		t.Fatalf("deadline = %v before the start", got)
	}
	s.Step(0, bfd.Received{Packet: said(bfd.Down)})
	if got := sent(s.Step(time.Minute, bfd.TimerFired{})); len(got) != 0 {
		t.Fatalf("sent %+v before the start", got)
	}
	s = bfd.New(fast, 7, half)
	got := sent(s.Step(0, bfd.Start{}))
	if len(got) != 1 || got[0].State != bfd.Down || got[0].Your != 0 || got[0].My != 7 || got[0].DesiredMinTx != time.Second || got[0].RequiredMinRx != 100*ms {
		t.Fatalf("first packet = %+v", got)
	}
	if d := s.Deadline(); d != 875*ms { // half of the jitter
		t.Errorf("deadline = %v, want 875ms", d)
	}
	s.Step(0, bfd.Received{Packet: said(bfd.Down)})
	if d := s.Deadline(); d != 300*ms {
		t.Errorf("deadline = %v, want the detection time", d)
	}
	got = sent(s.Step(0, bfd.Received{Packet: said(bfd.Init)}))
	if len(got) != 1 || got[0].State != bfd.Up || !got[0].Poll || got[0].DesiredMinTx != 100*ms || got[0].Your != 99 {
		t.Fatalf("on going UP sent %+v, want a poll with 100ms", got)
	}
	if d := s.Deadline(); d != 87500*us {
		t.Errorf("deadline = %v, want 87.5ms: a shorter time needs no answer", d)
	}
	if got := sent(s.Step(s.Deadline(), bfd.TimerFired{})); len(got) != 1 || !got[0].Poll {
		t.Errorf("sent %+v, want the poll again", got)
	}
	final := said(bfd.Up)
	final.Final = true
	s.Step(90*ms, bfd.Received{Packet: final})
	if got := sent(s.Step(s.Deadline(), bfd.TimerFired{})); len(got) != 1 || got[0].Poll {
		t.Errorf("sent %+v, want the poll to be over", got)
	}
}

func TestPollIsAnsweredAtOnce(t *testing.T) {
	for _, state := range []bfd.State{bfd.Down, bfd.Init, bfd.Up} {
		s := in(t, state)
		before := s.Deadline()
		poll := said(bfd.Up)
		poll.Poll = true
		if state < bfd.Up {
			poll.State = bfd.AdminDown
			s.Step(0, bfd.Received{Packet: said(bfd.AdminDown)})
			before = s.Deadline()
		}
		got := sent(s.Step(0, bfd.Received{Packet: poll}))
		if len(got) != 1 || !got[0].Final || got[0].Poll || got[0].State != s.State() {
			t.Errorf("%v: sent %+v, want one final", state, got)
		}
		if s.Deadline() != before {
			t.Errorf("%v: an answer moved the deadline from %v to %v", state, before, s.Deadline())
		}
	}
	s := in(t, bfd.AdminDown)
	poll := said(bfd.Up)
	poll.Poll = true
	if got := sent(s.Step(0, bfd.Received{Packet: poll})); len(got) != 0 {
		t.Errorf("ADMIN_DOWN answers %+v, want nothing", got)
	}
}

func TestChangesWaitForTheAnswer(t *testing.T) {
	final := said(bfd.Up)
	final.Final = true

	t.Run("we send no slower before the peer knows", func(t *testing.T) {
		s := in(t, bfd.Up)
		got := sent(s.Step(0, bfd.Reconfigured{Config: bfd.Config{DesiredMinTx: time.Second, RequiredMinRx: 100 * ms, Multiplier: 3}}))
		if len(got) != 1 || !got[0].Poll || got[0].DesiredMinTx != time.Second {
			t.Fatalf("sent %+v, want a poll", got)
		}
		if d := s.Deadline(); d != 87500*us {
			t.Errorf("deadline = %v, want the old rhythm", d)
		}
		s.Step(ms, bfd.Received{Packet: final})
		if d := s.Deadline(); d != 301*ms { // silence comes before the next packet now
			t.Errorf("deadline = %v, want the new rhythm after the answer", d)
		}
	})
	t.Run("we expect no faster before the peer knows", func(t *testing.T) {
		s := in(t, bfd.Up)
		p := *final
		p.DesiredMinTx = 10 * ms
		s.Step(0, bfd.Received{Packet: &p})
		s.Step(0, bfd.Reconfigured{Config: bfd.Config{DesiredMinTx: time.Hour, RequiredMinRx: 10 * ms, Multiplier: 3}})
		if s.Step(299*ms, bfd.TimerFired{}); s.State() != bfd.Up {
			t.Fatalf("state = %v before the old detection time", s.State())
		}
		s.Step(299*ms, bfd.Received{Packet: &p})
		if d := s.Deadline(); d != 329*ms {
			t.Errorf("deadline = %v, want the new detection time", d)
		}
	})
	t.Run("we expect slower at once", func(t *testing.T) {
		s := in(t, bfd.Up)
		s.Step(0, bfd.Reconfigured{Config: bfd.Config{DesiredMinTx: 100 * ms, RequiredMinRx: time.Second, Multiplier: 3}})
		if s.Step(2999*ms, bfd.TimerFired{}); s.State() != bfd.Up {
			t.Errorf("state = %v within the longer detection time", s.State())
		}
	})
	t.Run("a change during a poll is polled again", func(t *testing.T) {
		s := in(t, bfd.Up)
		for _, d := range []time.Duration{time.Second, 2 * time.Second} {
			s.Step(0, bfd.Reconfigured{Config: bfd.Config{DesiredMinTx: d, RequiredMinRx: 100 * ms, Multiplier: 3}})
		}
		s.Step(0, bfd.Received{Packet: final}) // to the first
		if got := sent(s.Step(s.Deadline(), bfd.TimerFired{})); len(got) != 1 || !got[0].Poll || got[0].DesiredMinTx != 2*time.Second {
			t.Errorf("sent %+v, want the second poll in the old rhythm", got)
		}
	})
	t.Run("the same again is no change", func(t *testing.T) {
		s := in(t, bfd.Up)
		if got := s.Step(0, bfd.Reconfigured{Config: fast}); len(got) != 0 {
			t.Errorf("actions = %+v, want none", got)
		}
	})
}

func TestPeerSlowsUsDown(t *testing.T) {
	s := in(t, bfd.Up)
	p := said(bfd.Up)
	p.RequiredMinRx, p.DesiredMinTx = 2*time.Second, 10*time.Second
	s.Step(0, bfd.Received{Packet: p})
	if d := s.Deadline(); d != 1750*ms {
		t.Errorf("deadline = %v, want 87.5 %% of what the peer can take", d)
	}
	p.RequiredMinRx = 0
	s.Step(0, bfd.Received{Packet: p})
	if d := s.Deadline(); d != 30*time.Second {
		t.Errorf("deadline = %v, want nothing but the detection time: the peer can take no packet", d)
	}
	p.RequiredMinRx, p.Demand = 100*ms, true
	s.Step(0, bfd.Received{Packet: p})
	if d := s.Deadline(); d != 30*time.Second {
		t.Errorf("deadline = %v, want nothing but the detection time: the peer is in demand mode", d)
	}
	p.Demand = false
	s.Step(time.Second, bfd.Received{Packet: p})
	if d := s.Deadline(); d != time.Second {
		t.Errorf("deadline = %v, want now", d)
	}
	s.Step(31*time.Second, bfd.TimerFired{})
	if d := s.Deadline(); s.State() != bfd.Down || d != 31875*ms {
		t.Errorf("%v with deadline %v, want DOWN and a second's rhythm for a peer that is forgotten", s.State(), d)
	}
}

func TestJitter(t *testing.T) {
	for _, tt := range []struct {
		multiplier uint8
		random     uint32
		want       time.Duration
	}{
		{3, 0, 75 * ms}, {3, 1<<32 - 1, 100 * ms}, {1, 0, 75 * ms}, {1, 1<<32 - 1, 90 * ms}, {0, 1<<32 - 1, 90 * ms},
	} {
		s := bfd.New(bfd.Config{DesiredMinTx: 100 * ms, RequiredMinRx: 100 * ms, Multiplier: tt.multiplier}, 7, func() uint32 { return tt.random })
		s.Step(0, bfd.Start{})
		p := said(bfd.Init)
		p.DesiredMinTx = time.Hour
		s.Step(0, bfd.Received{Packet: p})
		if d := s.Deadline(); d > tt.want || d < tt.want-us {
			t.Errorf("multiplier %d, random %#x: next packet after %v, want %v", tt.multiplier, tt.random, d, tt.want)
		}
	}
}

func TestStopping(t *testing.T) {
	s := in(t, bfd.Up)
	got := sent(s.Step(0, bfd.Stop{}))
	if len(got) != 1 || got[0].State != bfd.AdminDown || got[0].Diag != bfd.AdministrativelyDown || got[0].DesiredMinTx != time.Second {
		t.Fatalf("sent %+v, want ADMIN_DOWN with its reason", got)
	}
	if got := s.Step(0, bfd.Stop{}); len(got) != 0 {
		t.Errorf("a second stop does %+v", got)
	}
	if got := sent(s.Step(time.Second, bfd.TimerFired{})); len(got) != 1 || got[0].State != bfd.AdminDown {
		t.Errorf("sent %+v, want it again", got)
	}
	if s.Step(2*time.Second, bfd.Start{}); s.State() != bfd.Down || s.Diag() != bfd.NoDiagnostic {
		t.Errorf("state = %v, %v, want DOWN without a reason", s.State(), s.Diag())
	}
}

func TestResuming(t *testing.T) {
	s := bfd.Resume(time.Hour, fast, 7, *said(bfd.Up), half)
	if s.State() != bfd.Up || s.Deadline() != time.Hour {
		t.Fatalf("%v with deadline %v, want UP and a packet at once", s.State(), s.Deadline())
	}
	got := sent(s.Step(time.Hour, bfd.TimerFired{}))
	if len(got) != 1 || got[0].State != bfd.Up || !got[0].Poll || got[0].My != 7 || got[0].Your != 99 || got[0].DesiredMinTx != 100*ms {
		t.Errorf("sent %+v, want a poll of the same two", got)
	}
	if s.Step(time.Hour+300*ms, bfd.TimerFired{}); s.State() != bfd.Down || s.Diag() != bfd.DetectionTimeExpired {
		t.Errorf("%v (%v) a detection time later, want DOWN by silence", s.State(), s.Diag())
	}
}
