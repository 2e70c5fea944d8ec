package watch

import (
	"slices"
	"strings"
	"time"

	"github.com/hareconcile/hareconcile/internal/check"
)

// A target is a Target and what is known of it.
type target[P any] struct {
	Target[P]
	entries []*Entry[P] // in the order of Checks
	sent    Result      // what was told last; its verdict may be the initial one
	told    bool        // sent was measured
}

// start returns a target that nothing is known of but its verdict.
func start[P any](t Target[P], initial check.State) *target[P] {
	out := &target[P]{Target: t, sent: Result{Key: t.Key, Verdict: initial}}
	for _, c := range t.Checks {
		out.entries = append(out.entries, newEntry(out, c, initial))
	}
	return out
}

// follow returns the target for t whose predecessor is have, and the entries that are none
// of it any more. A check that stayed the same goes on; a changed one starts with the verdict
// and weight of the one in its place.
func follow[P any](have *target[P], t Target[P]) (next *target[P], gone []*Entry[P]) {
	next = &target[P]{Target: t, sent: have.sent, told: have.told}
	rest := slices.Clone(have.entries)
	next.entries = make([]*Entry[P], len(t.Checks))
	for i, c := range t.Checks {
		if j := slices.IndexFunc(rest, func(e *Entry[P]) bool { return e != nil && same(e.Check, c) }); j >= 0 {
			next.entries[i], rest[j] = rest[j], nil
			next.entries[i].target = next
		}
	}
	for i, c := range t.Checks {
		if next.entries[i] != nil {
			continue
		}
		next.told = false
		initial := have.sent.Verdict
		if i < len(rest) && rest[i] != nil {
			initial = rest[i].verdict()
		}
		e := newEntry(next, c, initial)
		if i < len(rest) && rest[i] != nil {
			e.weight, e.weighs = rest[i].weight, rest[i].weighs
		}
		next.entries[i] = e
	}
	next.keep(have.sent.Verdict)
	return next, slices.DeleteFunc(rest, func(e *Entry[P]) bool { return e == nil })
}

// keep makes was the verdict of checks that have none yet if nothing else is known: what
// decided before is gone, and a change of checks takes no server out.
func (t *target[P]) keep(was check.State) {
	if v, _ := t.verdict(); v != check.Unknown || was == check.Unknown {
		return
	}
	t.told = false
	for _, e := range t.entries {
		if e.tracker.Verdict() == check.Unknown {
			e.presume(was)
		}
	}
}

// unchanged reports whether t says what have does.
func unchanged[P any](have *target[P], t Target[P]) bool {
	return have.Any == t.Any && slices.EqualFunc(have.Checks, t.Checks, same[P])
}

// verdict combines the checks' verdicts. It is measured as soon as what was measured alone
// decides it.
func (t *target[P]) verdict() (v check.State, measured bool) {
	// Of one state a single check is enough to decide, of the other all are needed.
	decides, otherwise := check.Down, check.Up
	if t.Any {
		decides, otherwise = check.Up, check.Down
	}
	v, measured = otherwise, true
	decided, decidedMeasured, degraded, clean := false, false, false, false
	for _, e := range t.entries {
		own := e.tracker.Verdict()
		if own == check.Up {
			bad := e.verdict() == check.Degraded
			degraded, clean = degraded || bad, clean || !bad
		}
		switch own {
		case decides:
			decided, decidedMeasured = true, decidedMeasured || e.tracker.Measured()
		case check.Unknown:
			v = check.Unknown
		}
		measured = measured && e.tracker.Measured()
	}
	if decided {
		v, measured = decides, decidedMeasured
	}
	if v == check.Up && degraded && !(t.Any && clean) {
		v = check.Degraded
	}
	return v, measured
}

// weight is the least that a check gives.
func (t *target[P]) weight() (weight int, has bool) {
	for _, e := range t.entries {
		if e.weighs && (!has || e.weight < weight) {
			weight, has = e.weight, true
		}
	}
	return weight, has
}

// report returns what there is to tell, if it is news.
func (t *target[P]) report(message string, at time.Time) (news Result, ok bool) {
	verdict, measured := t.verdict()
	weight, has := t.weight()
	if verdict == t.sent.Verdict && weight == t.sent.Weight && has == t.sent.HasWeight && (t.told || !measured) {
		return Result{}, false
	}
	t.told = t.told || measured
	t.sent = Result{Key: t.Key, Verdict: verdict, Weight: weight, HasWeight: has, Message: clip(message), At: at}
	return t.sent, true
}

// maxMessage bounds the messages that are kept and sent.
const maxMessage = 1024

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
