package probe

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/hareconcile/hareconcile/internal/spec"
)

// A wire makes the connections of one check: to its target, from the address and device and
// with the mark that it says, and with a bound on what they deliver.
type wire struct {
	target netip.AddrPort
	check  spec.Check
	secure *security // nil where the check has no TLS
}

func newWire(c spec.Check, t Target) (*wire, error) {
	w := &wire{target: c.Asked(t.Address), check: c}
	if c.Source.IsValid() && c.Source.Unmap().Is4() != w.target.Addr().Unmap().Is4() {
		return nil, fmt.Errorf("source %s is of another family than %s", c.Source, w.target.Addr())
	}
	if c.TLS != nil {
		w.secure = newSecurity(*c.TLS, w.target.Addr().WithZone("").String())
	}
	return w, nil
}

// A conn ends with its context, whatever deadlines a library sets on it, and delivers no
// more than maxRead bytes.
type conn struct {
	net.Conn
	left int
	stop func() bool
	// broke is why reading ended, where a library has its own words for that.
	broke atomic.Pointer[error]
}

// maxRead bounds what one look reads from the network, handshakes included. A chain of
// certificates is the largest thing that an honest server sends.
const maxRead = 512 << 10

var errFlood = fmt.Errorf("sent more than %d KiB", maxRead>>10)

func (c *conn) Read(p []byte) (int, error) {
	if c.left == 0 {
		c.broke.Store(&errFlood)
		return 0, errFlood
	}
	n, err := c.Conn.Read(p[:min(len(p), c.left)])
	c.left -= n
	if err != nil && !errors.Is(err, net.ErrClosed) {
		c.broke.Store(&err)
	}
	return n, err
}

// cause returns why the connection ended, or err if it was not the connection that ended.
func (c *conn) cause(err error) error {
	if broke := c.broke.Load(); broke != nil {
		return *broke
	}
	return err
}

func (c *conn) Close() error {
	c.stop()
	return c.Conn.Close()
}

// Deadlines are the context's alone.

func (c *conn) SetDeadline(time.Time) error      { return nil }
func (c *conn) SetReadDeadline(time.Time) error  { return nil }
func (c *conn) SetWriteDeadline(time.Time) error { return nil }

// dial connects over "tcp" or "udp".
func (w *wire) dial(ctx context.Context, network string) (*conn, error) {
	d := net.Dialer{Control: w.control, KeepAlive: -1}
	if w.check.Source.IsValid() {
		from := netip.AddrPortFrom(w.check.Source, 0)
		d.LocalAddr = net.TCPAddrFromAddrPort(from)
		if network == "udp" {
			d.LocalAddr = net.UDPAddrFromAddrPort(from)
		}
	}
	c, err := d.DialContext(ctx, network, w.target.String())
	if err != nil {
		return nil, err
	}
	past := time.Unix(1, 0)
	return &conn{Conn: c, left: maxRead, stop: context.AfterFunc(ctx, func() { _ = c.SetDeadline(past) })}, nil
}

// control sets what the check says of its packets, before the socket is bound.
func (w *wire) control(_, _ string, raw syscall.RawConn) error {
	var err error
	outer := raw.Control(func(fd uintptr) { err = mark(int(fd), w.check) })
	return errors.Join(outer, err)
}

// mark gives a socket the mark and the device of a check. Those are this host's: what goes
// wrong with them is no fault of the server.
func mark(fd int, c spec.Check) error {
	if c.Mark != 0 {
		if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_MARK, int(c.Mark)); err != nil {
			return own(fmt.Errorf("set mark %d: %w", c.Mark, err))
		}
	}
	if c.Device != "" {
		if err := unix.BindToDevice(fd, c.Device); err != nil {
			return own(fmt.Errorf("use device %s: %w", c.Device, err))
		}
	}
	if c.Source.IsValid() {
		// The port is chosen when connecting, so that it is taken for one server only (ip(7)).
		_ = unix.SetsockoptInt(fd, unix.SOL_IP, unix.IP_BIND_ADDRESS_NO_PORT, 1)
	}
	return nil
}

// A line is an open connection, wrapped in TLS where the check has it.
type line struct {
	net.Conn
	state *tls.ConnectionState // nil without TLS
}

// note appends to a message what the connection tells.
func (l line) note(message string) string {
	if l.state == nil || len(l.state.PeerCertificates) == 0 {
		return message
	}
	return message + ", certificate until " + l.state.PeerCertificates[0].NotAfter.UTC().Format(time.DateOnly)
}

// plain connects over TCP.
func (w *wire) plain(ctx context.Context, _ ...string) (line, error) {
	c, err := w.dial(ctx, "tcp")
	if err != nil {
		return line{}, err
	}
	return line{Conn: c}, nil
}

// open connects over TCP, and shakes hands where the check has TLS, offering protos.
func (w *wire) open(ctx context.Context, protos ...string) (line, error) {
	l, err := w.plain(ctx)
	if err != nil || w.secure == nil {
		return l, err
	}
	wrapped, err := w.wrap(ctx, l.Conn, protos...)
	if err != nil {
		_ = l.Close() // nothing was said that could be lost
	}
	return wrapped, err
}

// wrap shakes hands on an open connection.
func (w *wire) wrap(ctx context.Context, c net.Conn, protos ...string) (line, error) {
	config, err := w.secure.config(protos...)
	if err != nil {
		return line{}, err
	}
	t := tls.Client(c, config)
	if err := t.HandshakeContext(ctx); err != nil {
		return line{}, err
	}
	state := t.ConnectionState()
	return line{t, &state}, nil
}
