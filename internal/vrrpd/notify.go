package vrrpd

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// A notifier talks to systemd (sd_notify(3)). The loop itself feeds the watchdog: a side
// goroutine would vouch for a loop that hangs.
type notifier struct {
	fd    int
	to    *unix.SockaddrUnix
	every time.Duration // between two feedings
	next  time.Duration
}

var watchdogText = []byte("WATCHDOG=1")

// newNotifier reads what systemd left in the environment. Without it, nothing is sent.
func newNotifier() (*notifier, error) {
	n := &notifier{fd: -1, every: idleWait, next: never}
	path := os.Getenv("NOTIFY_SOCKET")
	if path == "" {
		return n, nil
	}
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return n, fmt.Errorf("open notify socket: %w", err)
	}
	n.fd, n.to = fd, &unix.SockaddrUnix{Name: path}
	usec, err := strconv.ParseInt(os.Getenv("WATCHDOG_USEC"), 10, 64)
	if pid := os.Getenv("WATCHDOG_PID"); err == nil && usec > 0 && (pid == "" || pid == strconv.Itoa(os.Getpid())) {
		n.every, n.next = time.Duration(usec)*time.Microsecond/3, 0
	}
	return n, nil
}

// say sends one state.
func (n *notifier) say(text string) error {
	if n.fd < 0 {
		return nil
	}
	if err := unix.Sendto(n.fd, []byte(text), 0, n.to); err != nil && !errors.Is(err, unix.EAGAIN) {
		return fmt.Errorf("notify systemd: %w", err)
	}
	return nil
}

// feed keeps the watchdog quiet.
func (n *notifier) feed(now time.Duration) {
	if now >= n.next {
		n.next = now + n.every
		_ = unix.Sendto(n.fd, watchdogText, 0, n.to)
	}
}
