package bfd_test

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/hareconcile/hareconcile/internal/bfd"
)

// A pair is two sessions and the line between them.
type pair struct {
	t     *testing.T
	rnd   *rand.Rand
	now   time.Duration
	ends  [2]*bfd.Session
	moved [2]time.Duration // when an end last changed its state
	sent  [2]int           // packets that are no answers
	wire  []flying
	loss  float64
	delay time.Duration // at most
	cut   bool
}

type flying struct {
	at     time.Duration
	to     int
	packet bfd.Packet
}

func newPair(t *testing.T, seed uint64, a, b bfd.Config) *pair {
	p := &pair{t: t, rnd: rand.New(rand.NewPCG(seed, 0)), delay: 5 * ms}
	for i, cfg := range []bfd.Config{a, b} {
		p.ends[i] = bfd.New(cfg, uint32(i+1), p.rnd.Uint32)
	}
	return p
}

func (p *pair) do(end int, e bfd.Event) {
	actions := p.ends[end].Step(p.now, e)
	check(p.t, p.ends[end], actions)
	for _, a := range actions {
		switch {
		case a.Do == bfd.Move:
			p.moved[end] = p.now
		case !a.Packet.Final:
			p.sent[end]++
		}
		if a.Do == bfd.Transmit && !p.cut && p.rnd.Float64() >= p.loss {
			p.wire = append(p.wire, flying{p.now + 1 + time.Duration(p.rnd.Int64N(int64(p.delay))), 1 - end, a.Packet})
		}
	}
}

// run lets time pass.
func (p *pair) run(d time.Duration) {
	for until := p.now + d; ; {
		next, what := until, -1
		for i, f := range p.wire {
			if f.at < next {
				next, what = f.at, i
			}
		}
		timer := -1
		for i, s := range p.ends {
			if d := s.Deadline(); d < next {
				next, timer = d, i
			}
		}
		p.now = max(p.now, next)
		switch {
		case timer >= 0:
			p.do(timer, bfd.TimerFired{})
		case what >= 0:
			f := p.wire[what]
			p.wire = append(p.wire[:what], p.wire[what+1:]...)
			if !p.cut {
				p.do(f.to, bfd.Received{Packet: &f.packet})
			}
		default:
			return
		}
	}
}

func (p *pair) both(want bfd.State) bool {
	return p.ends[0].State() == want && p.ends[1].State() == want
}

func TestTwoEnds(t *testing.T) {
	for seed := range uint64(300) {
		rnd := rand.New(rand.NewPCG(seed, 1))
		random := func() bfd.Config {
			return bfd.Config{DesiredMinTx: time.Duration(10+rnd.IntN(2000)) * ms, RequiredMinRx: time.Duration(10+rnd.IntN(2000)) * ms, Multiplier: uint8(2 + rnd.IntN(9))}
		}
		cfg := [2]bfd.Config{random(), random()}
		p := newPair(t, seed, cfg[0], cfg[1])
		p.do(0, bfd.Start{})
		p.run(time.Duration(rnd.Int64N(int64(5 * time.Second))))
		p.do(1, bfd.Start{})
		p.run(10 * time.Second)
		if !p.both(bfd.Up) {
			t.Fatalf("seed %d: %v and %v ten seconds after the start", seed, p.ends[0].State(), p.ends[1].State())
		}
		stable := p.moved
		for range 5 { // changes in place never take it down
			i := rnd.IntN(2)
			cfg[i] = random()
			p.do(i, bfd.Reconfigured{Config: cfg[i]})
			p.run(time.Duration(rnd.Int64N(int64(10 * time.Second))))
		}
		if !p.both(bfd.Up) || p.moved != stable {
			t.Fatalf("seed %d: the session moved at %v though every packet came", seed, p.moved)
		}
		p.run(10 * time.Second) // every poll is answered by now
		p.sent = [2]int{}
		p.run(20 * time.Second)
		for i, n := range p.sent { // 75 to 100 % of the slower of the two
			every := max(cfg[i].DesiredMinTx, cfg[1-i].RequiredMinRx)
			if least, most := int(20*time.Second/every), int(20*time.Second*4/3/every); n < least || n > most+1 {
				t.Fatalf("seed %d: end %d sent %d packets in 20s, want %d to %d", seed, i, n, least, most+1)
			}
		}

		// RFC 5880, section 6.8.4, with what each end announced last.
		p.cut = true
		var limit [2]time.Duration
		for i := range limit {
			limit[i] = p.now + time.Duration(cfg[1-i].Multiplier)*max(cfg[i].RequiredMinRx, cfg[1-i].DesiredMinTx)
		}
		p.run(30 * time.Second)
		for i, s := range p.ends {
			if s.State() != bfd.Down || s.Diag() != bfd.DetectionTimeExpired || p.moved[i] > limit[i] {
				t.Fatalf("seed %d: end %d is %v (%v) since %v, want DOWN by silence at %v at the latest", seed, i, s.State(), s.Diag(), p.moved[i], limit[i])
			}
		}
		p.wire, p.cut = nil, false
		p.run(5 * time.Second)
		if !p.both(bfd.Up) {
			t.Fatalf("seed %d: %v and %v after the line came back", seed, p.ends[0].State(), p.ends[1].State())
		}
		p.do(0, bfd.Stop{})
		p.run(time.Second)
		if peer, _ := p.ends[1].Peer(); p.ends[1].State() != bfd.Down || p.ends[1].Diag() != bfd.NeighborSignaledDown || peer.State != bfd.AdminDown {
			t.Fatalf("seed %d: the peer of a stopped end is %v, %v", seed, p.ends[1].State(), p.ends[1].Diag())
		}
	}
}

// TestLoss loses and reorders packets: whatever happens, the ends find each other again.
func TestLoss(t *testing.T) {
	for seed := range uint64(100) {
		p := newPair(t, seed, fast, bfd.Config{DesiredMinTx: 50 * ms, RequiredMinRx: 300 * ms, Multiplier: 2})
		p.loss, p.delay = 0.3, 150*ms
		p.do(0, bfd.Start{})
		p.do(1, bfd.Start{})
		p.run(time.Minute)
		p.loss, p.delay = 0, ms
		p.run(10 * time.Second)
		if !p.both(bfd.Up) {
			t.Fatalf("seed %d: %v and %v", seed, p.ends[0].State(), p.ends[1].State())
		}
	}
}

// TestRestartOfAnEnd: a new incarnation with another discriminator is taken up.
func TestRestartOfAnEnd(t *testing.T) {
	p := newPair(t, 1, fast, fast)
	p.do(0, bfd.Start{})
	p.do(1, bfd.Start{})
	p.run(5 * time.Second)
	p.wire = nil
	p.ends[1] = bfd.New(fast, 77, p.rnd.Uint32)
	p.do(1, bfd.Start{})
	p.run(5 * time.Second)
	if peer, _ := p.ends[0].Peer(); !p.both(bfd.Up) || peer.My != 77 {
		t.Errorf("%v and %v, want UP with the new incarnation", p.ends[0].State(), p.ends[1].State())
	}
}
