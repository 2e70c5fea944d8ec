package wire

import (
	"errors"
	"fmt"
	"net/netip"
	"unsafe"

	"golang.org/x/sys/unix"
)

const (
	protocol = 112 // of VRRP in the IP header
	// sendBuffer has room for the bursts of many routers that become MASTER at once.
	sendBuffer = 4 << 20
	priority   = 7 // TC_PRIO_CONTROL: before what fills the link
)

// A sender sends whole IP packets out of any interface.
type sender struct {
	v4, v6 int
	msg    unix.Msghdr
	iov    unix.Iovec
	to4    unix.RawSockaddrInet4
	to6    unix.RawSockaddrInet6
	info4  struct {
		head unix.Cmsghdr
		info unix.Inet4Pktinfo
	}
	info6 struct {
		head unix.Cmsghdr
		info unix.Inet6Pktinfo
	}
}

// open opens a socket for each IP version. IPPROTO_RAW means that packets have headers.
func (s *sender) open() (err error) {
	if s.v4, err = openSender(unix.AF_INET); err != nil {
		return err
	}
	if err = unix.SetsockoptInt(s.v4, unix.IPPROTO_IP, unix.IP_MULTICAST_LOOP, 0); err != nil {
		return fmt.Errorf("open sending socket: %w", err)
	}
	if s.v6, err = openSender(unix.AF_INET6); errors.Is(err, unix.EAFNOSUPPORT) {
		s.v6 = -1 // a host without IPv6
		return nil
	} else if err != nil {
		return err
	}
	err = errors.Join(
		unix.SetsockoptInt(s.v6, unix.IPPROTO_IPV6, unix.IPV6_MULTICAST_LOOP, 0),
		// The source may be no address of the interface yet, as while DAD runs.
		unix.SetsockoptInt(s.v6, unix.IPPROTO_IPV6, unix.IPV6_FREEBIND, 1),
	)
	if err != nil {
		return fmt.Errorf("open sending socket: %w", err)
	}
	return nil
}

func openSender(family int) (int, error) {
	fd, err := unix.Socket(family, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.IPPROTO_RAW)
	if err != nil {
		return -1, fmt.Errorf("open sending socket: %w", err)
	}
	_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_SNDBUFFORCE, sendBuffer)
	_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_PRIORITY, priority)
	_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, 0) // it is never read
	return fd, nil
}

// Send sends one whole IP packet to a group or a host, out of an interface on which this
// Wire need not hear anything. ENOBUFS means that it may succeed later.
func (w *Wire) Send(index int, to netip.Addr, packet []byte) error {
	switch {
	case to.Is4() && len(packet) >= 20:
		return w.out.send4(index, to.As4(), packet)
	case to.Is6() && len(packet) >= header6 && w.out.v6 >= 0:
		return w.out.send6(index, to.As16(), packet)
	case to.Is6() && len(packet) >= header6:
		return unix.EAFNOSUPPORT
	}
	return unix.EINVAL
}

// send4 tells the kernel interface and source, so that neither routes nor rules of a
// policy-routed host lead the packet elsewhere.
func (s *sender) send4(index int, to [4]byte, packet []byte) error {
	s.to4.Family, s.to4.Addr = unix.AF_INET, to
	c := &s.info4
	c.head.Level, c.head.Type = unix.IPPROTO_IP, unix.IP_PKTINFO
	c.head.SetLen(unix.CmsgLen(unix.SizeofInet4Pktinfo))
	c.info = unix.Inet4Pktinfo{Ifindex: int32(index), Spec_dst: [4]byte(packet[12:16])}
	s.msg.Name, s.msg.Namelen = (*byte)(unsafe.Pointer(&s.to4)), unix.SizeofSockaddrInet4
	s.msg.Control = (*byte)(unsafe.Pointer(c))
	s.msg.SetControllen(int(unsafe.Sizeof(*c)))
	return s.send(s.v4, packet)
}

func (s *sender) send6(index int, to [16]byte, packet []byte) error {
	s.to6.Family, s.to6.Addr, s.to6.Scope_id = unix.AF_INET6, to, uint32(index)
	c := &s.info6
	c.head.Level, c.head.Type = unix.IPPROTO_IPV6, unix.IPV6_PKTINFO
	c.head.SetLen(unix.CmsgLen(unix.SizeofInet6Pktinfo))
	c.info = unix.Inet6Pktinfo{Ifindex: uint32(index), Addr: [16]byte(packet[8:24])}
	s.msg.Name, s.msg.Namelen = (*byte)(unsafe.Pointer(&s.to6)), unix.SizeofSockaddrInet6
	s.msg.Control = (*byte)(unsafe.Pointer(c))
	s.msg.SetControllen(int(unsafe.Sizeof(*c)))
	return s.send(s.v6, packet)
}

func (s *sender) send(fd int, packet []byte) error {
	s.iov.Base = &packet[0]
	s.iov.SetLen(len(packet))
	s.msg.Iov, s.msg.Iovlen = &s.iov, 1
	_, _, errno := unix.Syscall(unix.SYS_SENDMSG, uintptr(fd), uintptr(unsafe.Pointer(&s.msg)), unix.MSG_DONTWAIT)
	s.iov.Base = nil
	return full(errno)
}

// full makes one error of the two that say that there is no room now. It does not
// allocate, as wrapping would, for what may fail as often as it is called.
func full(errno unix.Errno) error {
	switch errno {
	case 0:
		return nil
	case unix.EAGAIN:
		return unix.ENOBUFS
	}
	return errno
}

// Frame sends one Ethernet frame, header included. ENOBUFS means that it may succeed later.
func (w *Wire) Frame(index int, frame []byte) error {
	if len(frame) < 14 {
		return unix.EINVAL
	}
	to := unix.RawSockaddrLinklayer{Family: unix.AF_PACKET, Ifindex: int32(index), Halen: 6}
	copy(to.Addr[:], frame[:6])
	to.Protocol = *(*uint16)(unsafe.Pointer(&frame[12])) // network order in both
	_, _, errno := unix.Syscall6(unix.SYS_SENDTO, uintptr(w.frames), uintptr(unsafe.Pointer(&frame[0])), uintptr(len(frame)),
		unix.MSG_DONTWAIT, uintptr(unsafe.Pointer(&to)), unsafe.Sizeof(to))
	return full(errno)
}

// openFrames opens a packet socket that receives nothing.
func openFrames() (int, error) {
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return -1, fmt.Errorf("open packet socket: %w", err)
	}
	_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_SNDBUFFORCE, sendBuffer)
	return fd, nil
}
