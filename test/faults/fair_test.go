package faults

import (
	"fmt"
	"testing"
	"time"
)

const (
	// stall is how late a timer of this process may be before the machine counts as busy:
	// others on it, not vrrpd, then make the figures.
	stall = 25 * time.Millisecond
	// tries is how often a test may ask for a machine that is not.
	tries = 4
)

// fair runs a trial and tells its figure. One that went wrong while the machine stood still
// is run again; one that went wrong without that, or the last one, fails the test.
func fair(t *testing.T, trial func() (figure string, err error)) {
	t.Helper()
	for n := 1; ; n++ {
		late := lateness()
		text, err := trial()
		worst := late()
		if err != nil && worst > stall && n < tries {
			t.Logf("once more, since the machine stood still for %v: %s: %v", worst.Round(time.Millisecond), text, err)
			continue
		}
		figure(t, "%s", text)
		if err != nil {
			t.Errorf("%v (the machine stood still for at most %v)", err, worst.Round(time.Millisecond))
		}
		return
	}
}

// lateness watches how late a timer of this process is; what it returns ends that and says
// the worst.
func lateness() (worst func() time.Duration) {
	const period = 2 * time.Millisecond
	stop, result := make(chan struct{}), make(chan time.Duration)
	go func() { // ends with the call of worst
		tick := time.NewTicker(period)
		defer tick.Stop()
		var most time.Duration
		for last := time.Now(); ; {
			select {
			case <-tick.C:
				now := time.Now()
				most, last = max(most, now.Sub(last)-period), now
			case <-stop:
				result <- most
				return
			}
		}
	}()
	return func() time.Duration {
		close(stop)
		return <-result
	}
}

// unmoved is the error of a state that has changed since.
func (l *lan) unmoved(since [2]uint64) error {
	now := l.transitions()
	if now == since {
		return nil
	}
	return fmt.Errorf("%d transitions of the master (now %s) and %d of the backup (now %s), want none",
		now[0]-since[0], l.a.Instance().Reason, now[1]-since[1], l.b.Instance().Reason)
}
