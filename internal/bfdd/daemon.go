// Package bfdd runs BFD sessions with hosts that share a link with this one.
package bfdd

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"maps"
	"runtime"
	"slices"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/hareconcile/hareconcile/internal/bfd"
	"github.com/hareconcile/hareconcile/internal/vrrpd/roster"
	"github.com/hareconcile/hareconcile/reconcile/resource"
)

// The states of a Result.
const (
	Up      = "up"
	Down    = "down"
	Unknown = "" // could not be measured, or not yet
)

// A Result is what became of a session. It is reported when it changes.
type Result struct {
	Key   resource.TrackerKey
	State string // Up, Down or Unknown
	// Message says why, where State is not simply Up.
	Message string
}

// niceness is that of the thread that runs the sessions: a late packet is a failure to the peer.
const niceness = -15

// A Daemon runs the sessions of trackers of type bfd on one goroutine.
type Daemon struct {
	report func(Result)
	log    *slog.Logger

	wanted *roster.Roster

	mu    sync.Mutex
	saved map[resource.TrackerKey]Saved // what Saved returns, and at first what Resume was given
}

// Saved is what a successor needs to go on with a session that is up.
type Saved struct {
	Key resource.TrackerKey `json:"key"`
	// Local is our discriminator, and chooses our port.
	Local uint32 `json:"local"`
	// Peer is what the peer said last.
	Peer bfd.Packet `json:"peer"`
}

// New returns a Daemon that reports every change of a result. The function may be called
// until Run returns, and does not block.
func New(report func(Result), log *slog.Logger) *Daemon {
	return &Daemon{report: report, log: log, wanted: roster.New(), saved: map[resource.TrackerKey]Saved{}}
}

// Set replaces the sessions; trackers of other types are left alone. A session whose key
// stays is changed in place; what is known of one that was away is reported again. It may
// be called from any goroutine.
func (d *Daemon) Set(cfgs []resource.VRRPTracker) {
	d.wanted.Set(slices.DeleteFunc(slices.Clone(cfgs), func(c resource.VRRPTracker) bool { return c.Type != resource.TrackBFD }))
}

// Saved returns the sessions that are up. It may be called from any goroutine.
func (d *Daemon) Saved() []Saved {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.SortedFunc(maps.Values(d.saved), func(a, b Saved) int { return cmp.Compare(a.Key, b.Key) })
}

// Resume makes Run go on with the sessions of a predecessor that ended a moment ago
// without a word, as far as the first Set has them. It is called before Run.
func (d *Daemon) Resume(sessions []Saved) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, s := range sessions {
		d.saved[s.Key] = s
	}
}

// save takes what has become of a session.
func (d *Daemon) save(key resource.TrackerKey, s Saved) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if s == (Saved{}) {
		delete(d.saved, key)
		return
	}
	d.saved[key] = s
}

// Run runs the sessions until ctx ends, and then tells the peers that it was on purpose.
func (d *Daemon) Run(ctx context.Context) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	defer hurry()()
	k, err := openKernel()
	if err != nil {
		return fmt.Errorf("run BFD: %w", err)
	}
	defer k.close()
	d.wanted.WakeBy(k.waits.Wake)
	defer d.wanted.WakeBy(nil)
	stop := context.AfterFunc(ctx, d.wanted.Rouse)
	defer stop()
	l := newLoop(k, d.report, d.save, d.Saved(), d.log)
	defer l.close()
	for ctx.Err() == nil {
		if cfgs, unset, set := d.wanted.Taken(); set {
			l.configure(cfgs)
			l.remind(unset)
		}
		if err := l.round(); err != nil {
			return fmt.Errorf("run BFD: %w", err)
		}
	}
	if err := l.leave(); err != nil {
		return fmt.Errorf("stop BFD: %w", err)
	}
	return nil
}

// hurry raises this thread's priority as far as it may, and returns what lowers it again.
func hurry() (undo func()) {
	const zero = 20 // getpriority(2) returns 20 less the niceness
	before, err := unix.Getpriority(unix.PRIO_PROCESS, 0)
	if err != nil || zero-before <= niceness || unix.Setpriority(unix.PRIO_PROCESS, 0, niceness) != nil {
		return func() {}
	}
	return func() { _ = unix.Setpriority(unix.PRIO_PROCESS, 0, zero-before) }
}
