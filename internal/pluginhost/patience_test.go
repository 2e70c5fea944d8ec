package pluginhost

import (
	"context"
	"errors"
	"os"
	"testing"
	"testing/synctest"
	"time"
)

func nobody() int { return 0 }

func TestAStartHasItsTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		err := timing{start: 5 * time.Second}.startTime(t.Context(), nobody)
		if took := time.Since(began); !errors.Is(err, errSlow) || took != 5*time.Second {
			t.Errorf("startTime() = %v after %v, want %v after 5s", err, took, errSlow)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := (timing{start: 5 * time.Second}).startTime(ctx, nobody); err != nil {
			t.Errorf("startTime() of what has started = %v, want nil", err)
		}
	})
}

// TestWaitingForAProcessorIsKnown: the kernel counts it, or what is said here of a busy
// machine is not true.
func TestWaitingForAProcessorIsKnown(t *testing.T) {
	if got := waiting(os.Getpid()); got <= 0 {
		t.Errorf("waiting() of a test = %v, want more than nothing", got)
	}
	if got := waiting(1 << 30); got != 0 {
		t.Errorf("waiting() of no process = %v", got)
	}
}
