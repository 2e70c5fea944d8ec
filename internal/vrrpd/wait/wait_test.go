package wait_test

import (
	"os"
	"testing"
	"time"

	"github.com/hareconcile/hareconcile/internal/vrrpd/wait"
)

func open(t *testing.T) *wait.Set {
	t.Helper()
	s, err := wait.New()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

func until(t *testing.T, s *wait.Set, moment time.Duration) {
	t.Helper()
	if err := s.Until(moment); err != nil {
		t.Fatal(err)
	}
}

func TestUntilTheMoment(t *testing.T) {
	s := open(t)
	for _, d := range []time.Duration{-time.Hour, 0, 20 * time.Millisecond} {
		moment := wait.Now() + d
		until(t, s, moment)
		if late := wait.Now() - moment; late < 0 {
			t.Errorf("woke %v early", -late)
		}
	}
}

func TestWakeEndsOneWait(t *testing.T) {
	s := open(t)
	s.Wake() // before the wait
	s.Wake()
	until(t, s, wait.Never)
	moment := wait.Now() + 20*time.Millisecond
	until(t, s, moment)
	if wait.Now() < moment {
		t.Error("two calls of Wake ended two waits")
	}
	go s.Wake()
	until(t, s, wait.Never)
}

func TestInputEndsAWait(t *testing.T) {
	s := open(t)
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer w.Close()
	s.Watch(-1, int(r.Fd()))
	if _, err := w.Write([]byte{1}); err != nil {
		t.Fatal(err)
	}
	until(t, s, wait.Never)
	s.Watch()
	moment := wait.Now() + 20*time.Millisecond
	until(t, s, moment)
	if wait.Now() < moment {
		t.Error("a descriptor that is not watched any more ended a wait")
	}
}
