// Package rota runs checks on their schedule and tells when a verdict changes.
package rota

import (
	"container/heap"
	"context"
	"sync"
	"time"

	"github.com/hareconcile/hareconcile/internal/check"
)

// A Probe makes one sample. It must return soon after ctx ends.
type Probe func(ctx context.Context) (s check.State, message string)

// A Check is one thing to look at, again and again.
type Check struct {
	// Fingerprint says what the check is: one with another fingerprint is another check.
	Fingerprint string
	Interval    time.Duration
	Rules       check.Rules
	Probe       Probe
}

// A Target is what one verdict is about: it is up while all of its checks are up, and
// down while any of them is down.
type Target struct {
	Key string
	// Subject is the thing itself. While it stays the same, a Target that Set finds again
	// keeps its verdict even if its checks changed; another subject starts as unknown.
	Subject string
	Checks  []Check
	// Initial is the verdict of a Target that Set sees for the first time.
	Initial check.State
}

// A Result is a Target's verdict, sent when it changes and when it was first measured.
type Result struct {
	Key     string
	Verdict check.State
	Message string // of the sample that decided
	At      time.Time
}

// maxMessage bounds the messages that are kept and sent.
const maxMessage = 1024

// A Loop runs the checks of a set of Targets. One goroutine, that of Run, owns its state.
type Loop struct {
	limit   int
	results chan Result // never closed; unbuffered: what waits is in outbox
	done    chan sample // never closed; probes send, Run receives until none is left
	wake    chan struct{}

	mu   sync.Mutex
	next []Target // what Set asked for, until Run takes it
	set  bool

	// The rest belongs to Run.
	start   time.Time
	targets map[string]*target
	beats   beats
	running int
	ready   []*entry // due, waiting for one of the limit's places
	outbox  outbox
}

// New returns a Loop that makes at most limit samples at a time.
func New(limit int) *Loop {
	return &Loop{
		limit:   max(limit, 1),
		results: make(chan Result),
		done:    make(chan sample),
		wake:    make(chan struct{}, 1), // one pending wake-up says all there is to say
		targets: map[string]*target{},
		outbox:  outbox{latest: map[string]Result{}},
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
		out, first := l.outbox.head(l.results)
		select {
		case <-ctx.Done():
			return nil
		case <-l.wake:
		case <-timer.C:
		case s := <-l.done:
			l.finish(s)
		case out <- first:
			l.outbox.pop()
		}
	}
}

// drain waits for the probes that are under way; their contexts have ended.
func (l *Loop) drain() {
	for ; l.running > 0; l.running-- {
		<-l.done
	}
}

// begin starts the samples that are due, as far as there are places, and returns how long
// there is nothing more to start.
func (l *Loop) begin(ctx context.Context) time.Duration {
	now := time.Since(l.start)
	for len(l.beats) > 0 && l.beats[0].due <= now {
		e := l.beats[0]
		e.due = e.beat.Next(now)
		heap.Fix(&l.beats, 0)
		if !e.busy { // a sample that outlasts its interval takes the place of the next
			e.busy = true
			l.ready = append(l.ready, e)
		}
	}
	for len(l.ready) > 0 && l.running < l.limit {
		e := l.ready[0]
		l.ready[0] = nil
		l.ready = l.ready[1:]
		if e.gone {
			continue
		}
		l.running++
		c, cancel := context.WithCancel(ctx)
		e.cancel = cancel
		go func() {
			defer cancel()
			s, message := e.check.Probe(c)
			l.done <- sample{e, s, message, time.Now()}
		}()
	}
	if len(l.beats) == 0 {
		return time.Hour // Set wakes the loop
	}
	return l.beats[0].due - now
}

// A sample is what a probe saw.
type sample struct {
	entry   *entry
	state   check.State
	message string
	at      time.Time
}

func (l *Loop) finish(s sample) {
	l.running--
	s.entry.busy, s.entry.cancel = false, nil
	if s.entry.gone {
		return
	}
	s.entry.tracker.Observe(s.state, s.at)
	s.entry.message = clip(s.message)
	l.report(s.entry.target, s.entry.message, s.at)
}

// report puts the target's verdict into the outbox if it is news.
func (l *Loop) report(t *target, message string, at time.Time) {
	verdict, measured := t.verdict()
	if verdict == t.verdictSent && (!measured || t.measuredSent) {
		return
	}
	t.verdictSent, t.measuredSent = verdict, measured || t.measuredSent
	l.outbox.put(Result{Key: t.Key, Verdict: verdict, Message: message, At: at})
}
