// Package rota runs checks on their schedule, those that belong together as one goroutine, and
// tells when a verdict changes.
package rota

import (
	"context"
	"sync"
	"time"

	"github.com/hareconcile/hareconcile/internal/check"
	"github.com/hareconcile/hareconcile/internal/check/watch"
)

// A Look makes one sample of each of ps, which are due at one moment and belong together, and
// says once of each what was seen, from one goroutine. It must return soon after ctx ends.
// What it did not speak of could not be measured.
type Look[P any] func(ctx context.Context, ps []P, say func([]Answer))

// An Answer is what was seen of one of several, by its place among them.
type Answer struct {
	Place   int
	State   check.State
	Message string
}

// A Result is what a Loop tells.
type Result = watch.Result

// A Loop runs the checks of a set of Targets. One goroutine, that of Run, owns its state.
type Loop[P any] struct {
	limit   int
	look    Look[P]
	results chan Result      // never closed; unbuffered: what waits is in outbox
	done    chan []sample[P] // never closed; looks send, Run receives until none is left
	wake    chan struct{}

	mu   sync.Mutex
	next []watch.Target[P] // what Set asked for, until Run takes it
	set  bool
	told map[string]told // what Tell said, the last of each key, until Run takes it

	// The rest belongs to Run.
	start   time.Time
	list    *watch.List[P]
	running map[*watch.Entry[P]]*batch
	ready   []*watch.Entry[P] // due, waiting for one of the limit's places
	outbox  watch.Outbox
}

// A batch is a look under way.
type batch struct {
	cancel context.CancelFunc
	wanted int // samples that somebody wants
}

// New returns a Loop that makes at most limit samples at a time.
func New[P any](limit int, look Look[P]) *Loop[P] {
	return &Loop[P]{
		limit:   max(limit, 1),
		look:    look,
		results: make(chan Result),
		done:    make(chan []sample[P]),
		wake:    make(chan struct{}, 1), // one pending wake-up says all there is to say
		list:    watch.New[P](),
		running: map[*watch.Entry[P]]*batch{},
	}
}

// Results returns the channel of verdicts. A reader that is late misses intermediate
// verdicts of a Target, never its last one.
func (l *Loop[P]) Results() <-chan Result { return l.results }

