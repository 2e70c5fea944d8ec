package faults

import (
	"errors"
	"fmt"
	"syscall"
	"testing"
	"time"

	"github.com/hareconcile/hareconcile/internal/nstest"
	"github.com/hareconcile/hareconcile/internal/vrrpd/vrrpdtest"
)

// TestKilledMasterIsNotMissed kills vrrpd on the master at random phases; the test is the
// supervisor. A master may stay one if its silence was shorter than the most eager peer's
// patience, 3 intervals, and its last advert may be an interval old when it dies. So the
// restart has to be done within 2 intervals: 2 s leaves room for a supervisor that waits
// (the unit's RestartSec is 100 ms), 200 ms for one that does not and a start of some 10 ms;
// 20 ms is too little to promise.
func TestKilledMasterIsNotMissed(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		interval     time.Duration
		restart      [2]time.Duration // least and most
		trials, soak int
		promised     bool
	}{
		{time.Second, [2]time.Duration{100 * time.Millisecond, 200 * time.Millisecond}, 4, 200, true},
		{100 * time.Millisecond, [2]time.Duration{}, 20, 200, true},
		{10 * time.Millisecond, [2]time.Duration{}, 20, 200, false},
	} {
		t.Run(tt.interval.String(), func(t *testing.T) {
			t.Parallel()
			l := elected(t, tt.interval)
			changes := l.a.WatchVIP()
			trials := nstest.Trials(tt.trials, tt.soak)
			moved, gone := uint64(0), 0
			note := fair(t, trials, func() error {
				l.settle(t)
				removals(changes)
				before := l.transitions()
				wait(t, phase(tt.interval))
				l.a.Signal(syscall.SIGKILL)
				if tt.restart[1] > 0 {
					wait(t, tt.restart[0]+phase(tt.restart[1]-tt.restart[0]))
				}
				l.a.Start()
				l.a.WaitState("MASTER") // after all moves, if there are any
				err := l.unmoved(before)
				removed := removals(changes)
				if removed > 0 {
					err = errors.Join(err, fmt.Errorf("the address was removed %d times, want never", removed))
				}
				if err == nil || !tt.promised {
					moved += l.transitions()[1] - before[1]
					gone += removed
					return nil
				}
				return err
			})
			before := l.transitions()
			wait(t, 5*tt.interval) // longer than any patience
			if err := l.unmoved(before); err != nil && tt.promised {
				t.Error(err)
			}
			figure(t, "%d kills: %d transitions on the peer, address gone %d times%s", trials, moved, gone, note)
		})
	}
}

// removals counts those that a watch has seen, and empties it.
func removals(changes <-chan vrrpdtest.Change) (n int) {
	for len(changes) > 0 {
		if c := <-changes; !c.Added {
			n++
		}
	}
	return n
}
