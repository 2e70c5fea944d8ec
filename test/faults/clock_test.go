package faults

import (
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/hareconcile/hareconcile/internal/nstest"
)

var steps = []time.Duration{time.Hour, -2 * time.Hour, 24 * 365 * time.Hour, -24 * 365 * time.Hour}

// TestWallClockSteps sets the clock, in a kernel of its own: timers do not look at it.
func TestWallClockSteps(t *testing.T) {
	if nstest.Guest(t) {
		if !t.Failed() {
			figure(t, "%d steps of up to a year, in a kernel of its own: the address never moved", len(steps))
		}
		return
	}
	const interval = 200 * time.Millisecond
	l := newLAN(t, interval, "") // there is no compiler in the guest
	l.start(t)
	before := l.transitions()
	mine, theirs := l.a.WatchVIP(), l.b.WatchVIP()
	sent := l.a.Instance().Adverts["sent"]
	start := monotonic(t)
	for _, step := range steps {
		now := unix.NsecToTimeval(time.Now().Add(step).UnixNano())
		if err := unix.Settimeofday(&now); err != nil {
			t.Fatalf("set the clock: %v", err)
		}
		wait(t, 5*interval)
	}
	took := monotonic(t) - start
	sent = l.a.Instance().Adverts["sent"] - sent
	t.Logf("address moved %d times, %d adverts in %d intervals", len(mine)+len(theirs), sent, took/interval)
	if err := l.unmoved(before); err != nil {
		t.Error(err)
	}
	if len(mine)+len(theirs) > 0 {
		t.Error("the address changed, want it untouched")
	}
	if want := uint64(took / interval); sent+1 < want || sent > want+2 {
		t.Errorf("%d adverts in %v, want %d", sent, took, want)
	}
}

// monotonic is a time that no step changes.
func monotonic(t *testing.T) time.Duration {
	t.Helper()
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts); err != nil {
		t.Fatal(err)
	}
	return time.Duration(ts.Nano())
}
