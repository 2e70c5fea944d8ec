package faults

import (
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/hareconcile/hareconcile/internal/nstest"
	"github.com/hareconcile/hareconcile/internal/vrrp"
	"github.com/hareconcile/hareconcile/internal/vrrpd/vrrpdtest"
)

const pausedInterval = 100 * time.Millisecond

// TestPausedBackupDoesNotPromoteItself: the adverts that came meanwhile are in its socket.
func TestPausedBackupDoesNotPromoteItself(t *testing.T) {
	t.Parallel()
	l := elected(t, pausedInterval)
	pauses := status(l.b).Pauses
	promoted := l.b.WatchVIP()
	patience := vrrp.DownInterval(pausedInterval, heir)
	trials := nstest.Trials(15, 1000)
	note := fair(t, trials, func() error {
		before := l.transitions()
		l.b.Signal(syscall.SIGSTOP)
		wait(t, patience/2+phase(patience))
		l.b.Signal(syscall.SIGCONT)
		wait(t, phase(10*time.Millisecond))
		return l.unmoved(before)
	})
	wait(t, 2*patience)
	figure(t, "%d pauses of up to %v: %d promotions%s", trials, (patience * 3 / 2).Round(time.Millisecond), len(promoted), note)
	if len(promoted) > 0 && note == "" {
		t.Errorf("the address came to the backup, want never")
	}
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
	var dual, own []time.Duration
	note := fair(t, nstest.Trials(5, 200), func() error {
		l.settle(t)
		removals(mine)
		removals(theirs)
		l.a.Signal(syscall.SIGSTOP)
		if c := next(t, theirs); !c.Added {
			t.Fatal("the backup lost the address, want it to gain it")
		}
		wait(t, phase(2*pausedInterval))
		queued, woken := runDelay(t, l.a), time.Now()
		l.a.Signal(syscall.SIGCONT)
		lost := next(t, mine)
		both := lost.At.Sub(woken)
		running := both - (runDelay(t, l.a) - queued)
		// It is the better one and takes the address back in its own time.
		back, given := next(t, mine), next(t, theirs)
		if lost.Added || !back.Added || given.Added {
			return fmt.Errorf("the old master's address was added %v and added %v, the backup's added %v; want it to lose it, and to take it back",
				lost.Added, back.Added, given.Added)
		}
		if running > dualLimit {
			return fmt.Errorf("both had the address for %v, %v of it running, want at most %v", both, running, dualLimit)
		}
		dual, own = append(dual, both), append(own, running)
		return nil
	})
	median, most := spread(dual)
	_, running := spread(own)
	figure(t, "%d pauses: both had the address for %v after the wake-up, at most %v; %v without waits for a processor%s",
		len(dual), median, most, running, note)
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
