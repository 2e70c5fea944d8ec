package vrrpd

import (
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/unix"

	"github.com/hareconcile/hareconcile/internal/vrrp"
)

// A kernel is the real wire and host. All but wake is for the loop's goroutine only.
type kernel struct {
	nl       *netlink
	events   int // netlink socket with link and address changes
	wakeup   int // eventfd
	arp      int // packet socket that sends only
	sockets  []socket
	fds      []unix.PollFd
	commands <-chan *command

	keepsMarks bool
	buf        []byte
	frame      []byte
	arpTo      unix.SockaddrLinklayer
	group      unix.SockaddrInet4
	queue      []input // of one netlink datagram
	cursor     int     // next socket to read
	share      int     // packets read from it in this round
	others     int     // events and requests read in this round
	enough     bool
}

// A socket hears and sends VRRP on one interface.
type socket struct{ ifindex, fd int }

const (
	// readShare bounds what one socket may deliver in a round, and events and requests
	// together, so that a flood cannot keep the loop from its timers.
	readShare    = 1024
	eventsBuffer = 1 << 20
	// arpBuffer has room for the bursts of many routers that become MASTER at once.
	arpBuffer = 4 << 20
)

func openKernel(commands <-chan *command) (*kernel, error) {
	k := &kernel{
		commands: commands, events: -1, wakeup: -1, arp: -1,
		keepsMarks: kernelAtLeast(5, 18),
		buf:        make([]byte, 64<<10),
		group:      unix.SockaddrInet4{Addr: vrrp.Multicast4.As4()},
	}
	var err error
	if k.nl, err = openNetlink(); err != nil {
		return nil, err
	}
	if k.wakeup, err = unix.Eventfd(0, unix.EFD_NONBLOCK|unix.EFD_CLOEXEC); err != nil {
		k.close()
		return nil, fmt.Errorf("open eventfd: %w", err)
	}
	if k.arp, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0); err != nil {
		k.close()
		return nil, fmt.Errorf("open packet socket: %w", err)
	}
	_ = unix.SetsockoptInt(k.arp, unix.SOL_SOCKET, unix.SO_SNDBUFFORCE, arpBuffer)
	k.events, err = unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.NETLINK_ROUTE)
	if err == nil {
		_ = unix.SetsockoptInt(k.events, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, eventsBuffer)
		err = unix.Bind(k.events, &unix.SockaddrNetlink{
			Family: unix.AF_NETLINK, Groups: unix.RTMGRP_LINK | unix.RTMGRP_IPV4_IFADDR,
		})
	}
	if err != nil {
		k.close()
		return nil, fmt.Errorf("listen to netlink: %w", err)
	}
	k.pollSet()
	return k, nil
}

func (k *kernel) close() {
	for _, s := range k.sockets {
		_ = unix.Close(s.fd)
	}
	for _, fd := range []int{k.nl.fd, k.events, k.wakeup, k.arp} {
		if fd >= 0 {
			_ = unix.Close(fd)
		}
	}
}

// wake makes wait return. It may be called from any goroutine while the loop runs.
func (k *kernel) wake() {
	_, _ = unix.Write(k.wakeup, []byte{1, 0, 0, 0, 0, 0, 0, 1}) // not zero in either byte order
}

func (k *kernel) pollSet() {
	k.fds = append(k.fds[:0], unix.PollFd{Fd: int32(k.events), Events: unix.POLLIN}, unix.PollFd{Fd: int32(k.wakeup), Events: unix.POLLIN})
	for _, s := range k.sockets {
		k.fds = append(k.fds, unix.PollFd{Fd: int32(s.fd), Events: unix.POLLIN})
	}
}

func (k *kernel) now() time.Duration {
	var ts unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts) // cannot fail for a clock that exists
	return time.Duration(ts.Nano())
}

func (k *kernel) wait(d time.Duration) error {
	ts := unix.NsecToTimespec(int64(max(d, 0)))
	_, err := unix.Ppoll(k.fds, &ts, nil)
	if err != nil && !errors.Is(err, unix.EINTR) {
		return fmt.Errorf("poll: %w", err)
	}
	return nil
}

