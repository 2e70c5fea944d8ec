// Package track watches what virtual routers depend on and netlink does not tell:
// processes, files, hosts that answer pings.
package track

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/hareconcile/hareconcile/internal/vrrpd/roster"
	"github.com/hareconcile/hareconcile/internal/vrrpd/wait"
	"github.com/hareconcile/hareconcile/reconcile/resource"
)

// The states of a Result.
const (
	Up      = "up"
	Down    = "down"
	Unknown = "" // could not be measured, or not yet
)

// A Result is what became of a tracker. It is reported when it changes.
type Result struct {
	Key   resource.TrackerKey
	State string // Up, Down or Unknown
	// Value is a file's integer, or how many processes run.
	Value int
	// Message says why, where State is not Up.
	Message string
}

const (
	defaultInterval = time.Second
	shortest        = 10 * time.Millisecond
	// patience is how long a look at a process or a file may take before it is unknown; a
	// hung file system or process keeps the reader, but not the watcher.
	patience = 5 * time.Second
	// jobRoom is how many finished looks may wait; no more are under way at a time.
	jobRoom = maxReads + 1
)

// A Watcher watches trackers of the types process, file and ping with one goroutine,
// besides those that wait for a file system.
type Watcher struct {
	report func(Result)
	log    *slog.Logger
	wanted *roster.Roster
}

// New returns a Watcher that reports every change of a result. The function may be called
// until Run returns, and does not block.
func New(report func(Result), log *slog.Logger) *Watcher {
	return &Watcher{report: report, log: log, wanted: roster.New()}
}

// Set replaces the trackers; those of other types are left alone. A tracker whose key
// stays keeps what is known of it; what is known of one that was away is reported again. It
// may be called from any goroutine.
func (w *Watcher) Set(cfgs []resource.VRRPTracker) { w.wanted.Set(cfgs) }

// A watch watches the trackers of one type. All methods are for the loop's goroutine.
type watch interface {
	// configure replaces the trackers.
	configure(cfgs []resource.VRRPTracker, now time.Duration)
	// drain reads what is queued; false if there is more.
	drain(now time.Duration) bool
	// timers acts on what is due, and returns when something is due next.
	timers(now time.Duration) time.Duration
	// descriptors are what to wait for.
	descriptors() []int
	close()
}

// A loop is what the watches of one Run share.
type loop struct {
	waits  *wait.Set
	jobs   chan func(now time.Duration) // finished; buffered for all that can be under way
	busy   int                          // jobs under way
	report func(Result)
	last   map[resource.TrackerKey]Result // what was reported
	log    *slog.Logger
}

func newLoop(w *Watcher) (*loop, error) {
	waits, err := wait.New()
	if err != nil {
		return nil, err
	}
	l := &loop{waits: waits, jobs: make(chan func(time.Duration), jobRoom), last: map[resource.TrackerKey]Result{}, log: w.log}
	l.report = func(r Result) {
		l.last[r.Key] = r
		w.report(r)
	}
	return l, nil
}

// remind reports again what is known of trackers that were away for so short a time that
// they were watched on, and forgets those that are gone.
func (l *loop) remind(cfgs []resource.VRRPTracker, unset map[resource.TrackerKey]bool) {
	old := l.last
	l.last = make(map[resource.TrackerKey]Result, len(cfgs))
	for _, c := range cfgs {
		r, known := old[c.Key()]
		if known && unset[c.Key()] {
			l.report(r)
		} else if known {
			l.last[r.Key] = r
		}
	}
}

// close leaves the wake-up to jobs that hang: they may still use it.
func (l *loop) close() {
	if l.busy == 0 {
		l.waits.Close()
	}
}

// finish runs what jobs have returned.
func (l *loop) finish(now time.Duration) {
	for {
		select {
		case f := <-l.jobs:
			l.busy--
			f(now)
		default:
			return
		}
	}
}

// start runs job on a goroutine of its own, and what it returns on the loop's.
func (l *loop) start(job func() (finish func(now time.Duration))) {
	l.busy++
	go func() {
		finish := job()
		l.jobs <- finish
		l.waits.Wake()
	}()
}

// Run watches until ctx ends. Looks that hang in the kernel by then are left behind.
func (w *Watcher) Run(ctx context.Context) error {
	l, err := newLoop(w)
	if err != nil {
		return fmt.Errorf("watch trackers: %w", err)
	}
	defer l.close()
	watches := map[string]watch{
		resource.TrackProcess: newProcesses(l),
		resource.TrackFile:    newFiles(l),
		resource.TrackPing:    newPings(l),
	}
	defer func() {
		for _, x := range watches {
			x.close()
		}
	}()
	w.wanted.WakeBy(l.waits.Wake)
	defer w.wanted.WakeBy(nil)
	stop := context.AfterFunc(ctx, w.wanted.Rouse)
	defer stop()
	for next := time.Duration(0); ctx.Err() == nil; {
		if err := l.waits.Until(next); err != nil {
			return fmt.Errorf("watch trackers: %w", err)
		}
		next = w.round(l, watches)
	}
	return nil
}

// round does what there is to do: first all that is queued, then what is due. Timers are
// judged by the time from before, so that an answer that waited for us is not a missing one.
func (w *Watcher) round(l *loop, watches map[string]watch) (next time.Duration) {
	now := wait.Now()
	if cfgs, unset, set := w.wanted.Taken(); set {
		for kind, x := range watches {
			x.configure(ofType(cfgs, kind), now)
		}
		l.remind(cfgs, unset)
	}
	l.finish(now)
	next = wait.Never
	var fds []int
	for _, x := range watches {
		if x.drain(now) {
			next = min(next, x.timers(now))
		} else {
			next = now
		}
		fds = append(fds, x.descriptors()...)
	}
	l.waits.Watch(fds...)
	return next
}

func ofType(cfgs []resource.VRRPTracker, kind string) (out []resource.VRRPTracker) {
	for _, c := range cfgs {
		if c.Type == kind {
			out = append(out, c)
		}
	}
	return out
}

// interval is the time between two looks.
func interval(c resource.VRRPTracker) time.Duration {
	if c.Interval == 0 {
		return defaultInterval
	}
	return max(time.Duration(c.Interval), shortest)
}

// A teller reports what it is told if that is new.
type teller struct {
	last   Result
	report func(Result)
}

func newTeller(key resource.TrackerKey, report func(Result)) teller {
	return teller{Result{Key: key}, report}
}

// tell reports a result of the tracker.
func (t *teller) tell(state string, value int, message string) {
	r := Result{t.last.Key, state, value, message}
	if r != t.last {
		t.last = r
		t.report(r)
	}
}
