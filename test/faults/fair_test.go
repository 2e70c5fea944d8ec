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
	// spare is how many trials a busy machine may spoil, beyond one for each that counts.
	spare = 3
)

// fair runs so many trials. One that goes wrong while the machine stands still does not
// count and is run again; any other one that goes wrong fails the test. What it returns says
// so behind a figure.
func fair(t *testing.T, trials int, trial func() error) (note string) {
	t.Helper()
	spoilt := 0
	for good := 0; good < trials; {
		late := lateness()
		err := trial()
		worst := late().Round(time.Millisecond)
		if err != nil && worst > stall && spoilt < trials+spare {
			spoilt++
			t.Logf("does not count, since the machine stood still for %v: %v", worst, err)
			continue
		}
		if good++; err != nil {
			t.Errorf("%v (the machine stood still for at most %v)", err, worst)
		}
	}
	if spoilt > 0 {
		note = fmt.Sprintf(" (%d more spoilt by a busy machine)", spoilt)
	}
	return note
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
