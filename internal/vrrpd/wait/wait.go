// Package wait lets one goroutine wait for sockets, a moment of boot time or a wake-up.
package wait

import (
	"errors"
	"fmt"
	"math"
	"time"

	"golang.org/x/sys/unix"
)

// Never is a moment that does not come.
const Never = time.Duration(math.MaxInt64)

// longest bounds one wait: a thread that looks around twice an hour costs nothing.
const longest = 30 * time.Minute

// A Set is what one goroutine waits for. Only Wake may be called from others.
type Set struct {
	wakeup int
	fds    []unix.PollFd
}

// New returns a Set without descriptors.
func New() (*Set, error) {
	fd, err := unix.Eventfd(0, unix.EFD_NONBLOCK|unix.EFD_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("open eventfd: %w", err)
	}
	s := &Set{wakeup: fd}
	s.Watch()
	return s, nil
}

// Close frees what New took. Nobody may call Wake any more.
func (s *Set) Close() { _ = unix.Close(s.wakeup) }

// Watch replaces the descriptors whose input ends a wait; negative ones are left out.
func (s *Set) Watch(fds ...int) {
	s.fds = append(s.fds[:0], unix.PollFd{Fd: int32(s.wakeup), Events: unix.POLLIN})
	for _, fd := range fds {
		if fd >= 0 {
			s.fds = append(s.fds, unix.PollFd{Fd: int32(fd), Events: unix.POLLIN})
		}
	}
}

// Wake ends the present wait, or the next.
func (s *Set) Wake() {
	_, _ = unix.Write(s.wakeup, []byte{1, 0, 0, 0, 0, 0, 0, 1}) // not zero in either byte order
}

// Until waits until there is input, somebody calls Wake, or the time of Now has come. It
// may also return early.
func (s *Set) Until(moment time.Duration) error {
	d := min(max(moment-Now(), 0), longest)
	ts := unix.NsecToTimespec(int64(d))
	if _, err := unix.Ppoll(s.fds, &ts, nil); err != nil && !errors.Is(err, unix.EINTR) {
		return fmt.Errorf("poll: %w", err)
	}
	if s.fds[0].Revents != 0 {
		var clear [8]byte
		_, _ = unix.Read(s.wakeup, clear[:])
	}
	return nil
}

// Now returns the time since boot, time in suspend included (CLOCK_BOOTTIME).
func Now() time.Duration {
	var ts unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts) // cannot fail for a clock that exists
	return time.Duration(ts.Nano())
}
