package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/hareconcile/hareconcile/internal/vrrp"
)

// A failover is what became of one event.
type failover struct {
	overshoot time.Duration // of the backup's first advert over what the RFC has it wait
	announced time.Duration // from the event to the backup's first gratuitous ARP
	outage    time.Duration // the client's wait for an answer
}

// events are what happens to a master, in the order of the table.
var events = []struct {
	name    string
	resigns bool
	do      func(context.Context, *pair) error
	undo    func(context.Context, *pair) error
}{
	{
		"link loss", false,
		func(ctx context.Context, p *pair) error { return p.segment.cut(ctx, true) },
		func(ctx context.Context, p *pair) error { return p.segment.cut(ctx, false) },
	},
	{
		"clean hand-over", true,
		func(_ context.Context, p *pair) error { return p.daemons[0].stop() },
		func(ctx context.Context, p *pair) error { return p.restart(ctx, 0) },
	},
}

var failoverMeasures = []struct {
	name string
	of   func(failover) time.Duration
}{
	{"overshoot", func(f failover) time.Duration { return f.overshoot }},
	{"announced after", func(f failover) time.Duration { return f.announced }},
	{"client's outage", func(f failover) time.Duration { return f.outage }},
}

// failovers returns the part that lets links and masters end at some interval of adverts.
func failovers(interval time.Duration, rounds int) part {
	return func(ctx context.Context, b *bench) error {
		pairs, err := b.pairs(ctx, b.vrrpd, single(interval))
		if err != nil {
			return err
		}
		for _, p := range pairs {
			if err := p.watch(ctx, true); err != nil {
				return err
			}
			if err := p.start(ctx, 0, 1); err != nil {
				return fmt.Errorf("%s: %w", p.program, err)
			}
		}
		t := newTable(fmt.Sprintf("failover, adverts every %v, %d rounds: ms, median (least to most)", interval, rounds))
		for n := range rounds {
			// Both programs meet each event at the same distance from the master's last advert.
			phase := time.Duration(n) * interval / time.Duration(rounds)
			for _, e := range events {
				for _, p := range pairs {
					f, err := p.failover(ctx, phase, e.do, e.resigns)
					if err != nil {
						return fmt.Errorf("%s, %s: %w", p.program, e.name, err)
					}
					for _, m := range failoverMeasures {
						t.add(e.name, m.name, p.program, milliseconds(m.of(f)))
					}
					if err := e.undo(ctx, p); err != nil {
						return fmt.Errorf("%s after %s: %w", p.program, e.name, err)
					}
				}
			}
			fmt.Fprintf(os.Stderr, "adverts every %v: round %d of %d\n", interval, n+1, rounds)
		}
		t.print(b.out)
		return nil
	}
}

// failover waits until all is well, makes something happen to the master, that long after
// an advert, and watches the backup take over.
func (p *pair) failover(ctx context.Context, phase time.Duration, do func(context.Context, *pair) error, resigns bool) (f failover, err error) {
	heard, err := p.ready(ctx)
	if err != nil {
		return f, err
	}
	select {
	case <-time.After(phase):
	case <-ctx.Done():
		return f, context.Cause(ctx)
	}
	at := time.Now()
	if err := do(ctx, p); err != nil {
		return f, err
	}
	wait := vrrp.DownInterval(p.layout.interval, backupPriority)
	if resigns {
		wait = vrrp.Skew(p.layout.interval, backupPriority)
	}
	last, taken := heard[0], false
	vip := p.layout.vips(0)[0]
	mac := ""
	deadline := time.After(5*p.layout.interval + 5*time.Second)
	for f.announced == 0 || f.outage == 0 {
		s, err := p.next(ctx, deadline)
		if errors.Is(err, errQuiet) && f.announced > 0 {
			return f, nil // too short for the client to notice
		}
		if err != nil {
			return f, err
		}
		_, host, ok := p.routerOf(s)
		switch {
		case s.What == sawGap && s.At.After(at):
			f.outage = s.Long
		case s.What == sawAnnounce && taken && s.From == vip && s.MAC == mac && f.announced == 0:
			f.announced = s.At.Sub(at)
			deadline = time.After(p.layout.interval + 20*probeEvery)
		case s.What != sawAdvert || !ok:
		case host == 0:
			last = s.At
		case !taken && s.At.After(at):
			// The backup's first advert comes before its announcements.
			taken, mac = true, s.MAC
			f.overshoot = s.At.Sub(last) - wait
		}
	}
	return f, nil
}

// A crash is what became of a killed process.
type crash struct {
	outage      time.Duration // the client's longest wait, 0 if it did not notice
	transitions int           // changes of the host that advertises
}

// crashes returns the part that kills the process that does VRRP on the master.
func crashes(interval time.Duration, rounds int) part {
	return func(ctx context.Context, b *bench) error {
		pairs, err := b.pairs(ctx, b.vrrpd, single(interval))
		if err != nil {
			return err
		}
		for _, p := range pairs {
			if err := p.watch(ctx, true); err != nil {
				return err
			}
			if err := p.start(ctx, 0, 1); err != nil {
				return fmt.Errorf("%s: %w", p.program, err)
			}
		}
		t := newTable(fmt.Sprintf("kill -9 of the VRRP process on the master, adverts every %v, %d rounds; keepalived's parent starts another at once, systemd starts ours after %v", interval, rounds, restartAfter))
		for n := range rounds {
			phase := time.Duration(n) * interval / time.Duration(rounds)
			var crashed [2]crash
			var failed [2]error
			var both sync.WaitGroup // they take seconds, and what is measured does, too
			for i, p := range pairs {
				both.Go(func() { crashed[i], failed[i] = p.crash(ctx, phase) })
			}
			both.Wait()
			if err := errors.Join(failed[:]...); err != nil {
				return err
			}
			for i, p := range pairs {
				t.add("kill -9", "client's outage, ms", p.program, milliseconds(crashed[i].outage))
				t.add("kill -9", "moves of the VIP", p.program, float64(crashed[i].transitions))
			}
			fmt.Fprintf(os.Stderr, "kill -9: round %d of %d\n", n+1, rounds)
		}
		t.print(b.out)
		return nil
	}
}

// crash kills the master's process, and watches for as long as two moves can take.
func (p *pair) crash(ctx context.Context, phase time.Duration) (c crash, err error) {
	if _, err := p.ready(ctx); err != nil {
		return c, err
	}
	select {
	case <-time.After(phase):
	case <-ctx.Done():
		return c, context.Cause(ctx)
	}
	at := time.Now()
	if err := p.daemons[0].crash(ctx); err != nil {
		return c, err
	}
	window := time.After(9 * p.layout.interval)
	for master := 0; ; {
		s, err := p.next(ctx, window)
		if errors.Is(err, errQuiet) {
			return c, nil
		}
		if err != nil {
			return c, err
		}
		_, host, ok := p.routerOf(s)
		switch {
		case s.What == sawGap && s.At.After(at):
			c.outage = max(c.outage, s.Long)
		case s.What == sawAdvert && ok && s.Priority > 0 && host != master:
			master = host
			c.transitions++
		}
	}
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