// Set replaces the Targets. Those that stayed the same keep their state and schedule.
// It never blocks and may be called from any goroutine, also before Run.
func (l *Loop[P]) Set(ts []watch.Target[P]) {
	l.mu.Lock()
	l.next, l.set = ts, true
	l.mu.Unlock()
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// A told is what was seen between samples.
type told struct {
	fingerprint, message string
	state                check.State
	at                   time.Time
}

// Tell takes what was seen to happen to a target's check without a sample: the last word on a
// key before the loop gets to it counts. It never blocks and may be called from any goroutine.
func (l *Loop[P]) Tell(key, fingerprint string, s check.State, message string) {
	l.mu.Lock()
	if l.told == nil {
		l.told = map[string]told{}
	}
	l.told[key] = told{fingerprint, message, s, time.Now()}
	l.mu.Unlock()
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// hear takes in what Tell said.
func (l *Loop[P]) hear(all map[string]told) {
	for key, t := range all {
		if r, ok := l.list.Tell(key, t.fingerprint, watch.Sample{State: t.state, Message: t.message}, t.at); ok {
			l.outbox.Put(r)
		}
	}
}

// Run makes samples until ctx ends and waits for those under way.
func (l *Loop[P]) Run(ctx context.Context) error {
	l.start = time.Now()
	looks, cancel := context.WithCancel(ctx)
	defer l.drain()
	defer cancel()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		l.take()
		timer.Reset(l.begin(looks))
		first, waiting := l.outbox.Head()
		out := l.results
		if !waiting {
			out = nil
		}
		select {
		case <-ctx.Done():
			return nil
		case <-l.wake:
		case <-timer.C:
		case all := <-l.done:
			l.finish(all)
		case out <- first:
			l.outbox.Sent(first)
		}
	}
}

// drain waits for the looks that are under way; their contexts have ended.
func (l *Loop[P]) drain() {
	for len(l.running) > 0 {
		for _, s := range <-l.done {
			delete(l.running, s.entry)
		}
	}
}

// take puts the targets that Set asked for in force.
func (l *Loop[P]) take() {
	l.mu.Lock()
	next, set, told := l.next, l.set, l.told
	l.next, l.set, l.told = nil, false, nil
	l.mu.Unlock()
	defer l.hear(told)
	if !set {
		return
	}
	gone, news := l.list.Set(next, time.Since(l.start), time.Now())
	for _, e := range gone {
		if !l.list.Has(e.Key()) {
			l.outbox.Forget(e.Key())
		}
		if b := l.running[e]; b != nil {
			b.forgo()
		}
	}
	for _, r := range news {
		l.outbox.Put(r)
	}
}

// begin starts the samples that are due, as far as there are places, and returns how long
// there is nothing more to start. Set wakes the loop, so it need not be exact about never.
func (l *Loop[P]) begin(ctx context.Context) time.Duration {
	now := time.Since(l.start)
	for e := l.list.Next(now); e != nil; e = l.list.Next(now) {
		l.ready = append(l.ready, e)
	}
	for len(l.ready) > 0 && len(l.running) < l.limit {
		if es := l.together(); len(es) > 0 {
			l.send(ctx, es)
		}
	}
	return l.list.Wait(now, time.Hour)
}

// together takes out of ready what is looked at with the first one, as far as there are places.
func (l *Loop[P]) together() (es []*watch.Entry[P]) {
	first := l.ready[0]
	rest := l.ready[:0]
	for _, e := range l.ready {
		switch {
		case e.Gone():
		case e == first, e.Together != "" && e.Together == first.Together && len(l.running)+len(es) < l.limit:
			es = append(es, e)
		default:
			rest = append(rest, e)
		}
	}
	clear(l.ready[len(rest):])
	l.ready = rest
	return es
}

// send starts a look at es.
func (l *Loop[P]) send(ctx context.Context, es []*watch.Entry[P]) {
	ctx, cancel := context.WithCancel(ctx)
	b := &batch{cancel, len(es)}
	ps := make([]P, len(es))
	for i, e := range es {
		ps[i] = e.Probe
		l.running[e] = b
	}
	go func() {
		defer cancel()
		said := make([]bool, len(es))
		l.look(ctx, ps, func(as []Answer) {
			out := make([]sample[P], 0, len(as))
			for _, a := range as {
				if !said[a.Place] {
					said[a.Place] = true
					out = append(out, sample[P]{es[a.Place], a, time.Now()})
				}
			}
			if len(out) > 0 {
				l.done <- out
			}
		})
		var rest []sample[P]
		for i, e := range es {
			if !said[i] {
				rest = append(rest, sample[P]{e, Answer{i, check.Unknown, "nothing was measured"}, time.Now()})
			}
		}
		if len(rest) > 0 {
			l.done <- rest
		}
	}()
}

// forgo ends a look that nobody wants any more.
func (b *batch) forgo() {
	if b.wanted--; b.wanted == 0 {
		b.cancel()
	}
}

// A sample is what a look saw.
type sample[P any] struct {
	entry  *watch.Entry[P]
	answer Answer
	at     time.Time
}

func (l *Loop[P]) finish(all []sample[P]) {
	for _, s := range all {
		if !s.entry.Gone() { // else it was forgone
			l.running[s.entry].forgo()
		}
		delete(l.running, s.entry)
		seen := watch.Sample{State: s.answer.State, Message: s.answer.Message}
		if r, ok := l.list.Finish(s.entry, seen, time.Since(l.start), s.at); ok {
			l.outbox.Put(r)
		}
	}
}
