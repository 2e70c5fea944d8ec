// Package rtnl speaks rtnetlink by hand: vrrpd needs the port that tells its own changes
// from others', protocol marks, batches, dumps that say when they are torn.
package rtnl

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Mark is the protocol by which our addresses (IFA_PROTO), routes (rtm_protocol) and rules
// (FRA_PROTOCOL) are told from others'.
const Mark = 0x76

// ErrTorn means that what a dump lists changed meanwhile, so that it may lack something.
var ErrTorn = errors.New("interrupted by a change")

const (
	// patience is how long the kernel may take to answer.
	patience = 2 * time.Second
	// dumpTries is how often a dump that was torn is asked for again at once.
	dumpTries = 5
	// connBuffer has room for the refusals of a whole batch.
	connBuffer = 1 << 20
)

// A Conn is a socket for requests. It is for one goroutine.
type Conn struct {
	fd    int
	port  uint32
	seq   uint32
	torn  bool // the dump being read was interrupted by a change
	marks bool
	buf   []byte
	out   []byte

	addresses int // how many there may be
}

// Open opens a Conn in the network namespace of the calling thread.
func Open() (*Conn, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_ROUTE)
	if err != nil {
		return nil, fmt.Errorf("open netlink: %w", err)
	}
	c := &Conn{fd: fd, buf: make([]byte, 64<<10), marks: kernelAtLeast(5, 18)}
	tv := unix.NsecToTimeval(int64(patience))
	_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, connBuffer)
	// With it the kernel heeds what a dump's request narrows; without it, we do.
	_ = unix.SetsockoptInt(fd, unix.SOL_NETLINK, unix.NETLINK_GET_STRICT_CHK, 1)
	_ = unix.SetsockoptInt(fd, unix.SOL_NETLINK, unix.NETLINK_CAP_ACK, 1)
	_ = unix.SetsockoptInt(fd, unix.SOL_NETLINK, unix.NETLINK_EXT_ACK, 1)
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
		c.port = nl.Pid
	}
	return c, nil
}

// Close closes the socket.
func (c *Conn) Close() error { return unix.Close(c.fd) }

// Port is the port from which our changes come, as events name it.
func (c *Conn) Port() uint32 { return c.port }

// Marks reports whether the kernel keeps IFA_PROTO, as it does from 5.18.
func (c *Conn) Marks() bool { return c.marks }

func kernelAtLeast(major, minor int) bool {
	var u unix.Utsname
	if unix.Uname(&u) != nil {
		return false
	}
	parts := strings.SplitN(unix.ByteSliceToString(u.Release[:]), ".", 3)
	if len(parts) < 2 {
		return false
	}
	ma, err1 := strconv.Atoi(parts[0])
	mi, err2 := strconv.Atoi(strings.TrimRight(parts[1], "-+abcdefghijklmnopqrstuvwxyz"))
	return err1 == nil && err2 == nil && (ma > major || ma == major && mi >= minor)
}

// dump asks for a list and calls each for every message of it. A torn dump starts again,
// after a call of begin: acting on a part would take what it lacks for gone.
func (c *Conn) dump(typ uint16, body []byte, begin func(), each func(typ uint16, body []byte)) (err error) {
	for range dumpTries {
		begin()
		if err = c.dumpOnce(typ, body, each); !errors.Is(err, ErrTorn) {
			break
		}
	}
	return err
}

func (c *Conn) dumpOnce(typ uint16, body []byte, each func(typ uint16, body []byte)) error {
	c.seq, c.torn = c.seq+1, false
	b, start := beginMessage(c.out[:0], typ, unix.NLM_F_REQUEST|unix.NLM_F_DUMP, c.seq)
	c.out = endMessage(append(b, body...), start)
	if err := c.send(); err != nil {
		return err
	}
	for {
		got, err := c.read()
		if err != nil {
			return err
		}
		if done, err := c.answer(got, each); done || err != nil {
			return err
		}
	}
}

func (c *Conn) send() error {
	if err := unix.Sendto(c.fd, c.out, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return fmt.Errorf("send to netlink: %w", err)
	}
	return nil
}

func (c *Conn) read() ([]byte, error) {
	for {
		n, err := unix.Read(c.fd, c.buf)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("read from netlink: %w", err)
		}
		return c.buf[:n], nil
	}
}

var errShort = errors.New("short netlink message")

// answer reads the messages of one datagram of a dump; true when the dump is complete.
func (c *Conn) answer(b []byte, each func(typ uint16, body []byte)) (bool, error) {
	for len(b) > 0 {
		m, rest, ok := cutMessage(b)
		if !ok {
			return false, errShort
		}
		b = rest
		if m.seq != c.seq {
			continue // an answer that an earlier request gave up on
		}
		c.torn = c.torn || m.flags&unix.NLM_F_DUMP_INTR != 0
		switch m.typ {
		case unix.NLMSG_ERROR:
			return true, result(m.body)
		case unix.NLMSG_DONE:
			if c.torn {
				return true, ErrTorn
			}
			return true, result(m.body)
		}
		each(m.typ, m.body)
	}
	return false, nil
}

// result reads the number at the start of an acknowledgement or of the end of a dump.
func result(b []byte) error {
	if len(b) < 4 {
		return errShort
	}
	if code := int32(binary.NativeEndian.Uint32(b)); code < 0 {
		return unix.Errno(-code)
	}
	return nil
}

// refusal is result with the kernel's own words, where it has some (NLMSGERR_ATTR_MSG).
func refusal(m message) error {
	err := result(m.body)
	const capped = 4 + unix.SizeofNlMsghdr // the code, and of the request its header only
	if err == nil || m.flags&unix.NLM_F_ACK_TLVS == 0 || m.flags&unix.NLM_F_CAPPED == 0 || len(m.body) < capped {
		return err
	}
	words := ""
	eachAttr(m.body[capped:], func(typ uint16, v []byte) {
		if typ == unix.NLMSGERR_ATTR_MSG && len(v) <= maxWords {
			words = unix.ByteSliceToString(v)
		}
	})
	if words == "" {
		return err
	}
	return fmt.Errorf("%w (%s)", err, words)
}

// maxWords bounds what of the kernel's words goes into a log.
const maxWords = 256
