package rota

import (
	"container/heap"
	"context"
	"slices"
	"strings"
	"time"

	"github.com/hareconcile/hareconcile/internal/check"
)

// A target is a Target and what is known of it.
type target struct {
	Target
	entries []*entry
	// verdictSent and measuredSent are what the last Result said, or the initial verdict.
	verdictSent  check.State
	measuredSent bool
}

// An entry is one check of a target.
type entry struct {
	target  *target
	check   Check
	tracker check.Tracker
	message string
	beat    check.Schedule
	due     time.Duration // since the loop's start
	index   int           // in beats
	busy    bool          // waits in ready, or is being probed
	gone    bool          // Set took it out
	cancel  context.CancelFunc
}

// verdict combines the checks' verdicts. It is measured as soon as what was measured alone
// decides it.
func (t *target) verdict() (v check.State, measured bool) {
	v, measured = check.Up, true
	for _, e := range t.entries {
		switch e.tracker.Verdict() {
		case check.Down:
			return check.Down, t.anyMeasuredDown()
		case check.Unknown:
			v = check.Unknown
		}
		measured = measured && e.tracker.Measured()
	}
	return v, measured
}

func (t *target) anyMeasuredDown() bool {
	return slices.ContainsFunc(t.entries, func(e *entry) bool {
		return e.tracker.Measured() && e.tracker.Verdict() == check.Down
	})
}

// take puts the targets that Set asked for in force.
func (l *Loop) take() {
	l.mu.Lock()
	next, set := l.next, l.set
	l.next, l.set = nil, false
	l.mu.Unlock()
	if !set {
		return
	}
	old := l.targets
	l.targets = make(map[string]*target, len(next))
	for _, t := range next {
		if _, twice := l.targets[t.Key]; twice {
			continue
		}
		have := old[t.Key]
		delete(old, t.Key)
		l.targets[t.Key] = l.renew(have, t)
	}
	for _, t := range old {
		l.drop(t)
		l.outbox.forget(t.Key)
	}
}

// renew returns the target for t. have, if not nil, is its predecessor.
func (l *Loop) renew(have *target, t Target) *target {
	switch {
	case have == nil:
		return l.add(t, t.Initial)
	case have.Subject != t.Subject:
		l.drop(have)
		fresh := l.add(t, check.Unknown)
		fresh.verdictSent = have.verdictSent
		l.report(fresh, "not checked yet", time.Now())
		return fresh
	case !slices.EqualFunc(have.Checks, t.Checks, sameCheck):
		l.drop(have)
		return l.add(t, have.verdictSent)
	}
	return have
}

func sameCheck(a, b Check) bool {
	return a.Fingerprint == b.Fingerprint && a.Interval == b.Interval && a.Rules == b.Rules
}

func (l *Loop) add(t Target, initial check.State) *target {
	out := &target{Target: t, verdictSent: initial}
	now := time.Since(l.start)
	for _, c := range t.Checks {
		e := &entry{
			target: out, check: c,
			tracker: check.NewTracker(c.Rules, initial),
			beat:    check.NewSchedule(t.Key+" "+c.Fingerprint, c.Interval),
		}
		e.due = e.beat.Next(now)
		heap.Push(&l.beats, e)
		out.entries = append(out.entries, e)
	}
	return out
}

// drop ends everything about t; samples under way are cancelled and their outcome ignored.
func (l *Loop) drop(t *target) {
	for _, e := range t.entries {
		e.gone = true
		heap.Remove(&l.beats, e.index)
		if e.cancel != nil {
			e.cancel()
		}
	}
}

// clip makes a message one bounded line of valid text.
func clip(s string) string {
	if len(s) > maxMessage {
		s = s[:maxMessage]
	}
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, "?"))
}
