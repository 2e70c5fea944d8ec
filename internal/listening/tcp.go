// Package listening tells on which addresses of this network namespace somebody listens, and
// how many clients wait there. Anybody may ask.
package listening

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"golang.org/x/sys/unix"
)

// A Socket listens.
type Socket struct {
	Address netip.AddrPort
	Queue   int // connections that nobody has accepted yet (Recv-Q of ss)
	Limit   int // how many may wait (Send-Q of ss)
	Inode   uint32
}

// Serves reports whether connections to a reach the socket: it listens there or on every
// address of a's family. A socket on [::] most often takes IPv4 too.
func (s Socket) Serves(a netip.AddrPort) bool {
	if s.Address.Port() != a.Port() {
		return false
	}
	own, want := s.Address.Addr().Unmap(), a.Addr().Unmap()
	return own == want || own.IsUnspecified() && (own.Is6() || own.Is4() == want.Is4())
}

const (
	maxDump   = 32 << 20 // bytes of all replies; a socket has 72 and its attributes
	diagReply = 72       // struct inet_diag_msg
	patience  = time.Second
)

// TCP lists the sockets that listen for TCP (sock_diag(7)).
func TCP() ([]Socket, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_SOCK_DIAG)
	if err != nil {
		return nil, fmt.Errorf("list sockets: %w", err)
	}
	defer func() { _ = unix.Close(fd) }() // nothing was written
	timeout := unix.NsecToTimeval(int64(patience))
	if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &timeout); err != nil {
		return nil, fmt.Errorf("list sockets: %w", err)
	}
	var out []Socket
	for _, family := range []byte{unix.AF_INET, unix.AF_INET6} {
		if err := unix.Sendto(fd, request(family), 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
			return nil, fmt.Errorf("list sockets: %w", err)
		}
		if out, err = receive(fd, out); err != nil {
			return nil, fmt.Errorf("list sockets: %w", err)
		}
	}
	return out, nil
}

// request asks for a dump of the listening sockets of a family.
func request(family byte) []byte {
	b := make([]byte, 16+56) // struct nlmsghdr, struct inet_diag_req_v2
	binary.NativeEndian.PutUint32(b[0:], uint32(len(b)))
	binary.NativeEndian.PutUint16(b[4:], unix.SOCK_DIAG_BY_FAMILY)
	binary.NativeEndian.PutUint16(b[6:], unix.NLM_F_REQUEST|unix.NLM_F_DUMP)
	b[16], b[17] = family, unix.IPPROTO_TCP
	binary.NativeEndian.PutUint32(b[20:], 1<<tcpListen)
	return b
}

// tcpListen is the state of a socket that listens (TCP_LISTEN of tcp_states.h).
const tcpListen = 10

func receive(fd int, out []Socket) ([]Socket, error) {
	buf := make([]byte, 64<<10)
	for total := 0; total < maxDump; {
		n, _, err := unix.Recvfrom(fd, buf, 0)
		if err != nil {
			return nil, err
		}
		total += n
		var done bool
		if out, done, err = parse(buf[:n], out); err != nil || done {
			return out, err
		}
	}
	return nil, errors.New("the list does not end")
}

// parse reads the messages of one datagram; done is true if the dump ends with it.
func parse(b []byte, out []Socket) (_ []Socket, done bool, err error) {
	for len(b) >= 16 {
		size := int(binary.NativeEndian.Uint32(b))
		if size < 16 || size > len(b) {
			return nil, false, errors.New("a message is cut off")
		}
		body := b[16:size]
		switch binary.NativeEndian.Uint16(b[4:]) {
		case unix.NLMSG_DONE:
			return out, true, nil
		case unix.NLMSG_ERROR:
			if len(body) < 4 {
				return nil, false, errors.New("a message is cut off")
			}
			return nil, false, unix.Errno(-int32(binary.NativeEndian.Uint32(body)))
		case unix.SOCK_DIAG_BY_FAMILY:
			s, ok := socket(body)
			if !ok {
				return nil, false, errors.New("a message is cut off")
			}
			out = append(out, s)
		}
		b = b[min(len(b), (size+3)&^3):]
	}
	return out, false, nil
}

// socket reads a struct inet_diag_msg (linux/inet_diag.h).
func socket(b []byte) (Socket, bool) {
	if len(b) < diagReply {
		return Socket{}, false
	}
	addr, _ := netip.AddrFromSlice(b[8:24])
	if b[0] == unix.AF_INET {
		addr, _ = netip.AddrFromSlice(b[8:12])
	}
	return Socket{
		Address: netip.AddrPortFrom(addr, binary.BigEndian.Uint16(b[4:])),
		Queue:   int(binary.NativeEndian.Uint32(b[56:])),
		Limit:   int(binary.NativeEndian.Uint32(b[60:])),
		Inode:   binary.NativeEndian.Uint32(b[68:]),
	}, true
}