func (k *kernel) next(in *input) bool {
	for {
		if len(k.queue) > 0 {
			*in, k.queue = k.queue[0], k.queue[1:]
			return true
		}
		if k.cursor < len(k.sockets) {
			if k.readAdvert(in) {
				return true
			}
			continue
		}
		if k.others++; k.others <= readShare {
			if k.readEvents() {
				continue
			}
			select {
			case c := <-k.commands:
				*in = input{kind: inCommand, command: c}
				return true
			default:
			}
		} else {
			k.wake() // for what is left
		}
		*in = input{}
		if k.enough {
			in.kind = inEnough
		}
		k.cursor, k.share, k.others, k.enough = 0, 0, 0, false
		return false
	}
}

// readAdvert reads one packet from the socket at the cursor, which it moves on once the
// socket is empty. read(2) on a raw socket delivers the IP header, and allocates nothing.
func (k *kernel) readAdvert(in *input) bool {
	s := k.sockets[k.cursor]
	if k.share++; k.share > readShare {
		k.enough = true
	} else {
		n, err := unix.Read(s.fd, k.buf)
		if err == nil {
			in.kind, in.ifindex, in.packet = inAdvert, s.ifindex, k.buf[:n]
			return true
		}
		if !errors.Is(err, unix.EAGAIN) {
			return false // an interrupt, or an error that the read has cleared
		}
	}
	k.cursor, k.share = k.cursor+1, 0
	return false
}

// readEvents reads one datagram of changes into the queue; false if there is none.
func (k *kernel) readEvents() bool {
	var clear [8]byte
	_, _ = unix.Read(k.wakeup, clear[:]) // before the commands are looked at
	n, err := unix.Read(k.events, k.buf)
	switch {
	case errors.Is(err, unix.ENOBUFS):
		k.queue = append(k.queue[:0], input{kind: inLost})
		return true
	case errors.Is(err, unix.EINTR):
		return true
	case err != nil:
		return false
	}
	k.queue = k.queue[:0]
	for b := k.buf[:n]; len(b) > 0; {
		m, rest, ok := cutMessage(b)
		if !ok {
			k.queue = append(k.queue, input{kind: inLost})
			break
		}
		b = rest
		in := input{own: m.port == k.nl.port}
		switch m.typ {
		case unix.RTM_NEWLINK, unix.RTM_DELLINK:
			in.kind, in.gone = inLink, m.typ == unix.RTM_DELLINK
			in.link, ok = parseLink(m.body)
		case unix.RTM_NEWADDR, unix.RTM_DELADDR:
			in.kind, in.gone = inAddress, m.typ == unix.RTM_DELADDR
			in.address, ok = parseAddress(m.body)
		default:
			ok = false
		}
		if ok {
			k.queue = append(k.queue, in)
		}
	}
	return true
}

func (k *kernel) send(ifindex int, packet []byte) error {
	for _, s := range k.sockets {
		if s.ifindex == ifindex {
			return unix.Sendto(s.fd, packet, unix.MSG_DONTWAIT, &k.group)
		}
	}
	return unix.ENODEV
}

// join opens the socket of one interface: bound to it and to the group, not hearing itself.
func (k *kernel) join(l link) error {
	k.leave(l.index)
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, vrrp.Protocol)
	if err != nil {
		return fmt.Errorf("open raw socket: %w", err)
	}
	mreq := &unix.IPMreqn{Multiaddr: vrrp.Multicast4.As4(), Ifindex: int32(l.index)}
	err = errors.Join(
		unix.BindToDevice(fd, l.name),
		unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_HDRINCL, 1),
		unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_MULTICAST_LOOP, 0),
		unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_MULTICAST_ALL, 0),
		unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_PRIORITY, 7), // TC_PRIO_CONTROL
		unix.SetsockoptIPMreqn(fd, unix.IPPROTO_IP, unix.IP_MULTICAST_IF, mreq),
		unix.SetsockoptIPMreqn(fd, unix.IPPROTO_IP, unix.IP_ADD_MEMBERSHIP, mreq),
		unix.Bind(fd, &unix.SockaddrInet4{Addr: vrrp.Multicast4.As4()}),
	)
	if err != nil {
		_ = unix.Close(fd)
		return fmt.Errorf("listen for VRRP on %s: %w", l.name, err)
	}
	k.sockets = append(k.sockets, socket{l.index, fd})
	k.pollSet()
	return nil
}

func (k *kernel) leave(ifindex int) {
	for i, s := range k.sockets {
		if s.ifindex == ifindex {
			_ = unix.Close(s.fd)
			k.sockets = append(k.sockets[:i], k.sockets[i+1:]...)
			k.pollSet()
			return
		}
	}
}

// A kernel is both.
var (
	_ wire = (*kernel)(nil)
	_ host = (*kernel)(nil)
)
