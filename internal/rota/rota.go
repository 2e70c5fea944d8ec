// Package rota runs checks on their schedule, each as a goroutine, and tells when a verdict
// changes.
package rota

import (
	"context"
	"sync"
	"time"

	"github.com/hareconcile/hareconcile/internal/check"
	"github.com/hareconcile/hareconcile/internal/check/watch"
)

// A Probe makes one sample. It must return soon after ctx ends.
type Probe func(ctx context.Context) (s check.State, message string)

// What a Loop runs, and what it tells.
type (
	Check  = watch.Check[Probe]
	Target = watch.Target[Probe]
	Result = watch.Result
	entry  = watch.Entry[Probe]
)

// A Loop runs the checks of a set of Targets. One goroutine, that of Run, owns its state.
type Loop struct {
	limit   int
	results chan Result // never closed; unbuffered: what waits is in outbox
	done    chan sample // never closed; probes send, Run receives until none is left
	wake    chan struct{}

	mu   sync.Mutex
	next []Target // what Set asked for, until Run takes it
	set  bool
	told map[string]told // what Tell said, the last of each key, until Run takes it

	// The rest belongs to Run.
	start   time.Time
	list    *watch.List[Probe]
	running map[*entry]context.CancelFunc
	ready   []*entry // due, waiting for one of the limit's places
	outbox  watch.Outbox
}

// New returns a Loop that makes at most limit samples at a time.
func New(limit int) *Loop {
	return &Loop{
		limit:   max(limit, 1),
		results: make(chan Result),
		done:    make(chan sample),
		wake:    make(chan struct{}, 1), // one pending wake-up says all there is to say
		list:    watch.New[Probe](),
		running: map[*entry]context.CancelFunc{},
	}
}

// Results returns the channel of verdicts. A reader that is late misses intermediate
// verdicts of a Target, never its last one.
func (l *Loop) Results() <-chan Result { return l.results }

// Set replaces the Targets. Those that stayed the same keep their state and schedule.
// It never blocks and may be called from any goroutine, also before Run.
func (l *Loop) Set(ts []Target) {
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
func (l *Loop) Tell(key, fingerprint string, s check.State, message string) {
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
func (l *Loop) hear(all map[string]told) {
	for key, t := range all {
		if r, ok := l.list.Tell(key, t.fingerprint, watch.Sample{State: t.state, Message: t.message}, t.at); ok {
			l.outbox.Put(r)
		}
	}
}

// Run makes samples until ctx ends and waits for those under way.
func (l *Loop) Run(ctx context.Context) error {
	l.start = time.Now()
	probes, cancel := context.WithCancel(ctx)
	defer l.drain()
	defer cancel()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		l.take()
		timer.Reset(l.begin(probes))
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
		case s := <-l.done:
			l.finish(s)
		case out <- first:
			l.outbox.Sent(first)
		}
	}
}

// drain waits for the probes that are under way; their contexts have ended.
func (l *Loop) drain() {
	for range l.running {
		<-l.done
	}
}

// take puts the targets that Set asked for in force.
func (l *Loop) take() {
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
		if cancel := l.running[e]; cancel != nil {
			cancel()
		}
	}
	for _, r := range news {
		l.outbox.Put(r)
	}
}

// begin starts the samples that are due, as far as there are places, and returns how long
// there is nothing more to start. Set wakes the loop, so it need not be exact about never.
func (l *Loop) begin(ctx context.Context) time.Duration {
	now := time.Since(l.start)
	for e := l.list.Next(now); e != nil; e = l.list.Next(now) {
		l.ready = append(l.ready, e)
	}
	for len(l.ready) > 0 && len(l.running) < l.limit {
		e := l.ready[0]
		l.ready[0] = nil
		l.ready = l.ready[1:]
		if e.Gone() {
			continue
		}
		c, cancel := context.WithCancel(ctx)
		l.running[e] = cancel
		go func() {
			defer cancel()
			s, message := e.Probe(c)
			l.done <- sample{e, s, message, time.Now()}
		}()
	}
	return l.list.Wait(now, time.Hour)
}

// A sample is what a probe saw.
type sample struct {
	entry   *entry
	state   check.State
	message string
	at      time.Time
}

func (l *Loop) finish(s sample) {
	delete(l.running, s.entry)
	seen := watch.Sample{State: s.state, Message: s.message}
	if r, ok := l.list.Finish(s.entry, seen, time.Since(l.start), s.at); ok {
		l.outbox.Put(r)
	}
}
