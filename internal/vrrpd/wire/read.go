package wire

import (
	"errors"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Next reads one packet, without waiting. If there is none, more says whether that is
// because a round may read no more, and there is more to read.
func (w *Wire) Next(p *Packet) (ok, more bool) {
	if !w.inRound {
		w.begin()
	}
	for w.cursor < w.ready {
		if w.hear(w.events[w.cursor].Fd, readShare, p) {
			return true, false
		}
	}
	for w.strange.cursor < w.strange.ready {
		if w.hearStranger(p) {
			return true, false
		}
	}
	w.inRound = false
	return false, w.more
}

// begin looks anew at what there is to read, which may be more than what ended the wait.
func (w *Wire) begin() {
	w.inRound, w.more, w.cursor, w.share = true, false, 0, 0
	var err error
	for w.ready, err = w.poll(0); errors.Is(err, unix.EINTR); {
		w.ready, err = w.poll(0) // a round that reads nothing would take what is queued for silence
	}
	for i := range w.ready {
		if int(w.events[i].Fd) == w.wakeup {
			_, _ = unix.Read(w.wakeup, w.in.count[:])
		}
	}
	w.strange.cursor, w.strange.ready = 0, 0
	if w.strange.pending {
		if now := w.Now(); now >= w.strange.at {
			w.strange.begin(now, w.epoll)
		}
	}
}

// hear reads one packet from the socket at the cursor; if there is none, or the socket had
// its share, it moves the cursor on.
func (w *Wire) hear(fd int32, share int, p *Packet) bool {
	e, ok := w.ears[fd]
	if ok && w.share < share {
		w.share++
		n, err := w.in.read(&e)
		if err == nil {
			p.Port, p.Data = e.port, w.in.packet(&e, n)
			return true
		}
		if !errors.Is(err, unix.EAGAIN) {
			return false // an interrupt, or an error that the read has cleared
		}
		ok = false
	}
	w.more = w.more || ok
	w.cursor, w.share = w.cursor+1, 0
	return false
}

const (
	// strangersPause and strangersShare bound what packets that cannot be of a peer cost.
	strangersPause = 100 * time.Millisecond
	strangersShare = 256
)

// A strangers reads, now and then, the sockets of packets that cannot be of a peer. Its
// set is in the Wire's own only until one of them has something.
type strangers struct {
	set     int // epoll
	events  []unix.EpollEvent
	pending bool          // there is something to read, and nothing will say so again
	at      time.Duration // not before
	ready   int
	cursor  int
	share   int // packets that may be read from the cursor on
	budget  int // packets that may be read in this round
}

func (s *strangers) open() (err error) {
	s.set, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	return err
}

func (s *strangers) makeRoom(n int) {
	if n >= len(s.events) {
		s.events = make([]unix.EpollEvent, 2*n+1)
	}
}

// next is when there is something to do though nothing will say so.
func (s *strangers) next() time.Duration {
	if s.pending {
		return s.at
	}
	return never
}

func (s *strangers) begin(now time.Duration, epoll int) {
	s.at, s.pending = now+strangersPause, false
	n, _ := unix.EpollWait(s.set, s.events, 0)
	s.ready, s.budget = max(n, 0), strangersShare
	s.share = 0
	if s.ready > 0 {
		s.share = max(strangersShare/s.ready, 1)
	}
	ev := unix.EpollEvent{Events: unix.EPOLLIN | unix.EPOLLONESHOT, Fd: int32(s.set)}
	if unix.EpollCtl(epoll, unix.EPOLL_CTL_MOD, s.set, &ev) != nil {
		s.pending = true // look again after the pause
	}
}

// hearStranger is hear for strangers. What they have more is for a later round, of which
// the loop need not know.
func (w *Wire) hearStranger(p *Packet) bool {
	s := &w.strange
	e, ok := w.ears[s.events[s.cursor].Fd]
	for ok && s.budget > 0 && w.share < s.share {
		w.share++
		s.budget--
		n, err := w.in.read(&e)
		if err == nil {
			p.Port, p.Data = e.port, w.in.packet(&e, n)
			return true
		}
		ok = !errors.Is(err, unix.EAGAIN)
	}
	s.cursor, w.share = s.cursor+1, 0
	return false
}

// A receiver is what recvmsg(2) writes to.
type receiver struct {
	buf     []byte
	count   [8]byte
	msg     unix.Msghdr
	iov     unix.Iovec
	from    unix.RawSockaddrInet6
	control [256]byte
}

const (
	header6   = 40 // bytes of an IPv6 header
	maxPacket = 64 << 10
	hopLimit  = 7 // its offset in the header
)

func (r *receiver) init() {
	r.buf = make([]byte, header6+maxPacket)
	r.iov.Base = &r.buf[header6]
	r.iov.SetLen(maxPacket)
	r.msg.Name = (*byte)(unsafe.Pointer(&r.from))
	r.msg.Iov = &r.iov
	r.msg.Iovlen = 1
	r.msg.Control = &r.control[0]
}

// read reads one packet into the buffer, behind room for a header. It allocates nothing,
// which unix.Recvmsg does for the sender's address.
func (r *receiver) read(e *ear) (int, error) {
	if !e.port.IPv6 {
		return unix.Read(e.fd, r.buf[header6:])
	}
	r.msg.Namelen = unix.SizeofSockaddrInet6
	r.msg.SetControllen(len(r.control))
	n, _, errno := unix.Syscall(unix.SYS_RECVMSG, uintptr(e.fd), uintptr(unsafe.Pointer(&r.msg)), unix.MSG_DONTWAIT)
	if errno != 0 {
		return 0, errno
	}
	return int(n), nil
}

// packet returns the packet of n bytes that was read. A raw socket delivers IPv4 packets
// whole, and IPv6 packets without their header: that is made again from what the kernel
// tells beside it, since the guard judges hop limit and destination.
func (r *receiver) packet(e *ear, n int) []byte {
	if !e.port.IPv6 {
		return r.buf[header6 : header6+n]
	}
	h := r.buf[:header6]
	clear(h)
	h[0] = 6 << 4
	h[4], h[5] = byte(n>>8), byte(n)
	h[6] = protocol
	copy(h[8:24], r.from.Addr[:])
	for c := r.control[:min(int(r.msg.Controllen), len(r.control))]; len(c) >= unix.SizeofCmsghdr; {
		m := (*unix.Cmsghdr)(unsafe.Pointer(&c[0]))
		size := int(m.Len)
		if size < unix.SizeofCmsghdr || size > len(c) {
			break
		}
		if m.Level == unix.IPPROTO_IPV6 {
			fill(h, m.Type, c[unix.CmsgLen(0):size])
		}
		c = c[min(unix.CmsgSpace(size-unix.CmsgLen(0)), len(c)):]
	}
	return r.buf[:header6+n]
}

// fill puts what one control message tells into an IPv6 header.
func fill(h []byte, what int32, data []byte) {
	switch {
	case what == unix.IPV6_HOPLIMIT && len(data) >= 4:
		h[hopLimit] = nativeByte(data)
	case what == unix.IPV6_PKTINFO && len(data) >= unix.SizeofInet6Pktinfo:
		copy(h[24:40], data[:16])
	case what == flowInfo && len(data) >= 4:
		h[0] |= data[0] & 0xf // network order: traffic class and flow label
		copy(h[1:4], data[1:4])
	}
}

// nativeByte is the value of an int from 0 to 255 in the machine's byte order.
func nativeByte(b []byte) byte { return b[0] | b[3] }

// drops asks the kernel how many packets a socket had no room for (linux/sock_diag.h).
func drops(fd int) uint32 {
	const skMeminfoDrops, vars = 8, 9
	var info [vars]uint32
	size := uint32(unsafe.Sizeof(info))
	_, _, errno := unix.Syscall6(unix.SYS_GETSOCKOPT, uintptr(fd), unix.SOL_SOCKET, unix.SO_MEMINFO,
		uintptr(unsafe.Pointer(&info)), uintptr(unsafe.Pointer(&size)), 0)
	if errno != 0 {
		return 0
	}
	return info[skMeminfoDrops]
}
