// Package check decides from single samples whether something is up, and when to look next.
// It has no I/O and no clock: time comes in as a parameter.
package check

import "time"

// A State is what one sample saw, or what a Tracker concludes from many.
type State string

// The states. As a sample, Unknown means "could not measure". Degraded is what is concluded
// of something that passes, and not well; no sample is Degraded by itself.
const (
	Unknown  State = ""
	Up       State = "up"
	Down     State = "down"
	Degraded State = "degraded"
)

// Rules say how samples become a verdict.
type Rules struct {
	// Rise and Fall are how many samples in a row turn the verdict up and down; at least 1.
	Rise, Fall int
	// Hold is how long the last verdict counts while nothing can be measured; then OnUnknown
	// counts. An OnUnknown of Unknown holds the last verdict for ever.
	Hold      time.Duration
	OnUnknown State
}

// A Tracker turns the samples of one check into a verdict. Its zero value takes every
// sample at its word.
type Tracker struct {
	rules    Rules
	verdict  State
	measured bool

	run   int   // samples in a row of the same outcome; Unknown does not interrupt them
	runOf State // that outcome

	blind      bool // the last sample was Unknown
	blindSince time.Time
}

// NewTracker returns a Tracker whose verdict is initial until samples say otherwise.
func NewTracker(r Rules, initial State) Tracker {
	return Tracker{rules: r, verdict: initial}
}

// Verdict returns what counts now.
func (t *Tracker) Verdict() State { return t.verdict }

// Measured reports whether the samples so far were enough for a verdict of their own, so
// that Verdict is no longer merely the initial one.
func (t *Tracker) Measured() bool { return t.measured }

// Turning reports whether the next samples may change the verdict: the last ones were against
// it, or there were not enough of them yet.
func (t *Tracker) Turning() bool {
	return !t.measured || t.runOf != Unknown && t.runOf != t.verdict
}

// Observe takes one sample, made at now, and reports whether the verdict changed.
func (t *Tracker) Observe(s State, now time.Time) (changed bool) {
	before := t.verdict
	switch s {
	case Up:
		t.count(Up, t.rules.Rise)
	case Down:
		t.count(Down, t.rules.Fall)
	default:
		t.unmeasured(now)
	}
	return t.verdict != before
}

func (t *Tracker) count(s State, need int) {
	t.blind = false
	if t.runOf != s {
		t.runOf, t.run = s, 0
	}
	if t.run < need { // the count stops there, so that it cannot overflow
		t.run++
	}
	if t.run >= need {
		t.verdict, t.measured = s, true
	}
}

func (t *Tracker) unmeasured(now time.Time) {
	if !t.blind {
		t.blind, t.blindSince = true, now
	}
	if t.rules.OnUnknown != Unknown && now.Sub(t.blindSince) >= t.rules.Hold {
		t.verdict = t.rules.OnUnknown
		t.runOf, t.run = Unknown, 0 // a verdict by default is left by full rise or fall only
	}
}
