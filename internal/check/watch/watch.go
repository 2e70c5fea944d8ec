// Package watch keeps a set of targets: when each of their checks is due, and what the
// samples say of them. It has no I/O and no clock: whoever makes the samples tells the time.
// Beats of one interval are laid into a check.Grid. Retries follow the sample before them, and
// jitter moves beats out of their slots.
package watch

import (
	"time"

	"github.com/hareconcile/hareconcile/internal/check"
	"github.com/hareconcile/hareconcile/internal/check/due"
)

// A Check is one thing to look at, again and again. P is how the owner of the List looks.
type Check[P any] struct {
	// Fingerprint says what the check is: one with another fingerprint is another check.
	Fingerprint string
	Interval    time.Duration
	// Retry is the time to the next sample while the verdict may be about to change; 0 is
	// that of the schedule.
	Retry  time.Duration
	Jitter int // percent of Interval by which beats wander
	Rules  check.Rules
	// Together, if not empty, is a word that checks have in common whose beats are the same, if
	// their intervals are: it is cheaper to make their samples at one moment.
	Together string
	// Pushed means that samples come by Report alone: the check is never due.
	Pushed bool
	Probe  P
}

// same reports whether a's samples and their count go on for b.
func same[P any](a, b Check[P]) bool {
	return a.Fingerprint == b.Fingerprint && a.Interval == b.Interval && a.Retry == b.Retry &&
		a.Jitter == b.Jitter && a.Rules == b.Rules && a.Together == b.Together && a.Pushed == b.Pushed
}

// A Target is what one verdict is about: it is up while all of its checks are up and down
// while any of them is down; with Any, the other way round.
type Target[P any] struct {
	Key string
	// Subject is the thing itself. While it stays the same, a Target that Set finds again
	// keeps its verdict even if its checks changed; another subject starts as unknown.
	Subject string
	Any     bool
	Checks  []Check[P]
	// Initial is the verdict of a Target that Set sees for the first time.
	Initial check.State
}

// A Sample is what one look saw.
type Sample struct {
	State     check.State // Unknown is "could not measure"
	Degraded  bool        // it passes, and not well
	Weight    int
	HasWeight bool
	Message   string
}

// A Result is a Target's verdict, sent when it or its weight changes and when it was first
// measured.
type Result struct {
	Key       string
	Verdict   check.State
	Weight    int // the least of what passing checks said, if HasWeight
	HasWeight bool
	Message   string // of the sample that decided
	At        time.Time
}

// soon is how long a new check waits at most for its first sample, however long its
// interval is, and one that was passed over for its next.
const soon = 5 * time.Second

// overdue is how late a sample may begin. Whoever is later was stopped or suspended, and so
// are all others then: they wait for a beat of their own instead of running at once.
const overdue = 500 * time.Millisecond

// An Entry is one check of a target.
type Entry[P any] struct {
	Check[P]
	Due time.Duration // when the sample that Next returned should have begun

	target  *target[P]
	tracker check.Tracker
	quality check.Tracker // Down is degraded; it sees the samples that pass
	weight  int
	weighs  bool
	mark    due.Mark[*Entry[P]]
	beat    check.Schedule // this and first are there once it is placed
	first   check.Schedule
	offBeat bool // its last sample was not one of beat
	skipped bool // passed over since its last sample
	placed  bool // it waits, or is being sampled
	gone    bool
}

// Gone reports whether Set took the entry out: nobody wants its sample any more.
func (e *Entry[P]) Gone() bool { return e.gone }

// Key returns the key of the entry's target.
func (e *Entry[P]) Key() string { return e.target.Key }

func newEntry[P any](t *target[P], c Check[P], initial check.State) *Entry[P] {
	e := &Entry[P]{Check: c, target: t}
	e.mark.Value = e
	e.presume(initial)
	return e
}

// presume makes initial the check's verdict until its samples say otherwise.
func (e *Entry[P]) presume(initial check.State) {
	marks := check.Rules{Rise: e.Rules.Rise, Fall: e.Rules.Fall}
	switch initial {
	case check.Degraded:
		e.tracker, e.quality = check.NewTracker(e.Rules, check.Up), check.NewTracker(marks, check.Down)
	default:
		e.tracker, e.quality = check.NewTracker(e.Rules, initial), check.NewTracker(marks, check.Up)
	}
}

// verdict is the check's own.
func (e *Entry[P]) verdict() check.State {
	if v := e.tracker.Verdict(); v != check.Up || e.quality.Verdict() != check.Down {
		return v
	}
	return check.Degraded
}

func (e *Entry[P]) observe(s Sample, at time.Time) {
	e.tracker.Observe(s.State, at)
	if s.State != check.Up {
		return
	}
	e.weight, e.weighs = s.Weight, s.HasWeight
	if s.Degraded {
		e.quality.Observe(check.Down, at)
	} else {
		e.quality.Observe(check.Up, at)
	}
}

// next is when the sample after one that ended now is due.
func (e *Entry[P]) next(now time.Duration) time.Duration {
	if e.Retry > 0 && e.tracker.Turning() {
		e.offBeat = true
		return now + e.Retry
	}
	if e.offBeat { // the next beat may be quite near
		e.offBeat = false
		return e.beat.Next(now + e.Interval/2)
	}
	return e.beat.Next(now)
}
