package ipvs

import (
	"encoding/binary"
	"errors"
	"fmt"
	"syscall"
	"time"

	"github.com/mdlayher/genetlink"
	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

const (
	// A send is bounded by the socket's buffer (netlink_sendmsg), of 208 KiB as a rule.
	maxSend     = 64 << 10
	maxMessages = 512
	// The kernel makes answers to a dump of at most 32 KiB (netlink_recvmsg).
	maxReceive = 64 << 10
	// receiveBuffer has room for maxMessages errors: what does not fit is lost.
	receiveBuffer = 4 << 20
	// patience is for a kernel that answers before a send returns.
	patience = 10 * time.Second
)

// A socket carries datagrams of netlink messages. The kernel's is genlSocket.
type socket interface {
	Send(b []byte) error
	// Receive fills b with the next datagram and returns its length.
	Receive(b []byte) (int, error)
	Close() error
}

// genlSocket is a generic netlink socket. The library finds the family and sets the socket
// up; sends and receives are ours, because it makes a copy of every message.
type genlSocket struct {
	*genetlink.Conn
	raw syscall.RawConn
}

// dialKernel opens a socket, and returns the number of the family IPVS with it. It fails
// with fs.ErrNotExist where the kernel has none.
func dialKernel() (socket, uint16, error) {
	c, err := genetlink.Dial(nil)
	if err != nil {
		return nil, 0, err
	}
	f, err := c.GetFamily("IPVS")
	if err != nil {
		return nil, 0, errors.Join(err, c.Close())
	}
	raw, err := c.SyscallConn()
	if err == nil {
		err = c.SetReadBuffer(receiveBuffer) // SO_RCVBUFFORCE
	}
	if err != nil {
		return nil, 0, errors.Join(err, c.Close())
	}
	_ = c.SetOption(netlink.CapAcknowledge, true) // shorter errors, since Linux 4.3
	return &genlSocket{c, raw}, f.ID, nil
}

// Send implements socket.
func (s *genlSocket) Send(b []byte) error {
	var err error
	if cerr := s.raw.Control(func(fd uintptr) {
		err = unix.Sendto(int(fd), b, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK})
	}); cerr != nil {
		return cerr
	}
	return err
}

// Receive implements socket. The answer is there when a send returns, so that waiting is
// the exception.
func (s *genlSocket) Receive(b []byte) (int, error) {
	var n int
	err := unix.EAGAIN
	receive := func(fd uintptr) bool {
		var e error
		n, _, e = unix.Recvfrom(int(fd), b, unix.MSG_TRUNC)
		err, _ = e.(unix.Errno)
		return err != unix.EAGAIN && err != unix.EINTR
	}
	if cerr := s.raw.Control(func(fd uintptr) { receive(fd) }); cerr != nil {
		return 0, cerr
	}
	if err == unix.EAGAIN || err == unix.EINTR {
		if err := s.SetReadDeadline(time.Now().Add(patience)); err != nil {
			return 0, err
		}
		if err := s.raw.Read(receive); err != nil {
			return 0, err
		}
	}
	switch {
	case err != 0:
		return 0, err
	case n > len(b):
		return 0, errWire
	}
	return n, nil
}

// A load is messages for one send, without what only a connection knows of them.
type load struct {
	out  []byte
	n    int // messages
	last int // where the last of them begins
}

func (l *load) reset() { l.out, l.n = l.out[:0], 0 }

func (l *load) full() bool { return l.n >= maxMessages || len(l.out) >= maxSend }

// headers has room for those of a message: netlink's, and generic netlink's with
// IPVS_GENL_VERSION.
var headers = [unix.NLMSG_HDRLEN + unix.GENL_HDRLEN]byte{unix.NLMSG_HDRLEN + 1: 1}

// add appends a message: its headers, and then what attrs appends, which returns the command.
func (l *load) add(attrs func(b []byte) (cmd uint8, more []byte)) {
	l.last = len(l.out)
	cmd, b := attrs(append(l.out, headers[:]...))
	binary.NativeEndian.PutUint32(b[l.last:], uint32(len(b)-l.last))
	b[l.last+unix.NLMSG_HDRLEN] = cmd
	l.out = b
	l.n++
}

// A conn speaks IPVS's part of generic netlink over a socket.
type conn struct {
	socket socket
	family uint16
	seq    uint32
	load   load // room for what is not prepared elsewhere
	in     []byte
	reader reader
	// interrupted is whether the kernel marked an answer to the last question so.
	interrupted bool
}

