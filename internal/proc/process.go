package proc

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// A Process is held by a pidfd: it stays this one process, whoever gets its pid after it.
type Process struct {
	Stat // as it was when the process was opened
	file *os.File
}

// Open takes hold of a process that runs. The pidfd comes first and the Stat after it, so
// that both are of the same process.
func Open(pid int) (*Process, error) {
	if pid <= 0 {
		return nil, fmt.Errorf("open process %d: %w", pid, ErrGone)
	}
	fd, err := unix.PidfdOpen(pid, 0) // close-on-exec by itself
	if err != nil {
		if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ESRCH) { // a thread, or nobody
			err = ErrGone
		}
		return nil, fmt.Errorf("open process %d: %w", pid, err)
	}
	// Without blocking, the file is one that the runtime's poller waits for.
	if err := unix.SetNonblock(fd, true); err != nil {
		_ = unix.Close(fd)
		return nil, fmt.Errorf("open process %d: %w", pid, err)
	}
	p := &Process{file: os.NewFile(uintptr(fd), fmt.Sprintf("pidfd of %d", pid))}
	p.Stat, err = Look(pid)
	switch {
	case p.Ended(): // the state says so already when the first of its threads has
		err = fmt.Errorf("open process %d: %w", pid, ErrGone)
	case errors.Is(err, ErrGone):
		err = fmt.Errorf("open process %d: it runs, and %s does not show it (hidepid in proc(5))", pid, procDir)
	}
	if err != nil {
		_ = p.Close()
		return nil, err
	}
	return p, nil
}

// Ended reports whether the process has ended. A zombie has.
func (p *Process) Ended() bool {
	ended := true // of a Process that was closed
	c, err := p.file.SyscallConn()
	if err == nil {
		_ = c.Control(func(fd uintptr) { ended = readable(fd) })
	}
	return ended
}

// Wait returns nil once the process has ended, at once, or the error of ctx if that ends
// first. Only one goroutine may wait.
func (p *Process) Wait(ctx context.Context) error {
	c, err := p.file.SyscallConn()
	if err != nil {
		return fmt.Errorf("wait for process %d: %w", p.PID, err)
	}
	if err := p.file.SetReadDeadline(time.Time{}); err != nil {
		return fmt.Errorf("wait for process %d: %w", p.PID, err)
	}
	stop := context.AfterFunc(ctx, func() { _ = p.file.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	err = c.Read(readable)
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return ctx.Err()
	}
	return fmt.Errorf("wait for process %d: %w", p.PID, err)
}

// Close lets go of the process.
func (p *Process) Close() error { return p.file.Close() }

// readable reports whether a pidfd is, which says that its process has ended (pidfd_open(2)).
func readable(fd uintptr) bool {
	fds := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
	n, err := unix.Poll(fds, 0)
	return err == nil && n == 1 && fds[0].Revents != 0
}
