package vrrpd

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"golang.org/x/sys/unix"
)

// attrProto is IFA_PROTO (linux/if_addr.h, since 5.18).
const attrProto = 11

// A netlink is a socket for requests to rtnetlink, used by the loop only. It is written
// by hand since the loop needs the socket's port, which tells its own changes from others'
// in the stream of events, and the protocol mark.
type netlink struct {
	fd   int
	port uint32
	seq  uint32
	torn bool // the dump being read was interrupted by a change
	buf  []byte
}

// errTorn means that what a dump lists changed meanwhile, so that it may lack something.
var errTorn = errors.New("interrupted by a change")

// netlinkPatience is how long the kernel may take to answer.
const netlinkPatience = 2 * time.Second

func openNetlink() (*netlink, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_ROUTE)
	if err != nil {
		return nil, fmt.Errorf("open netlink: %w", err)
	}
	n := &netlink{fd: fd, buf: make([]byte, 64<<10)}
	tv := unix.NsecToTimeval(int64(netlinkPatience))
	err = errors.Join(
		unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}),
		unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &tv),
	)
	sa, nameErr := unix.Getsockname(fd)
	if err = errors.Join(err, nameErr); err != nil {
		_ = unix.Close(fd)
		return nil, fmt.Errorf("open netlink: %w", err)
	}
	if nl, ok := sa.(*unix.SockaddrNetlink); ok {
		n.port = nl.Pid
	}
	return n, nil
}

// dumpTries is how often a dump that was torn is asked for again at once.
const dumpTries = 5

// dump asks for a list and calls each for every message of it. A torn dump starts again,
// after a call of begin: acting on a part would take what it lacks for gone.
func (n *netlink) dump(typ uint16, body []byte, begin func(), each func(typ uint16, body []byte)) (err error) {
	for range dumpTries {
		begin()
		if err = n.request(typ, unix.NLM_F_DUMP, body, each); !errors.Is(err, errTorn) {
			break
		}
	}
	return err
}

// request sends one message and calls each for every message of the answer.
func (n *netlink) request(typ uint16, flags uint16, body []byte, each func(typ uint16, body []byte)) error {
	n.seq, n.torn = n.seq+1, false
	msg := make([]byte, unix.SizeofNlMsghdr, unix.SizeofNlMsghdr+len(body))
	native := binary.NativeEndian
	native.PutUint32(msg[0:], uint32(unix.SizeofNlMsghdr+len(body)))
	native.PutUint16(msg[4:], typ)
	native.PutUint16(msg[6:], flags|unix.NLM_F_REQUEST)
	native.PutUint32(msg[8:], n.seq)
	msg = append(msg, body...)
	if err := unix.Sendto(n.fd, msg, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return fmt.Errorf("send to netlink: %w", err)
	}
	for {
		got, err := unix.Read(n.fd, n.buf)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return fmt.Errorf("read from netlink: %w", err)
		}
		done, err := n.answer(n.buf[:got], each)
		if done || err != nil {
			return err
		}
	}
}

// answer reads the messages of one datagram; true when the answer is complete.
func (n *netlink) answer(b []byte, each func(typ uint16, body []byte)) (bool, error) {
	for len(b) > 0 {
		m, rest, ok := cutMessage(b)
		if !ok {
			return false, errors.New("short netlink message")
		}
		b = rest
		if m.seq != n.seq {
			continue // an answer that an earlier request gave up on
		}
		n.torn = n.torn || m.flags&unix.NLM_F_DUMP_INTR != 0
		switch m.typ {
		case unix.NLMSG_ERROR:
			if len(m.body) < 4 {
				return false, errors.New("short netlink error")
			}
			if code := int32(binary.NativeEndian.Uint32(m.body)); code != 0 {
				return true, unix.Errno(-code)
			}
			return true, nil
		case unix.NLMSG_DONE:
			if n.torn {
				return true, errTorn
			}
			return true, nil
		}
		if each != nil {
			each(m.typ, m.body)
		}
	}
	return false, nil
}

// A message is one netlink message.
type message struct {
	typ   uint16
	flags uint16
	seq   uint32
	port  uint32
	body  []byte
}