func newConn(s socket, family uint16) *conn {
	return &conn{socket: s, family: family, in: make([]byte, maxReceive)}
}

// send sends l and returns the number of its first message; c.seq is that of its last.
func (c *conn) send(l *load, flags netlink.HeaderFlags) (first uint32, err error) {
	first = c.seq + 1
	for b := l.out; len(b) > 0; b = b[binary.NativeEndian.Uint32(b):] {
		c.seq++
		binary.NativeEndian.PutUint16(b[4:], c.family)
		binary.NativeEndian.PutUint16(b[6:], uint16(netlink.Request|flags))
		binary.NativeEndian.PutUint32(b[8:], c.seq)
	}
	if flags == 0 {
		// Errors always come; success is told of the last alone (netlink_rcv_skb).
		binary.NativeEndian.PutUint16(l.out[l.last+6:], uint16(netlink.Request|netlink.Acknowledge))
	}
	if err := c.socket.Send(l.out); err != nil {
		return 0, fmt.Errorf("send: %w", err)
	}
	return first, nil
}

// change makes the changes that l asks for. failed hears of each that the kernel refuses;
// the error is for everything else, and says that nothing is known of any change.
func (c *conn) change(l *load, failed func(i int, err syscall.Errno)) error {
	first, err := c.send(l, 0)
	if err != nil {
		return err
	}
	return c.receive(first, func(seq uint32, typ netlink.HeaderType, body []byte) (bool, error) {
		if typ != netlink.Error {
			return false, nil
		}
		errno, err := errnoOf(body)
		if errno != 0 {
			failed(int(seq-first), errno)
		}
		return seq == c.seq, err
	})
}

// errInterrupted says that a dump may lack entries.
var errInterrupted = errors.New("the table changed while it was read")

// query sends one question and calls each with the attributes of every answer. A dump ends
// with a message that says so, and another question with its one answer.
func (c *conn) query(cmd uint8, flags netlink.HeaderFlags, attrs func(b []byte) []byte, each func(body []byte) error) error {
	c.load.reset()
	c.load.add(func(b []byte) (uint8, []byte) { return cmd, attrs(b) })
	first, err := c.send(&c.load, flags)
	if err != nil {
		return err
	}
	c.interrupted = false
	err = c.receive(first, func(_ uint32, typ netlink.HeaderType, body []byte) (bool, error) {
		switch typ {
		case netlink.Error, netlink.Done:
			errno, err := errnoOf(body)
			if typ == netlink.Done && len(body) < 4 {
				err = nil // an old kernel's end has no number
			}
			if errno != 0 {
				err = errno
			}
			return true, err
		case netlink.HeaderType(c.family):
			if len(body) < 4 {
				return false, errWire
			}
			return flags&netlink.Dump == 0, each(body[4:])
		}
		return false, nil
	})
	if err == nil && c.interrupted {
		return errInterrupted
	}
	return err
}

// receive calls f with every message that answers one of the questions from first to c.seq,
// until f says that it was the last. It goes on after an error of f, which it returns: the
// rest would be taken for the answer to the next question otherwise.
func (c *conn) receive(first uint32, f func(seq uint32, typ netlink.HeaderType, body []byte) (last bool, err error)) error {
	var failed error
	for {
		n, err := c.socket.Receive(c.in)
		if err != nil {
			return fmt.Errorf("receive: %w", err)
		}
		for b := c.in[:n]; len(b) > 0; {
			if len(b) < unix.SizeofNlMsghdr {
				return errWire
			}
			size := int(binary.NativeEndian.Uint32(b))
			if size < unix.SizeofNlMsghdr || size > len(b) {
				return errWire
			}
			seq := binary.NativeEndian.Uint32(b[8:])
			flags := netlink.HeaderFlags(binary.NativeEndian.Uint16(b[6:]))
			if seq-first <= c.seq-first { // and not the rest of something older
				c.interrupted = c.interrupted || flags&netlink.DumpInterrupted != 0
				last, err := f(seq, netlink.HeaderType(binary.NativeEndian.Uint16(b[4:])), b[unix.SizeofNlMsghdr:size])
				if failed == nil {
					failed = err
				}
				if last {
					return failed
				}
			}
			b = b[min(len(b), (size+3)&^3):]
		}
	}
}

// errnoOf reads the number at the front of an error and of the end of a dump: 0 is success.
func errnoOf(body []byte) (syscall.Errno, error) {
	if len(body) < 4 {
		return 0, errWire
	}
	return syscall.Errno(-int32(binary.NativeEndian.Uint32(body))), nil
}
