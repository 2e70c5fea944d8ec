package track

import (
	"log/slog"
	"testing"
	"time"

	"github.com/hareconcile/hareconcile/internal/vrrpd/wait"
	"github.com/hareconcile/hareconcile/reconcile/resource"
)

// TestFileThatWaitsForHungOnesIsUnknown: while as many files hang as may be read at a
// time, nothing is known of the others either.
func TestFileThatWaitsForHungOnesIsUnknown(t *testing.T) {
	var got []Result
	w := New(func(r Result) { got = append(got, r) }, slog.New(slog.DiscardHandler))
	l, err := newLoop(w)
	if err != nil {
		t.Fatal(err)
	}
	defer l.close()
	f := newFiles(l)
	defer f.close()
	now := time.Hour
	c := resource.VRRPTracker{Type: resource.TrackFile, Target: "/nowhere/x", Interval: resource.Duration(time.Second)}
	f.configure([]resource.VRRPTracker{c}, now)
	f.trackers[c.Key()].tell(Up, 0, "")
	f.reads = maxReads
	defer func() { f.reads = 0 }()
	if next := f.timers(now + patience - 1); len(got) != 1 || next != now+patience {
		t.Errorf("reported %v, to look again at %v, want nothing more before %v", got, next, now+patience)
	}
	if next := f.timers(now + patience); len(got) != 2 || got[1].State != Unknown || next != wait.Never {
		t.Errorf("reported %v, to look again at %v, want it unknown, and never", got, next)
	}
}

// TestFileThatChangedWhileItWasReadIsReadAgain, and at once.
func TestFileThatChangedWhileItWasReadIsReadAgain(t *testing.T) {
	l, err := newLoop(New(func(Result) {}, slog.New(slog.DiscardHandler)))
	if err != nil {
		t.Fatal(err)
	}
	defer l.close()
	f := newFiles(l)
	defer f.close()
	c := resource.VRRPTracker{Type: resource.TrackFile, Target: "/nowhere/x", Interval: resource.Duration(time.Minute)}
	f.configure([]resource.VRRPTracker{c}, time.Hour)
	x := f.trackers[c.Key()]
	for again, want := range map[bool]time.Duration{false: time.Hour + time.Minute, true: time.Hour + time.Second} {
		f.reads, x.reading, x.since, x.again = 1, true, time.Hour, again
		if f.done(x, -1, 0, nil, time.Hour+time.Second); x.due != want {
			t.Errorf("changed meanwhile %v: due at %v, want %v", again, x.due, want)
		}
	}
}
