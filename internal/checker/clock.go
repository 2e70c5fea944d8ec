package checker

import (
	"time"

	"golang.org/x/sys/unix"
)

// clock is the time since boot. It counts suspends and knows nothing of wall clocks.
func clock() time.Duration {
	var ts unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts) // cannot fail for a clock that exists
	return time.Duration(ts.Nano())
}

// A timepiece tells clock's time, mostly without the system call that clock costs.
type timepiece struct {
	boot time.Duration
	at   time.Time // of boot, and not before it: the time told never runs backwards
}

// look asks the kernel.
func (t *timepiece) look() time.Duration {
	t.boot = clock()
	t.at = time.Now()
	return t.boot
}

// glance counts from the last look with the clock of Go, which stops while the host is
// suspended: whoever may have slept has to look.
func (t *timepiece) glance() time.Duration { return t.boot + time.Since(t.at) }

// wall is what the wall clock said when clock said now.
func (t *timepiece) wall(now time.Duration) time.Time { return t.at.Add(now - t.boot) }
