package bfdd

import (
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/hareconcile/hareconcile/internal/bfd"
	"github.com/hareconcile/hareconcile/reconcile/resource"
)

const ms = time.Millisecond

// A world is a wire with its own clock, and the peers at its other end.
type world struct {
	t      time.Duration
	ends   map[netip.Addr]*end
	queue  []datagram
	share  int // what one round may read; 0 is everything
	read   int
	heard  [2][]netip.Addr
	noEar  error
	noWay  error
	opened int
	open1  int // ways that are open
	broken error
}

// An end is a peer.
type end struct {
	*world
	addr    netip.Addr
	session *bfd.Session // nil while the host is off
	said    []bfd.Packet // what we said to it
}

func (w *world) now() time.Duration { return w.t }

func (w *world) wait(until time.Duration) error {
	if len(w.queue) == 0 && until > w.t+24*time.Hour {
		return errors.New("waiting for ever")
	}
	for len(w.queue) == 0 && w.t < until {
		w.advance(until)
	}
	return nil
}

// advance lets time pass until a peer says something, but no longer than until.
func (w *world) advance(until time.Duration) {
	var first *end
	next := until
	for _, e := range w.ends {
		if e.session != nil && e.session.Deadline() < next {
			first, next = e, e.session.Deadline()
		}
	}
	w.t = max(w.t, next)
	if first != nil {
		first.do(bfd.TimerFired{})
	}
}

// pause lets time pass while nobody reads.
func (w *world) pause(d time.Duration) {
	for until := w.t + d; w.t < until; {
		w.advance(until)
	}
}

func (w *world) next(d *datagram) (ok, more bool) {
	if len(w.queue) == 0 || w.share > 0 && w.read >= w.share {
		w.read = 0
		return false, len(w.queue) > 0
	}
	w.read++
	*d, w.queue = w.queue[0], w.queue[1:]
	return true, false
}

func (w *world) listen(ipv6 bool, peers []netip.Addr) error {
	if len(peers) > 0 && w.noEar != nil {
		return w.noEar
	}
	w.heard[map[bool]int{true: 1}[ipv6]] = peers
	return nil
}

func (w *world) open(p path, _ uint32) (way, error) {
	if w.noWay != nil {
		return nil, w.noWay
	}
	w.opened++
	w.open1++
	return &line{w, p}, nil
}

type line struct {
	w *world
	p path
}

func (l *line) send(b []byte) error {
	if l.w.broken != nil {
		return l.w.broken
	}
	e := l.w.ends[l.p.target]
	if e == nil || e.session == nil {
		return nil
	}
	var p bfd.Packet
	if r := p.Parse(b); r != bfd.Accepted {
		return fmt.Errorf("sent %x: %v", b, r)
	}
	e.said = append(e.said, p)
	e.do(bfd.Received{Packet: &p})
	return nil
}

func (l *line) device() int {
	if l.p.device == "" {
		return 0
	}
	return 2
}

func (l *line) close() { l.w.open1-- }

func (e *end) do(event bfd.Event) {
	for _, a := range e.session.Step(e.t, event) {
		if a.Do == bfd.Transmit {
			e.hear(a.Packet, bfd.TTL, 2)
		}
	}
}

// hear queues a packet from e's address.
func (e *end) hear(p bfd.Packet, ttl, device int) {
	e.queue = append(e.queue, datagram{e.addr, ttl, device, p.Append(nil)})
}

// on switches e's host on, as a new incarnation.
func (e *end) on(cfg bfd.Config) {
	e.session = bfd.New(cfg, rand.Uint32()|1, rand.Uint32)
	e.do(bfd.Start{})
}

var fast = bfd.Config{DesiredMinTx: 100 * ms, RequiredMinRx: 100 * ms, Multiplier: 3}

// A bench is a loop in a world.
type bench struct {
	t *testing.T
	*loop
	*world
	results []Result
	saved   map[string]Saved
}

func newBench(t *testing.T, peers ...string) *bench {
	b := &bench{t: t, world: &world{t: time.Hour, ends: map[netip.Addr]*end{}}}
	for _, p := range peers {
		a := netip.MustParseAddr(p)
		b.ends[a] = &end{world: b.world, addr: a}
	}
	b.restart(nil)
	return b
}

// restart runs another loop in the same world.
func (b *bench) restart(sessions []Saved) {
	b.saved = map[string]Saved{}
	for _, s := range sessions {
		b.saved[s.Key] = s
	}
	b.loop = newLoop(b.world, func(r Result) { b.results = append(b.results, r) }, func(key string, s Saved) {
		if b.saved[key] = s; s == (Saved{}) {
			delete(b.saved, key)
		}
	}, sessions, slog.New(slog.DiscardHandler))
}

func (b *bench) end(addr string) *end { return b.ends[netip.MustParseAddr(addr)] }

// run runs the loop for a while.
func (b *bench) run(d time.Duration) {
	b.t.Helper()
	for until := b.world.t + d; b.world.t < until; {
		if b.loop.next() > until && len(b.queue) == 0 {
			b.wait(until) // the loop would sleep past the end
			if len(b.queue) == 0 {
				return
			}
		}
		if err := b.round(); err != nil {
			b.t.Fatal(err)
		}
	}
}

func (b *bench) take() []Result {
	out := b.results
	b.results = nil
	return out
}

// want takes the results and compares their states.
func (b *bench) want(what string, states ...string) {
	b.t.Helper()
	var got []string
	for _, r := range b.results {
		got = append(got, r.State)
	}
	if !slices.Equal(got, states) {
		b.t.Fatalf("%s: reported %v, want %q", what, b.results, states)
	}
	b.results = nil
}

func tracker(target string) resource.VRRPTracker {
	return resource.VRRPTracker{Type: resource.TrackBFD, Target: target}
}

// up brings a session up.
func up(t *testing.T) (*bench, *end) {
	t.Helper()
	b := newBench(t, "10.0.0.2")
	e := b.end("10.0.0.2")
	e.on(fast)
	b.configure([]resource.VRRPTracker{tracker("10.0.0.2")})
	b.run(5 * time.Second)
	b.want("start", Up)
	return b, e
}
