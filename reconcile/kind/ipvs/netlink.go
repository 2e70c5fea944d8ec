package ipvs

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
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

// A conn speaks IPVS's part of generic netlink over a socket.
type conn struct {
	socket socket
	family uint16
	seq    uint32
	out    []byte
	in     []byte
	reader reader
	// interrupted is whether the kernel marked an answer to the last question so.
	interrupted bool
}

func newConn(s socket, family uint16) *conn {
	return &conn{socket: s, family: family, in: make([]byte, maxReceive)}
}

// add appends a message to c.out: both headers, and then what attrs appends.
func (c *conn) add(cmd uint8, flags netlink.HeaderFlags, attrs func(b []byte) []byte) {
	c.seq++
	at := len(c.out)
	b := append(c.out, 0, 0, 0, 0) // the length
	b = binary.NativeEndian.AppendUint16(b, c.family)
	b = binary.NativeEndian.AppendUint16(b, uint16(flags))
	b = binary.NativeEndian.AppendUint32(b, c.seq)
	b = append(b, 0, 0, 0, 0)   // the sender: the kernel knows
	b = append(b, cmd, 1, 0, 0) // IPVS_GENL_VERSION
	b = attrs(b)
	binary.NativeEndian.PutUint32(b[at:], uint32(len(b)-at))
	c.out = b
}

// change makes n changes, with as few sends as it takes. put appends the attributes of the
// i-th and returns its command. failed hears of each that the kernel refuses; the error is
// for everything else, and says that nothing is known of any change.
func (c *conn) change(n int, put func(b []byte, i int) (uint8, []byte), failed func(i int, err syscall.Errno)) error {
	c.out = slices.Grow(c.out[:0], min(n*160, maxSend+1024)) // what most take
	for from := 0; from < n; {
		c.out = c.out[:0]
		first, i, last := c.seq+1, from, 0
		for ; i < n && i-from < maxMessages && len(c.out) < maxSend; i++ {
			last = len(c.out)
			c.add(0, netlink.Request, func(b []byte) []byte {
				at := len(b)
				cmd, b := put(b, i)
				b[at-4] = cmd
				return b
			})
		}
		// Errors always come; success is told of the last alone (netlink_rcv_skb).
		binary.NativeEndian.PutUint16(c.out[last+6:], uint16(netlink.Request|netlink.Acknowledge))
		if err := c.socket.Send(c.out); err != nil {
			return fmt.Errorf("send: %w", err)
		}
		err := c.receive(first, func(seq uint32, typ netlink.HeaderType, body []byte) (bool, error) {
			if typ != netlink.Error {
				return false, nil
			}
			errno, err := errnoOf(body)
			if errno != 0 {
				failed(from+int(seq-first), errno)
			}
			return seq == c.seq, err
		})
		if err != nil {
			return err
		}
		from = i
	}
	return nil
}

// errInterrupted says that a dump may lack entries.
var errInterrupted = errors.New("the table changed while it was read")

// query sends one question and calls each with the attributes of every answer. A dump ends
// with a message that says so, and another question with its one answer.
func (c *conn) query(cmd uint8, flags netlink.HeaderFlags, attrs func(b []byte) []byte, each func(body []byte) error) error {
	c.out = c.out[:0]
	c.add(cmd, netlink.Request|flags, attrs)
	if err := c.socket.Send(c.out); err != nil {
		return fmt.Errorf("send: %w", err)
	}
	c.interrupted = false
	err := c.receive(c.seq, func(_ uint32, typ netlink.HeaderType, body []byte) (bool, error) {
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
