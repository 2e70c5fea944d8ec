// Package wire is vrrpd's clock and its ears: sockets for VRRP over IPv4 and IPv6, one
// for link-layer frames, and the one wait for all of them.
package wire

import (
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/unix"
)

// A Port is where VRRP of one IP version is heard.
type Port struct {
	Index int // of the interface
	IPv6  bool
}

// A Packet is one received IP packet, from its IP header on.
type Packet struct {
	Port Port
	Data []byte // until the next call of Next
}

// A Wire is the real network. All but Wake is for one goroutine only.
type Wire struct {
	epoll   int
	timer   int // timerfd
	wakeup  int // eventfd
	frames  int // packet socket that sends only
	out     sender
	joints  map[Port]*joint
	ears    map[int32]ear // by file descriptor
	events  []unix.EpollEvent
	extras  []int         // of the last Wait
	armed   time.Duration // what the timer is set to
	strange strangers
	in      receiver

	inRound bool
	ready   int // how many of events are sockets to read in this round
	cursor  int
	share   int // packets read at the cursor in this round
	more    bool
}

const (
	// readShare bounds what one socket may deliver in a round, so that a flood cannot keep
	// the loop from its timers.
	readShare = 1024
	// ownEvents is room for the timer, the eventfd and the strangers' set.
	ownEvents = 3
	never     = time.Duration(1<<63 - 1)
)

// Open returns a Wire that hears nothing yet.
func Open() (*Wire, error) {
	w := closed()
	if err := w.open(); err != nil {
		w.Close()
		return nil, err
	}
	return w, nil
}

func closed() *Wire {
	return &Wire{
		epoll: -1, timer: -1, wakeup: -1, frames: -1, armed: never,
		out: sender{v4: -1, v6: -1}, strange: strangers{set: -1},
		joints: map[Port]*joint{}, ears: map[int32]ear{},
	}
}

func (w *Wire) open() error {
	var err error
	if w.epoll, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
		return fmt.Errorf("open epoll: %w", err)
	}
	if w.timer, err = unix.TimerfdCreate(unix.CLOCK_BOOTTIME, unix.TFD_CLOEXEC|unix.TFD_NONBLOCK); err != nil {
		return fmt.Errorf("open timerfd: %w", err)
	}
	if w.wakeup, err = unix.Eventfd(0, unix.EFD_NONBLOCK|unix.EFD_CLOEXEC); err != nil {
		return fmt.Errorf("open eventfd: %w", err)
	}
	if w.frames < 0 {
		if w.frames, err = openFrames(); err != nil {
			return err
		}
	}
	if err := w.strange.open(); err != nil {
		return err
	}
	if err := w.out.open(); err != nil {
		return err
	}
	err = errors.Join(
		watch(w.epoll, w.timer, unix.EPOLLIN),
		watch(w.epoll, w.wakeup, unix.EPOLLIN),
		watch(w.epoll, w.strange.set, unix.EPOLLIN|unix.EPOLLONESHOT),
	)
	w.in.init()
	w.makeRoom()
	return err
}

// Close closes every socket.
func (w *Wire) Close() {
	for p := range w.joints {
		w.Leave(p)
	}
	for _, fd := range []int{w.epoll, w.timer, w.wakeup, w.frames, w.out.v4, w.out.v6, w.strange.set} {
		if fd >= 0 {
			_ = unix.Close(fd)
		}
	}
}

func watch(set, fd int, events uint32) error {
	if err := unix.EpollCtl(set, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{Events: events, Fd: int32(fd)}); err != nil {
		return fmt.Errorf("watch socket: %w", err)
	}
	return nil
}

// makeRoom lets one epoll_wait(2) report everything that is ready.
func (w *Wire) makeRoom() {
	if n := len(w.joints) + len(w.extras) + ownEvents; n > len(w.events) {
		w.events = make([]unix.EpollEvent, 2*n)
	}
	w.strange.makeRoom(len(w.joints))
}

// Now is the time since boot. It counts suspends and knows nothing of wall clocks.
func (w *Wire) Now() time.Duration {
	var ts unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts) // cannot fail for a clock that exists
	return time.Duration(ts.Nano())
}

// Wall is the wall clock, for what is compared with other hosts' clocks.
func (w *Wire) Wall() time.Time { return time.Now() }

// Wake makes Wait return. It may be called from any goroutine while the Wire is open.
func (w *Wire) Wake() {
	_, _ = unix.Write(w.wakeup, []byte{1, 0, 0, 0, 0, 0, 0, 1}) // not zero in either byte order
}

// Wait returns when something can be read, here or from one of the files more, at the
// time until (of Now) at the latest, and sometimes for no reason. The time limit is a
// timerfd's: that of poll(2) is late by up to a thousandth of the wait.
func (w *Wire) Wait(until time.Duration, more []int) error {
	if err := w.arm(min(until, w.strange.next())); err != nil {
		return err
	}
	if err := w.also(more); err != nil {
		return err
	}
	if _, err := w.poll(-1); err != nil && !errors.Is(err, unix.EINTR) {
		return fmt.Errorf("wait for packets: %w", err)
	}
	return nil
}

// poll asks what is ready. Strangers' set says only once that it is.
func (w *Wire) poll(milliseconds int) (int, error) {
	n, err := unix.EpollWait(w.epoll, w.events, milliseconds)
	for i := range max(n, 0) {
		w.strange.pending = w.strange.pending || int(w.events[i].Fd) == w.strange.set
	}
	return max(n, 0), err
}

func (w *Wire) arm(at time.Duration) error {
	if at == w.armed {
		return nil
	}
	var spec unix.ItimerSpec // zero disarms
	if at != never {
		spec.Value = unix.NsecToTimespec(int64(max(at, 1)))
	}
	if err := unix.TimerfdSettime(w.timer, unix.TFD_TIMER_ABSTIME, &spec, nil); err != nil {
		return fmt.Errorf("set timer: %w", err)
	}
	w.armed = at
	return nil
}

// also watches files of others. It asks each time: a file that was closed and opened again
// has the same number, and is not watched any more.
func (w *Wire) also(more []int) error {
	for _, fd := range w.extras {
		if !contains(more, fd) {
			_ = unix.EpollCtl(w.epoll, unix.EPOLL_CTL_DEL, fd, nil) // which may be closed
		}
	}
	w.extras = append(w.extras[:0], more...)
	if len(w.joints)+len(w.extras)+ownEvents > len(w.events) {
		w.makeRoom()
	}
	for _, fd := range more {
		ev := unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(fd)}
		if err := unix.EpollCtl(w.epoll, unix.EPOLL_CTL_ADD, fd, &ev); err != nil && !errors.Is(err, unix.EEXIST) {
			return fmt.Errorf("watch file %d: %w", fd, err)
		}
	}
	return nil
}

func contains(fds []int, fd int) bool {
	for _, f := range fds {
		if f == fd {
			return true
		}
	}
	return false
}
