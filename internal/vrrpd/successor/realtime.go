package successor

import (
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// realtimePriority is low: before all that is not realtime, and behind the kernel's own.
	realtimePriority = 10
	// runaway is how long a realtime thread may run without sleeping. The kernel kills the
	// process then: it is better started anew than in the way of all others.
	runaway = 5 * time.Second
)

// Realtime reports whether the calling thread runs under SCHED_RR.
func Realtime() bool {
	a, err := unix.SchedGetAttr(0, 0)
	return err == nil && a.Policy == unix.SCHED_RR
}

// SetRealtime puts the calling thread under SCHED_RR, or under SCHED_OTHER with a nice
// value. The program that it executes next has that in all of its threads.
func SetRealtime(on bool, nice int) error {
	attr := &unix.SchedAttr{Policy: unix.SCHED_NORMAL, Nice: int32(nice)}
	if on {
		attr = &unix.SchedAttr{Policy: unix.SCHED_RR, Priority: realtimePriority}
		if err := limitRunaway(); err != nil {
			return err
		}
	}
	err := unix.SchedSetAttr(0, attr, 0)
	if !on && errors.Is(err, unix.EPERM) { // the nice value it has is all it may have
		attr.Nice = 0
		err = unix.SchedSetAttr(0, attr, 0)
	}
	if err != nil {
		return fmt.Errorf("set scheduling policy: %w", err)
	}
	return nil
}

func limitRunaway() error {
	var now unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_RTTIME, &now); err != nil {
		return fmt.Errorf("read limit of realtime: %w", err)
	}
	limit := min(uint64(runaway/time.Microsecond), now.Max)
	if err := unix.Setrlimit(unix.RLIMIT_RTTIME, &unix.Rlimit{Cur: limit, Max: limit}); err != nil {
		return fmt.Errorf("limit realtime: %w", err)
	}
	return nil
}

// LockMemory keeps what the process uses, now or later, in memory. What it only reserves
// takes none.
func LockMemory() error {
	const capIPCLock = 14
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_MEMLOCK, &limit); err != nil {
		return fmt.Errorf("lock memory: %w", err)
	}
	// Below a limit, some later mapping of the runtime would fail, which ends the process.
	if limit.Cur != unix.RLIM_INFINITY && !capable(capIPCLock) {
		return fmt.Errorf("lock memory: the limit is %d bytes, want infinity or CAP_IPC_LOCK: %w", limit.Cur, unix.EPERM)
	}
	if err := unix.Mlockall(unix.MCL_CURRENT | unix.MCL_FUTURE | unix.MCL_ONFAULT); err != nil {
		return fmt.Errorf("lock memory: %w", err)
	}
	return nil
}

func capable(n uint) bool {
	head := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	return unix.Capget(&head, &data[0]) == nil && data[n/32].Effective&(1<<(n%32)) != 0
}
