package check

import (
	"strings"
	"testing"
	"time"
)

// observe feeds one letter a second: u(p), d(own), ?(unknown); it returns the verdict after
// each of them in the same letters.
func observe(t *Tracker, samples string) string {
	letters := map[State]byte{Up: 'u', Down: 'd', Unknown: '?'}
	var b strings.Builder
	now := time.Unix(1000, 0)
	for _, c := range samples {
		s := map[rune]State{'u': Up, 'd': Down, '?': Unknown}[c]
		before := t.Verdict()
		if changed := t.Observe(s, now); changed != (t.Verdict() != before) {
			b.WriteByte('!')
		}
		b.WriteByte(letters[t.Verdict()])
		now = now.Add(time.Second)
	}
	return b.String()
}

func TestTracker(t *testing.T) {
	rf := Rules{Rise: 2, Fall: 3}
	held := Rules{Rise: 2, Fall: 2, Hold: 3 * time.Second, OnUnknown: Down}
	for _, tt := range []struct {
		name          string
		rules         Rules
		initial       State
		samples, want string
	}{
		{"rise successes make the first verdict up", rf, Unknown, "uuu", "?uu"},
		{"fall failures make the first verdict down", rf, Unknown, "dddd", "??dd"},
		{"a success in between starts the count again", rf, Up, "dduddd", "uuuuud"},
		{"a failure in between starts the count again", rf, Down, "uduu", "dddu"},
		{"a first verdict needs samples in a row", rf, Unknown, "udududuu", "???????u"},
		{"the initial verdict counts until the samples say otherwise", rf, Up, "ddd", "uud"},
		{"an initial down counts until rise", rf, Down, "uu", "du"},
		{"zero rules take every sample at its word", Rules{}, Unknown, "udu", "udu"},
		{"what cannot be measured holds the verdict", held, Up, "??u", "uuu"},
		{"after hold the declared state counts", held, Up, "?????", "uuudd"},
		{"before the first verdict too, after hold", held, Unknown, "????", "???d"},
		{"a measurement ends the time that counts towards hold", held, Up, "???d???", "uuuuuuu"},
		{"unknown does not interrupt a run", held, Up, "d?d", "uud"},
		{"a default verdict is left by full rise", held, Up, "u????uu", "uuuuddu"},
		{"a default verdict up is left by full fall", Rules{Rise: 1, Fall: 2, OnUnknown: Up}, Unknown, "?dd", "uud"},
		{"without a declared state the last verdict holds for ever", rf, Up, "??????????", "uuuuuuuuuu"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tr := NewTracker(tt.rules, tt.initial)
			if got := observe(&tr, tt.samples); got != tt.want {
				t.Errorf("verdicts for %q = %q, want %q", tt.samples, got, tt.want)
			}
		})
	}
}

func TestTrackerIsMeasuredOnlyBySamplesInARow(t *testing.T) {
	tr := NewTracker(Rules{Rise: 2, Fall: 2, Hold: time.Hour, OnUnknown: Down}, Up)
	for i, step := range []struct {
		sample State
		want   bool
	}{{Up, false}, {Down, false}, {Unknown, false}, {Up, false}, {Up, true}, {Unknown, true}} {
		tr.Observe(step.sample, time.Unix(int64(i), 0))
		if tr.Measured() != step.want {
			t.Errorf("after %d samples Measured() = %t, want %t", i+1, tr.Measured(), step.want)
		}
	}
}

func TestObserveDoesNotAllocate(t *testing.T) {
	tr := NewTracker(Rules{Rise: 2, Fall: 2}, Unknown)
	now := time.Unix(0, 0)
	if n := testing.AllocsPerRun(100, func() { tr.Observe(Up, now) }); n != 0 {
		t.Errorf("Observe allocates %v times", n)
	}
}
