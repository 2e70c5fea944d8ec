package wire

import (
	"errors"
	"fmt"
	"net/netip"

	"golang.org/x/sys/unix"
)

// A joint is one port's pair of sockets. The kernel sorts: what may come from a peer
// cannot be crowded out by what does not.
type joint struct {
	device        string
	peers, others int
}

// An ear is one socket to read from.
type ear struct {
	port Port
	fd   int
}

const (
	// peersBuffer holds what peers send while this process does not run.
	peersBuffer = 1 << 20
	// othersBuffer holds what is worth counting of a flood.
	othersBuffer = 128 << 10
	// flowInfo is IPV6_FLOWINFO (linux/in6.h).
	flowInfo = 11
)

// The groups of VRRP (RFC 9568, sections 5.1.1.2 and 5.1.2.2).
var (
	group4 = netip.AddrFrom4([4]byte{224, 0, 0, 18})
	group6 = netip.AddrFrom16([16]byte{0: 0xff, 1: 0x02, 15: 0x12})
)

// Join starts to hear VRRP on a port; Filter says what. A port that is joined stays as it
// is: of an interface that went away, the port has to Leave.
func (w *Wire) Join(p Port, device string) error {
	if w.joints[p] != nil {
		return nil
	}
	peers, err := openEar(p, peersBuffer)
	if err != nil {
		return fmt.Errorf("listen for VRRP on %s: %w", device, err)
	}
	others, err := openEar(p, othersBuffer)
	if err != nil {
		_ = unix.Close(peers)
		return fmt.Errorf("listen for VRRP on %s: %w", device, err)
	}
	return w.add(p, &joint{device: device, peers: peers, others: others})
}

// add puts a pair of sockets into the sets, or closes it.
func (w *Wire) add(p Port, j *joint) error {
	w.joints[p] = j
	w.ears[int32(j.peers)] = ear{p, j.peers}
	w.ears[int32(j.others)] = ear{p, j.others}
	w.makeRoom()
	err := errors.Join(watch(w.epoll, j.peers, unix.EPOLLIN), watch(w.strange.set, j.others, unix.EPOLLIN))
	if err != nil {
		w.Leave(p)
	}
	return err
}

// Leave stops to hear VRRP on a port.
func (w *Wire) Leave(p Port) {
	j := w.joints[p]
	if j == nil {
		return
	}
	for _, fd := range []int{j.peers, j.others} {
		delete(w.ears, int32(fd))
		_ = unix.Close(fd)
	}
	delete(w.joints, p)
}

// Ports returns the ports that are joined, in no order.
func (w *Wire) Ports() []Port {
	ps := make([]Port, 0, len(w.joints))
	for p := range w.joints {
		ps = append(ps, p)
	}
	return ps
}

// Dropped returns how many packets the kernel dropped on a port because they were not
// read in time: of peers, and of all others. While there is no room for those others,
// some kernels count what Filter would have dropped, too.
func (w *Wire) Dropped(p Port) (peers, others uint32) {
	if j := w.joints[p]; j != nil {
		return drops(j.peers), drops(j.others)
	}
	return 0, 0
}

// openEar opens one socket that hears nothing before it has a filter.
func openEar(p Port, buffer int) (int, error) {
	family := unix.AF_INET
	if p.IPv6 {
		family = unix.AF_INET6
	}
	fd, err := unix.Socket(family, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, protocol)
	if err != nil {
		return -1, fmt.Errorf("open raw socket: %w", err)
	}
	err = errors.Join(
		attach(fd, deaf),
		unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_BINDTOIFINDEX, p.Index),
	)
	if unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, buffer) != nil {
		_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, buffer) // without CAP_NET_ADMIN: what is allowed
	}
	if err == nil && p.IPv6 {
		err = listen6(fd, p.Index)
	} else if err == nil {
		err = listen4(fd, p.Index)
	}
	if err == nil {
		err = empty(fd)
	}
	if err != nil {
		_ = unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

func listen4(fd, index int) error {
	mreq := &unix.IPMreqn{Multiaddr: group4.As4(), Ifindex: int32(index)}
	err := errors.Join(
		unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_MULTICAST_ALL, 0),
		unix.SetsockoptIPMreqn(fd, unix.IPPROTO_IP, unix.IP_ADD_MEMBERSHIP, mreq),
	)
	if err != nil {
		return fmt.Errorf("join %v: %w", group4, err)
	}
	return nil
}

func listen6(fd, index int) error {
	mreq := &unix.IPv6Mreq{Multiaddr: group6.As16(), Interface: uint32(index)}
	err := errors.Join(
		unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_MULTICAST_ALL, 0),
		unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_RECVPKTINFO, 1),
		unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_RECVHOPLIMIT, 1),
		unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, flowInfo, 1),
		unix.SetsockoptIPv6Mreq(fd, unix.IPPROTO_IPV6, unix.IPV6_JOIN_GROUP, mreq),
	)
	if err != nil {
		return fmt.Errorf("join %v: %w", group6, err)
	}
	return nil
}

// empty discards what came before the socket was deaf and bound.
func empty(fd int) error {
	var b [1]byte
	for range readShare {
		if _, err := unix.Read(fd, b[:]); errors.Is(err, unix.EAGAIN) {
			return nil
		}
	}
	return errors.New("a socket with a filter is not empty")
}
