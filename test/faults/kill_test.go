package faults

import (
	"syscall"
	"testing"
	"time"

	"github.com/hareconcile/hareconcile/internal/vrrpd/vrrpdtest"
)

// TestKilledMasterIsNotMissed kills vrrpd on the master at random phases; the test is the
// supervisor. A master may stay one if its silence was shorter than the most eager peer's
// patience, 3 intervals, and its last advert may be an interval old when it dies. So the
// restart has to be done within 2 intervals: 2 s leaves room for a supervisor that waits
// (the unit's RestartSec is 100 ms), 200 ms for one that does not and a start of some 10 ms;
// 20 ms is too little to promise.
func TestKilledMasterIsNotMissed(t *testing.T) {
	for _, tt := range []struct {
		interval     time.Duration
		restart      [2]time.Duration // least and most
		trials, soak int
		promised     bool
	}{
		{time.Second, [2]time.Duration{100 * time.Millisecond, 200 * time.Millisecond}, 5, 200, true},
		{100 * time.Millisecond, [2]time.Duration{}, 20, 200, true},
		{10 * time.Millisecond, [2]time.Duration{}, 20, 200, false},
	} {
		t.Run(tt.interval.String(), func(t *testing.T) {
			t.Parallel()
			l := elected(t, tt.interval)
			changes := l.a.WatchVIP()
			before := l.transitions()
			trials := vrrpdtest.Trials(tt.trials, tt.soak)
			for range trials {
				wait(t, phase(tt.interval))
				l.a.Signal(syscall.SIGKILL)
				if tt.restart[1] > 0 {
					wait(t, tt.restart[0]+phase(tt.restart[1]-tt.restart[0]))
				}
				l.a.Start()
				l.a.WaitState("MASTER")
			}
			l.settle(t)
			wait(t, 5*tt.interval) // longer than any patience
			moved, gone := l.transitions()[1]-before[1], 0
			for len(changes) > 0 {
				if c := <-changes; !c.Added {
					gone++
				}
			}
			figure(t, "%d kills: %d transitions on the peer, address gone %d times", trials, moved, gone)
			if !tt.promised {
				return
			}
			l.unmoved(t, before)
			if gone > 0 {
				t.Errorf("the address was removed %d times, want never", gone)
			}
		})
	}
}
