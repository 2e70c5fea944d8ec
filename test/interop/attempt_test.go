package interop

import (
	"context"
	"fmt"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"
)

const (
	// stall is how late a timer of this process may be before the machine counts as busy:
	// what fails then is tried again, since others on the machine may have made it fail.
	stall = 50 * time.Millisecond
	tries = 3
)

// An attempt is a test that may fail without failing the test.
type attempt struct {
	testing.TB // for what is not below
	ctx        context.Context

	mu       sync.Mutex
	failed   bool
	said     []string
	cleanups []func()
}

// fairly runs a case, and once more if it failed while the machine stood still.
func fairly(t *testing.T, run func(t testing.TB)) {
	t.Helper()
	for n := 1; ; n++ {
		late := lateness()
		a := try(t, run)
		worst := late()
		again := a.failed && worst > stall && n < tries
		for _, line := range a.said {
			t.Log(line)
		}
		if again {
			t.Logf("once more, since the machine stood still for %v", worst.Round(time.Millisecond))
			continue
		}
		if a.failed {
			t.Errorf("the machine stood still for no more than %v, attempt %d", worst.Round(time.Millisecond), n)
		}
		return
	}
}

// try makes one attempt, with what it wants cleaned up.
func try(t *testing.T, run func(t testing.TB)) *attempt {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	a := &attempt{TB: t, ctx: ctx}
	inside := func(f func()) { // f may end its goroutine
		done := make(chan struct{})
		go func() {
			defer close(done)
			f()
		}()
		<-done
	}
	inside(func() { run(a) })
	cancel() // before the cleanups, as package testing does
	for {
		a.mu.Lock()
		n := len(a.cleanups)
		if n == 0 {
			a.mu.Unlock()
			return a
		}
		f := a.cleanups[n-1]
		a.cleanups = a.cleanups[:n-1]
		a.mu.Unlock()
		inside(f)
	}
}

func (a *attempt) Context() context.Context { return a.ctx }

func (a *attempt) Cleanup(f func()) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.cleanups = append(a.cleanups, f)
}

func (a *attempt) say(text string, fail bool) {
	if _, file, line, ok := runtime.Caller(2); ok {
		text = fmt.Sprintf("%s:%d: %s", filepath.Base(file), line, text)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.said, a.failed = append(a.said, text), a.failed || fail
}

func (a *attempt) Log(args ...any)                 { a.say(fmt.Sprint(args...), false) }
func (a *attempt) Logf(format string, args ...any) { a.say(fmt.Sprintf(format, args...), false) }
func (a *attempt) Error(args ...any)               { a.say(fmt.Sprint(args...), true) }
func (a *attempt) Errorf(format string, args ...any) {
	a.say(fmt.Sprintf(format, args...), true)
}

func (a *attempt) Fatal(args ...any) {
	a.say(fmt.Sprint(args...), true)
	runtime.Goexit()
}

func (a *attempt) Fatalf(format string, args ...any) {
	a.say(fmt.Sprintf(format, args...), true)
	runtime.Goexit()
}

func (a *attempt) Failed() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.failed
}

// lateness watches how late a timer of this process is; what it returns ends that and says
// the worst.
func lateness() (worst func() time.Duration) {
	const period = 5 * time.Millisecond
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

func TestAnAttemptFailsAlone(t *testing.T) {
	var order []string
	a := try(t, func(t testing.TB) {
		t.Cleanup(func() { order = append(order, "first") })
		t.Cleanup(func() {
			order = append(order, "second")
			if t.Context().Err() == nil {
				order = append(order, "too early")
			}
			t.Error("said while cleaning up")
		})
		t.Fatalf("it is %d", 7)
		order = append(order, "not reached")
	})
	if !a.Failed() || t.Failed() || len(a.said) != 2 || !strings.HasSuffix(a.said[0], ": it is 7") {
		t.Errorf("the attempt failed: %v, the test: %v; it said %q", a.Failed(), t.Failed(), a.said)
	}
	if got := strings.Join(order, " "); got != "second first" {
		t.Errorf("cleanups ran as %q, want %q", got, "second first")
	}
}
