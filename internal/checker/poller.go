package checker

import (
	"errors"
	"fmt"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// A poller waits for sockets, a bell and a time.
type poller struct {
	epoll, bell int
	coarse      bool // the kernel has no epoll_pwait2(2), which came with Linux 5.11
	events      []unix.EpollEvent
}

// bellSlot stands for the bell where events name connections.
const bellSlot = -1

func newPoller() (*poller, error) {
	p := &poller{epoll: -1, bell: -1, events: make([]unix.EpollEvent, 256)}
	var err error
	if p.epoll, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
		return nil, fmt.Errorf("open epoll: %w", err)
	}
	if p.bell, err = unix.Eventfd(0, unix.EFD_NONBLOCK|unix.EFD_CLOEXEC); err != nil {
		p.close()
		return nil, fmt.Errorf("open eventfd: %w", err)
	}
	if err := p.add(p.bell, unix.EPOLLIN, bellSlot, 0); err != nil {
		p.close()
		return nil, fmt.Errorf("watch eventfd: %w", err)
	}
	return p, nil
}

func (p *poller) close() {
	for _, fd := range []int{p.epoll, p.bell} {
		if fd >= 0 {
			_ = unix.Close(fd)
		}
	}
}

// add watches fd until it is closed.
func (p *poller) add(fd int, events uint32, slot, generation int32) error {
	return unix.EpollCtl(p.epoll, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{Events: events, Fd: slot, Pad: generation})
}

// ring makes wait return.
func ring(bell int) {
	_, _ = unix.Write(bell, []byte{1, 0, 0, 0, 0, 0, 0, 1}) // not zero in either byte order
}

// hush takes back what ring did.
func (p *poller) hush() {
	var b [8]byte
	_, _ = unix.Read(p.bell, b[:])
}

// slack is the share of a wait by which the kernel may be late: a thousandth, see
// select_estimate_accuracy in fs/select.c. A long wait ends before its time by two of those,
// and the next one is short.
const slack = 500

// wait returns what is ready, after limit at the latest.
func (p *poller) wait(limit time.Duration) ([]unix.EpollEvent, error) {
	if limit > 20*time.Millisecond {
		limit -= limit / slack
	}
	n, err := 0, error(nil)
	if p.coarse {
		n, err = unix.EpollWait(p.epoll, p.events, int((limit+time.Millisecond-1)/time.Millisecond))
	} else {
		n, err = p.pwait2(limit)
	}
	switch {
	case errors.Is(err, unix.ENOSYS), errors.Is(err, unix.EPERM): // the latter by a filter of system calls that is older
		p.coarse = true
		return nil, nil
	case err != nil && !errors.Is(err, unix.EINTR):
		return nil, fmt.Errorf("wait for sockets: %w", err)
	}
	return p.events[:max(n, 0)], nil
}

func (p *poller) pwait2(limit time.Duration) (int, error) {
	limit = max(limit, 0)
	ts := [2]int64{int64(limit / time.Second), int64(limit % time.Second)} // struct __kernel_timespec
	n, _, errno := unix.Syscall6(unix.SYS_EPOLL_PWAIT2, uintptr(p.epoll), uintptr(unsafe.Pointer(&p.events[0])),
		uintptr(len(p.events)), uintptr(unsafe.Pointer(&ts[0])), 0, 0)
	if errno != 0 {
		return 0, errno
	}
	return int(n), nil
}
