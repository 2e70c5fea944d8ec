package vrrp_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"net/netip"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/hareconcile/hareconcile/internal/vrrp"
)

// A lan is a simulated segment: machines, the adverts under way, and a clock.
type lan struct {
	now    time.Duration
	delay  time.Duration
	lose   func(from, to int) bool
	nodes  []*station
	flying []flight
	log    strings.Builder
	check  func() // runs after every event
}

// A station is one machine on a lan, nil while it is dead.
type station struct {
	name     string
	cfg      vrrp.Config
	m        *vrrp.Machine
	deadline time.Duration
}

// A flight is an advert under way.
type flight struct {
	at time.Duration
	to int
	e  vrrp.Received
}

const noTimer = time.Duration(math.MaxInt64)

func newLAN(cfgs ...vrrp.Config) *lan {
	l := &lan{lose: func(int, int) bool { return false }, check: func() {}}
	for i, cfg := range cfgs {
		cfg.Source = netip.AddrFrom4([4]byte{10, 0, 0, byte(i + 1)})
		l.nodes = append(l.nodes, &station{name: string(rune('a' + i)), cfg: cfg, deadline: noTimer})
	}
	return l
}

// boot starts a machine anew, as a host that came up.
func (l *lan) boot(i int) {
	l.nodes[i].m = vrrp.New(l.nodes[i].cfg)
	l.step(i, vrrp.Start{})
}

// die ends a machine without a word.
func (l *lan) die(i int) { l.nodes[i].m, l.nodes[i].deadline = nil, noTimer }

func (l *lan) step(i int, e vrrp.Event) {
	n := l.nodes[i]
	if n.m == nil {
		return
	}
	for _, a := range n.m.Step(e) {
		switch a.Do {
		case vrrp.Advertise:
			for to := range l.nodes {
				if to != i && !l.lose(i, to) {
					l.flying = append(l.flying, flight{l.now + l.delay, to, vrrp.Received{Priority: a.Priority, Interval: n.cfg.Interval, Source: n.cfg.Source}})
				}
			}
		case vrrp.SetTimer:
			n.deadline = l.now + a.After
		case vrrp.ShiftTimer:
			n.deadline += a.After
		case vrrp.ClearTimer:
			n.deadline = noTimer
		case vrrp.Move:
			fmt.Fprintf(&l.log, "%v %s %v->%v: %v\n", l.now, n.name, a.From, a.To, a.Why)
		}
	}
}

// run lets d pass. Adverts that arrive at an instant come before timers of that instant.
func (l *lan) run(d time.Duration) {
	end := l.now + d
	for {
		next, fly, fire := end, -1, -1
		for i, n := range l.nodes {
			if n.deadline < next {
				next, fire = n.deadline, i
			}
		}
		for i, f := range l.flying {
			if f.at <= next && (fly < 0 || f.at < l.flying[fly].at) {
				next, fly = f.at, i
			}
		}
		l.now = next
		switch {
		case fly >= 0:
			f := l.flying[fly]
			l.flying = append(l.flying[:fly], l.flying[fly+1:]...)
			l.step(f.to, f.e)
		case fire >= 0:
			l.nodes[fire].deadline = noTimer
			l.step(fire, vrrp.TimerFired{})
		default:
			return
		}
		l.check()
	}
}

func (l *lan) masters() (out []string) {
	for _, n := range l.nodes {
		if n.m != nil && n.m.State() == vrrp.Master {
			out = append(out, n.name)
		}
	}
	return out
}