// cutMessage takes the first message off b.
func cutMessage(b []byte) (m message, rest []byte, ok bool) {
	if len(b) < unix.SizeofNlMsghdr {
		return m, nil, false
	}
	native := binary.NativeEndian
	size := int(native.Uint32(b))
	if size < unix.SizeofNlMsghdr || size > len(b) {
		return m, nil, false
	}
	m = message{
		typ:   native.Uint16(b[4:]),
		flags: native.Uint16(b[6:]),
		seq:   native.Uint32(b[8:]),
		port:  native.Uint32(b[12:]),
		body:  b[unix.SizeofNlMsghdr:size],
	}
	return m, b[min((size+3)&^3, len(b)):], true
}

// eachAttr calls f for the attributes in b.
func eachAttr(b []byte, f func(typ uint16, value []byte)) {
	native := binary.NativeEndian
	for len(b) >= unix.SizeofRtAttr {
		size := int(native.Uint16(b))
		if size < unix.SizeofRtAttr || size > len(b) {
			return
		}
		f(native.Uint16(b[2:])&0x3fff, b[unix.SizeofRtAttr:size])
		b = b[min((size+3)&^3, len(b)):]
	}
}

func appendAttr(b []byte, typ uint16, value []byte) []byte {
	native := binary.NativeEndian
	b = native.AppendUint16(b, uint16(unix.SizeofRtAttr+len(value)))
	b = native.AppendUint16(b, typ)
	b = append(b, value...)
	for len(b)%4 != 0 {
		b = append(b, 0)
	}
	return b
}

// parseLink reads the body of RTM_NEWLINK and RTM_DELLINK; false if it is not about a link
// as such: a bridge tells by the same messages of ports that come and go.
func parseLink(b []byte) (l link, ok bool) {
	if len(b) < unix.SizeofIfInfomsg || b[0] != unix.AF_UNSPEC {
		return l, false
	}
	flags := binary.NativeEndian.Uint32(b[8:])
	l.index = int(int32(binary.NativeEndian.Uint32(b[4:])))
	l.up, l.running = flags&unix.IFF_UP != 0, flags&unix.IFF_RUNNING != 0
	l.arp = flags&(unix.IFF_NOARP|unix.IFF_LOOPBACK) == 0
	eachAttr(b[unix.SizeofIfInfomsg:], func(typ uint16, v []byte) {
		switch typ {
		case unix.IFLA_IFNAME:
			l.name = unix.ByteSliceToString(v)
		case unix.IFLA_ADDRESS:
			if len(v) == len(l.mac) {
				copy(l.mac[:], v)
			} else {
				l.arp = false
			}
		}
	})
	return l, l.name != ""
}

// parseAddress reads the body of RTM_NEWADDR and RTM_DELADDR; false if it is not IPv4.
func parseAddress(b []byte) (a address, ok bool) {
	if len(b) < unix.SizeofIfAddrmsg || b[0] != unix.AF_INET {
		return a, false
	}
	a.ifindex, a.forever = int(binary.NativeEndian.Uint32(b[4:])), true
	var ip netip.Addr
	eachAttr(b[unix.SizeofIfAddrmsg:], func(typ uint16, v []byte) {
		switch {
		case typ == unix.IFA_LOCAL && len(v) == 4:
			ip = netip.AddrFrom4([4]byte(v))
		case typ == unix.IFA_CACHEINFO && len(v) >= 8:
			a.forever = binary.NativeEndian.Uint32(v[4:]) == ^uint32(0)
		case typ == attrProto && len(v) >= 1:
			a.marked = v[0] == mark
		}
	})
	a.prefix = netip.PrefixFrom(ip, int(b[1]))
	return a, a.prefix.IsValid()
}

// addressBody is the body of a request about one address.
func addressBody(ifindex int, p netip.Prefix) []byte {
	b := make([]byte, unix.SizeofIfAddrmsg, 64)
	b[0], b[1] = unix.AF_INET, byte(p.Bits())
	binary.NativeEndian.PutUint32(b[4:], uint32(ifindex))
	v4 := p.Addr().As4()
	b = appendAttr(b, unix.IFA_LOCAL, v4[:])
	b = appendAttr(b, unix.IFA_ADDRESS, v4[:])
	return appendAttr(b, attrProto, []byte{mark})
}
