package agent

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hareconcile/hareconcile/internal/pace"
)

// TestASourceThatIsDownIsAskedLessOften has an outage of hours, and pushes after it.
func TestASourceThatIsDownIsAskedLessOften(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		defer converged(t, w)()
		w.origin.fail(errors.New("no route to host"))
		after(11 * time.Second)
		for range 10 { // somebody who asks in vain puts nothing off
			w.FetchNow()
			synctest.Wait()
		}
		if wait := time.Until(w.Status().Look.Next); wait > 45*time.Second {
			t.Errorf("the next look is in %v after a failure and 10 that were asked for, want at most 40s and jitter", wait)
		}
		after(30 * time.Minute)
		before := w.origin.asked()
		after(3 * time.Hour)
		s := w.Status()
		if n := w.origin.asked() - before; n < 11 || n > 15 {
			t.Errorf("asked %d times in 3 hours, want about once in 15 minutes", n)
		}
		if wait := time.Until(s.Look.Next); s.Source.Error == "" || wait <= 0 || wait > pace.BackOffMax {
			t.Errorf("status = %+v, the next look in %v; want an error and a look within %v", s.Source, wait, pace.BackOffMax)
		}
		w.origin.push(lab("bbbbbbb", 5))
		asked := time.Now()
		w.FetchNow()
		synctest.Wait()
		if s := w.Status(); w.weight() != 5 || s.Look.Began.Before(asked) || s.Source.Error != "" {
			t.Errorf("weight = %d with %+v right after a look was asked for, want 5", w.weight(), s.Look)
		}
		before = w.origin.asked()
		after(10 * time.Minute)
		if n := w.origin.asked() - before; n < 50 || n > 70 {
			t.Errorf("asked %d times in 10 minutes once all is well, want about 60", n)
		}
	})
}
