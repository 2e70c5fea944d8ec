package faults

import (
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/hareconcile/hareconcile/internal/vrrp"
	"github.com/hareconcile/hareconcile/internal/vrrpd/vrrpdtest"
)

const pausedInterval = 100 * time.Millisecond

// TestPausedBackupDoesNotPromoteItself: the adverts that came meanwhile are in its socket.
func TestPausedBackupDoesNotPromoteItself(t *testing.T) {
	t.Parallel()
	l := elected(t, pausedInterval)
	before, pauses := l.transitions(), status(l.b).Pauses
	promoted := l.b.WatchVIP()
	patience := vrrp.DownInterval(pausedInterval, heir)
	trials := vrrpdtest.Trials(15, 1000)
	fair(t, func() (string, error) {
		for range trials {
			l.b.Signal(syscall.SIGSTOP)
			wait(t, patience/2+phase(patience))
			l.b.Signal(syscall.SIGCONT)
			wait(t, phase(10*time.Millisecond))
		}
		wait(t, 2*patience)
		n := len(promoted)
		removals(promoted)
		text := fmt.Sprintf("%d pauses of up to %v: %d promotions", trials, (patience * 3 / 2).Round(time.Millisecond), n)
		err := l.unmoved(before)
		before = l.transitions()
		return text, err
	})
	if status(l.b).Pauses == pauses {
		t.Error("no pause was counted")
	}
}

// dualLimit is how long a master that was replaced while it was stopped may still act as
// one. What it spends waiting for a processor, on a machine that is busy with other tests,
// does not count.
const dualLimit = 10 * time.Millisecond

func TestPausedMasterStepsDownWhenItWakes(t *testing.T) {
	l := elected(t, pausedInterval)
	mine, theirs := l.a.WatchVIP(), l.b.WatchVIP()
	fair(t, func() (string, error) {
		var dual, own []time.Duration
		for range vrrpdtest.Trials(5, 200) {
			l.a.Signal(syscall.SIGSTOP)
			if c := next(t, theirs); !c.Added {
				t.Fatal("the backup lost the address, want it to gain it")
			}
			wait(t, phase(2*pausedInterval))
			queued, woken := runDelay(t, l.a), time.Now()
			l.a.Signal(syscall.SIGCONT)
			c := next(t, mine)
			if c.Added {
				t.Fatal("the old master gained the address, want it to lose it")
			}
			dual = append(dual, c.At.Sub(woken))
			own = append(own, c.At.Sub(woken)-(runDelay(t, l.a)-queued))
			// It is the better one and takes the address back in its own time.
			if c := next(t, mine); !c.Added {
				t.Fatal("the old master lost the address once more, want it to gain it")
			}
			if c := next(t, theirs); c.Added {
				t.Fatal("the backup gained the address, want it to lose it")
			}
			l.settle(t)
		}
		median, most := spread(dual)
		_, running := spread(own)
		text := fmt.Sprintf("%d pauses: both had the address for %v after the wake-up, at most %v; %v without waits for a processor",
			len(dual), median, most, running)
		if running > dualLimit {
			return text, fmt.Errorf("both had the address for up to %v, want at most %v", running, dualLimit)
		}
		return text, nil
	})
}

// runDelay is how long the one of a node's threads that had to wait most has waited for a
// processor so far (proc_pid_schedstat, kernel/sched/stats.h).
func runDelay(t *testing.T, n *vrrpdtest.Node) (most time.Duration) {
	t.Helper()
	files, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", n.PID()))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			continue // the thread has ended
		}
		var ran, waited int64
		if _, err := fmt.Sscan(string(b), &ran, &waited); err != nil {
			t.Fatalf("%s is %q", f, b)
		}
		most = max(most, time.Duration(waited))
	}
	return most
}

// TestSuspendedHost stops the master for long, as a suspended machine or a snapshot does,
// and both at once, as one of the whole host does.
func TestSuspendedHost(t *testing.T) {
	t.Parallel()
	const long = 3 * time.Second // 8 times anybody's patience
	t.Run("the master", func(t *testing.T) {
		t.Parallel()
		l := elected(t, pausedInterval)
		l.a.Signal(syscall.SIGSTOP)
		l.b.WaitState("MASTER")
		wait(t, long)
		l.a.Signal(syscall.SIGCONT)
		l.settle(t)
		figure(t, "back in order, %d transitions of the master in all", l.transitions()[0])
	})
	t.Run("both", func(t *testing.T) {
		t.Parallel()
		l := elected(t, pausedInterval)
		before := l.transitions()
		promoted := l.b.WatchVIP()
		l.a.Signal(syscall.SIGSTOP)
		l.b.Signal(syscall.SIGSTOP)
		wait(t, long)
		l.b.Signal(syscall.SIGCONT)
		l.a.Signal(syscall.SIGCONT)
		wait(t, 10*pausedInterval)
		l.settle(t)
		now := l.transitions()
		figure(t, "transitions: %d of the master, %d of the backup", now[0]-before[0], now[1]-before[1])
		if len(promoted) > 0 {
			t.Errorf("the address went to the backup, want it to stay where it was")
		}
	})
}
