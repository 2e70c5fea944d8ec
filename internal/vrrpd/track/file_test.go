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