// TestHourLongScript holds every transition of two routers to the exact instant.
func TestHourLongScript(t *testing.T) {
	l := newLAN(vrrp.Config{Priority: 200, Interval: s, Preempt: true}, vrrp.Config{Priority: 100, Interval: s, Preempt: true})
	l.boot(0)
	l.boot(1)
	l.run(time.Hour)
	l.step(0, vrrp.Stop{})
	l.run(10 * time.Second)
	l.boot(0)
	l.run(10 * time.Second)
	l.die(0)
	l.run(10 * time.Second)
	l.step(1, vrrp.Gate{})
	l.run(time.Second)
	l.step(1, vrrp.Gate{Up: true})
	l.run(10 * time.Second)
	const want = `
0s a INIT->BACKUP: started
0s b INIT->BACKUP: started
3.21875s a BACKUP->MASTER: no master was heard
1h0m0s a MASTER->INIT: stopped
1h0m0.609375s b BACKUP->MASTER: no master was heard
1h0m10s a INIT->BACKUP: started
1h0m13.21875s a BACKUP->MASTER: no master was heard
1h0m13.21875s b MASTER->BACKUP: a better master was heard
1h0m22.828125s b BACKUP->MASTER: no master was heard
1h0m30s b MASTER->FAULT: a gate is down
1h0m31s b FAULT->BACKUP: all gates are up
1h0m34.609375s b BACKUP->MASTER: no master was heard
`
	if got := "\n" + l.log.String(); got != want {
		t.Errorf("transitions:%s\nwant:%s", got, want)
	}
}

// TestSegmentHeals lets two or three routers die, come back, lose their gates and most of
// their adverts, and holds two promises: while a router is up, a master is missing for no
// longer than the longest master-down interval; and once the segment is whole, there is
// exactly one.
func TestSegmentHeals(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		interval := rapid.SampledFrom([]time.Duration{10 * ms, 100 * ms, s}).Draw(t, "interval")
		var cfgs []vrrp.Config
		for range rapid.IntRange(2, 3).Draw(t, "routers") {
			cfgs = append(cfgs, vrrp.Config{
				Priority: rapid.SampledFrom([]uint8{1, 100, 150, 254}).Draw(t, "priority"), Interval: interval, Preempt: rapid.Bool().Draw(t, "preempt"),
			})
		}
		l := newLAN(cfgs...)
		l.delay = time.Duration(rapid.Int64Range(0, int64(interval/20)).Draw(t, "delay"))
		loss := rapid.Float64Range(0, 0.9).Draw(t, "loss")
		chance := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 0))
		l.lose = func(int, int) bool { return chance.Float64() < loss }
		bound := vrrp.DownInterval(interval, 1) + 2*l.delay
		var without time.Duration // since when there is no master that should be there
		l.check = func() {
			up := false
			for _, n := range l.nodes {
				up = up || n.m != nil && n.m.State() != vrrp.Fault && n.m.State() != vrrp.Init
			}
			if !up || len(l.masters()) > 0 {
				without = l.now
			}
			if l.now-without > bound {
				t.Fatalf("no master for %v, at most %v\n%s", l.now-without, bound, l.log.String())
			}
		}
		for i := range l.nodes {
			l.boot(i)
		}
		for range rapid.IntRange(0, 30).Draw(t, "events") {
			l.run(time.Duration(rapid.Int64Range(0, int64(6*interval)).Draw(t, "pass")))
			i := rapid.IntRange(0, len(l.nodes)-1).Draw(t, "router")
			l.disturb(i, rapid.IntRange(0, 5).Draw(t, "event"))
			without = l.now // what was up may just have left
		}
		loss = 0
		for i, n := range l.nodes {
			if n.m == nil {
				l.boot(i)
			}
			l.step(i, vrrp.Gate{Up: true})
		}
		l.run(3 * bound)
		for range 20 {
			l.run(interval / 2)
			if got := l.masters(); len(got) != 1 {
				t.Fatalf("masters after the segment healed = %v, want one\n%s", got, l.log.String())
			}
		}
	})
}

func (l *lan) disturb(i, event int) {
	switch event {
	case 0:
		l.die(i)
	case 1:
		l.boot(i)
	case 2:
		l.step(i, vrrp.Gate{})
	case 3:
		l.step(i, vrrp.Gate{Up: true})
	case 4:
		l.step(i, vrrp.Resign{})
	case 5:
		l.step(i, vrrp.Woke{})
	}
}
