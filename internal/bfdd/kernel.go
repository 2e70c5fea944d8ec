package bfdd

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"golang.org/x/sys/unix"

	"github.com/hareconcile/hareconcile/internal/bfd"
	"github.com/hareconcile/hareconcile/internal/vrrpd/wait"
)

const (
	// readShare bounds what one socket may deliver in a round, so that a flood cannot keep
	// the loop from its timers.
	readShare = 1024
	// receiveBuffer has room for the packets of many peers during a pause.
	receiveBuffer = 1 << 20
	// largest is more than any packet that counts.
	largest = 512
)

// A kernel is the real wire.
type kernel struct {
	waits  *wait.Set
	ears   [2]int // sockets of IPv4 and IPv6 on BFD's port; -1 if there is none
	ports  map[uint16]bool
	buf    [largest]byte
	oob    [256]byte
	cursor int // next ear to read
	share  int // packets read from it in this round
	enough bool
}

func openKernel() (*kernel, error) {
	waits, err := wait.New()
	if err != nil {
		return nil, err
	}
	return &kernel{waits: waits, ears: [2]int{-1, -1}, ports: map[uint16]bool{}}, nil
}

func (k *kernel) close() {
	for _, fd := range k.ears {
		if fd >= 0 {
			_ = unix.Close(fd)
		}
	}
	k.waits.Close()
}

func (k *kernel) now() time.Duration { return wait.Now() }

func (k *kernel) wait(until time.Duration) error { return k.waits.Until(until) }

// listen opens or closes a family's ear, and says whom it hears. One socket serves all
// peers of the family: a filter in the kernel drops what is not theirs.
func (k *kernel) listen(ipv6 bool, peers []netip.Addr) error {
	i := 0
	if ipv6 {
		i = 1
	}
	defer func() { k.waits.Watch(k.ears[:]...) }()
	if len(peers) == 0 {
		if k.ears[i] >= 0 {
			_ = unix.Close(k.ears[i])
			k.ears[i] = -1
		}
		return nil
	}
	filter := fprog(known(ipv6, peers))
	if k.ears[i] >= 0 {
		if err := unix.SetsockoptSockFprog(k.ears[i], unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, filter); err != nil {
			return fmt.Errorf("filter BFD's port: %w", err)
		}
		return nil
	}
	fd, err := ear(ipv6, filter)
	if err != nil {
		return fmt.Errorf("listen on UDP port %d: %w", bfd.Port, err)
	}
	k.ears[i] = fd
	return nil
}

func ear(ipv6 bool, filter *unix.SockFprog) (int, error) {
	domain, all := unix.AF_INET, unix.Sockaddr(&unix.SockaddrInet4{Port: bfd.Port})
	if ipv6 {
		domain, all = unix.AF_INET6, &unix.SockaddrInet6{Port: bfd.Port}
	}
	fd, err := unix.Socket(domain, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return -1, err
	}
	_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, receiveBuffer)
	err = unix.SetsockoptSockFprog(fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, filter)
	if ipv6 {
		err = errors.Join(err,
			unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_V6ONLY, 1),
			unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_RECVPKTINFO, 1),
			unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_RECVHOPLIMIT, 1))
	} else {
		err = errors.Join(err,
			unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_PKTINFO, 1),
			unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_RECVTTL, 1))
	}
	if err == nil {
		err = unix.Bind(fd, all)
	}
	if err != nil {
		_ = unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

func (k *kernel) next(d *datagram) (ok, more bool) {
	for k.cursor < len(k.ears) {
		fd := k.ears[k.cursor]
		switch {
		case fd < 0:
		case k.share >= readShare:
			k.enough = true
		default:
			k.share++
			n, oobn, flags, from, err := unix.Recvmsg(fd, k.buf[:], k.oob[:], unix.MSG_DONTWAIT)
			switch {
			case errors.Is(err, unix.EAGAIN):
			case err != nil, flags&(unix.MSG_TRUNC|unix.MSG_CTRUNC) != 0:
				continue // an interrupt, an error that the read has cleared, or no BFD
			default:
				describe(d, from, k.oob[:oobn])
				d.data = k.buf[:n]
				return true, false
			}
		}
		k.cursor, k.share = k.cursor+1, 0
	}
	more = k.enough
	k.cursor, k.share, k.enough = 0, 0, false
	return false, more
}

// describe fills in what the kernel says of a datagram.
func describe(d *datagram, from unix.Sockaddr, oob []byte) {
	*d = datagram{ttl: -1}
	switch sa := from.(type) {
	case *unix.SockaddrInet4:
		d.from = netip.AddrFrom4(sa.Addr)
	case *unix.SockaddrInet6:
		d.from = netip.AddrFrom16(sa.Addr)
	}
	for len(oob) > 0 {
		h, data, rest, err := unix.ParseOneSocketControlMessage(oob)
		if err != nil {
			return
		}
		oob = rest
		switch {
		case h.Level == unix.IPPROTO_IP && h.Type == unix.IP_TTL && len(data) >= 4,
			h.Level == unix.IPPROTO_IPV6 && h.Type == unix.IPV6_HOPLIMIT && len(data) >= 4:
			d.ttl = int(int32(binary.NativeEndian.Uint32(data)))
		case h.Level == unix.IPPROTO_IP && h.Type == unix.IP_PKTINFO && len(data) >= 4:
			d.device = int(binary.NativeEndian.Uint32(data))
		case h.Level == unix.IPPROTO_IPV6 && h.Type == unix.IPV6_PKTINFO && len(data) >= 20:
			d.device = int(binary.NativeEndian.Uint32(data[16:]))
		}
	}
}

var _ wire = (*kernel)(nil)
