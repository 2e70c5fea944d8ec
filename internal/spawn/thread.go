// Package spawn starts programs that are trusted less than this process.
package spawn

import (
	"fmt"
	"runtime"

	"golang.org/x/sys/unix"
)

// OnOwnThread calls f on a thread that nobody uses before or after: the goroutine stays
// locked, so the runtime ends the thread with it and makes no thread in its image. The
// thread outlives the child, whose death signal hangs on it (PR_SET_PDEATHSIG).
func OnOwnThread(f func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread()
		if unix.Gettid() == unix.Getpid() {
			// The main thread never ends and shows for the process in /proc. Held here, it
			// cannot be picked again.
			OnOwnThread(f)
			runtime.UnlockOSThread()
			return
		}
		f()
	}()
	<-done
}

// Humble takes from this thread, and so from the children that it starts, privileges
// through setuid files and all capabilities: children of root have none either
// (capabilities(7), "Transformation of capabilities during execve").
func Humble() error {
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("no_new_privs: %w", err)
	}
	if err := unix.Prctl(unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0); err != nil {
		return fmt.Errorf("clear ambient capabilities: %w", err)
	}
	for c := uintptr(0); c < 64; c++ {
		switch err := unix.Prctl(unix.PR_CAPBSET_DROP, c, 0, 0, 0); err {
		case nil:
		case unix.EINVAL: // past the kernel's last capability
			return nil
		case unix.EPERM: // no CAP_SETPCAP; then only children that stay root keep some
			return nil
		default:
			return fmt.Errorf("drop capability %d: %w", c, err)
		}
	}
	return nil
}
