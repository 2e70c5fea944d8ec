package main

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"time"

	"github.com/hareconcile/hareconcile/internal/vrrp"
)

const (
	cpuWindows = 5
	cpuWindow  = 4 * time.Second
)

// crowd returns the part with many virtual routers at 1 s adverts: what they cost while
// nothing happens, and how long it takes until all of them have moved.
func crowd(routers, rounds int) part {
	return func(ctx context.Context, b *bench) error {
		pairs, err := b.pairs(ctx, b.vrrpd, layout{time.Second, routers, routers})
		if err != nil {
			return err
		}
		for _, p := range pairs {
			if err := p.start(ctx, 0, 1); err != nil {
				return fmt.Errorf("%s: %w", p.program, err)
			}
		}
		// The second announcements come 5 s after the election.
		if err := sleep(ctx, 12*time.Second); err != nil {
			return err
		}
		if err := cost(ctx, b, pairs, routers); err != nil {
			return err
		}
		t := newTable(fmt.Sprintf("%d virtual routers failing over at once, %d rounds: ms, median (least to most)", routers, rounds))
		for _, p := range pairs {
			if err := p.watch(ctx, false); err != nil {
				return err
			}
			if err := p.watchAddresses(ctx, 1); err != nil {
				return err
			}
		}
		for n := range rounds {
			for _, p := range pairs {
				if err := p.exodus(ctx, t, linksLost, time.Duration(n)*p.layout.interval/time.Duration(rounds)); err != nil {
					return fmt.Errorf("%s: %w", p.program, err)
				}
			}
			fmt.Fprintf(os.Stderr, "%d routers at once: round %d of %d\n", routers, n+1, rounds)
		}
		for _, p := range pairs {
			if err := p.daemons[0].stop(); err != nil {
				return err
			}
			if err := p.startHerald(ctx); err != nil {
				return err
			}
		}
		for n := range rounds {
			for _, p := range pairs {
				if err := p.exodus(ctx, t, heraldKilled, 100*time.Millisecond); err != nil {
					return fmt.Errorf("%s: %w", p.program, err)
				}
			}
			fmt.Fprintf(os.Stderr, "%d routers missing the same adverts: round %d of %d\n", routers, n+1, rounds)
		}
		t.print(b.out)
		return nil
	}
}

// An exit is how all masters end.
type exit struct {
	name  string
	equal bool // both programs should move at the same time
	do    func(context.Context, *pair) error
	undo  func(context.Context, *pair) error
}

var (
	linksLost = exit{"links lost", false, events[0].do, events[0].undo}
	// A master of either program sends its adverts as it does; this one sends all at once.
	heraldKilled = exit{
		"equal adverts end", true,
		func(_ context.Context, p *pair) error { return p.daemons[0].cmd.Process.Kill() },
		func(ctx context.Context, p *pair) error { return p.restart(ctx, 0) },
	}
)

// cost measures the processor time of both programs in the same windows.
func cost(ctx context.Context, b *bench, pairs []*pair, routers int) error {
	roles := [2]string{"as master", "as backup"}
	t := newTable(fmt.Sprintf("%d virtual routers, adverts every second, %d windows of %v: processor time, %% of one processor", routers, cpuWindows, cpuWindow))
	for range cpuWindows {
		before := map[*daemon]time.Duration{}
		start := time.Now()
		for _, p := range pairs {
			for _, d := range p.daemons {
				used, err := d.cpu()
				if err != nil {
					return fmt.Errorf("%s: %w", p.program, err)
				}
				before[d] = used
			}
		}
		if err := sleep(ctx, cpuWindow); err != nil {
			return err
		}
		for _, p := range pairs {
			for i, d := range p.daemons {
				used, err := d.cpu()
				if err != nil {
					return fmt.Errorf("%s: %w", p.program, err)
				}
				t.add("processor time", roles[i], p.program, 100*float64(used-before[d])/float64(time.Since(start)))
			}
		}
	}
	t.print(b.out)
	return nil
}

// exodus ends the masters and watches all routers move, then lets them come back.
func (p *pair) exodus(ctx context.Context, t *table, e exit, phase time.Duration) error {
	heard, err := p.ready(ctx)
	if err != nil {
		return err
	}
	if err := sleep(ctx, phase); err != nil {
		return err
	}
	at := time.Now()
	if err := e.do(ctx, p); err != nil {
		return err
	}
	m := newMove(p.layout, heard)
	deadline := time.After(5*p.layout.interval + 10*time.Second)
	for m.left() > 0 {
		s, err := p.next(ctx, deadline)
		if err != nil {
			return fmt.Errorf("%d signs of 3 for each router are missing: %w", m.left(), err)
		}
		n, host, ok := p.routerOf(s)
		switch {
		case s.What == sawAdvert && ok && host == 0:
			m.heard[n] = s.At
		case s.At.Before(at):
		case s.What == sawAdvert && ok:
			first(m.took, n, s.At)
		case s.What == sawHeld:
			first(m.held, s.From, s.At)
		case s.What == sawAnnounce && m.vips[s.From]:
			first(m.announced, s.From, s.At)
		}
	}
	wait := vrrp.DownInterval(p.layout.interval, backupPriority)
	var over []time.Duration
	var due time.Time // when the last router should have moved
	for n, last := range m.heard {
		over = append(over, m.took[n].Sub(last)-wait)
		if d := last.Add(wait); d.After(due) {
			due = d
		}
	}
	slices.Sort(over)
	t.add(e.name, "median overshoot", p.program, milliseconds(over[len(over)/2]))
	t.add(e.name, "last overshoot", p.program, milliseconds(over[len(over)-1]))
	if e.equal {
		t.add(e.name, "last VIP held, after due", p.program, milliseconds(latest(m.held).Sub(due)))
		t.add(e.name, "last announced, after due", p.program, milliseconds(latest(m.announced).Sub(due)))
	}
	t.add(e.name, "last VIP held, after loss", p.program, milliseconds(latest(m.held).Sub(at)))
	t.add(e.name, "last announced, after loss", p.program, milliseconds(latest(m.announced).Sub(at)))
	return e.undo(ctx, p)
}

// A move is what has been seen of all routers moving.
type move struct {
	heard     []time.Time // the masters' last adverts
	took      map[int]time.Time
	held      map[netip.Addr]time.Time
	announced map[netip.Addr]time.Time
	vips      map[netip.Addr]bool
}

func newMove(l layout, heard []time.Time) *move {
	m := &move{heard, map[int]time.Time{}, map[netip.Addr]time.Time{}, map[netip.Addr]time.Time{}, map[netip.Addr]bool{}}
	for n := range l.routers {
		for _, a := range l.vips(n) {
			m.vips[a] = true
		}
	}
	return m
}

// left is how many signs are still missing.
func (m *move) left() int {
	return len(m.heard) + 2*len(m.vips) - len(m.took) - len(m.held) - len(m.announced)
}

func first[K comparable](seen map[K]time.Time, key K, at time.Time) {
	if _, again := seen[key]; !again {
		seen[key] = at
	}
}

func latest[K comparable](seen map[K]time.Time) (last time.Time) {
	for _, at := range seen {
		if at.After(last) {
			last = at
		}
	}
	return last
}

func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
