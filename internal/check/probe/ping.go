package probe

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"github.com/hareconcile/hareconcile/internal/echo"
	"github.com/hareconcile/hareconcile/internal/spec"
)

// newPing asks for an echo. The request has a random token, so that only who saw it can
// answer.
func newPing(c spec.Check, t Target) (look, error) {
	w, err := newWire(c, t)
	if err != nil {
		return nil, err
	}
	to := w.target.Addr().Unmap()
	if to.IsMulticast() || to.IsUnspecified() {
		return nil, fmt.Errorf("%s is no address of a host", to)
	}
	return func(ctx context.Context) (Outcome, error) {
		var m echo.Message
		var random [4]byte
		_, _ = rand.Read(m.Token[:]) // never fails
		_, _ = rand.Read(random[:])
		m.ID, m.Seq = binary.BigEndian.Uint16(random[:]), binary.BigEndian.Uint16(random[2:])
		s, err := openEcho(to.Is6(), m.ID)
		if err != nil {
			return Outcome{}, own(err)
		}
		m.ID = s.ID
		// From here on the descriptor is the runtime's, which waits for it without a thread.
		f := os.NewFile(uintptr(s.FD), "icmp")
		defer func() { _ = f.Close() }() // a datagram socket has nothing to lose
		began := time.Now()
		if err := ask(s, &m, to, c); err != nil {
			return Outcome{}, err
		}
		if err := await(ctx, f, s, m, to); err != nil {
			return Outcome{}, err
		}
		return Outcome{Message: fmt.Sprintf("answered in %v", time.Since(began).Round(100*time.Microsecond))}, nil
	}, nil
}

// openEcho opens a raw socket, or the one that the host may let others have.
func openEcho(ipv6 bool, id uint16) (*echo.Socket, error) {
	s, err := echo.Open(ipv6, id)
	if !errors.Is(err, unix.EPERM) {
		return s, err
	}
	if s, second := echo.OpenPing(ipv6); second == nil {
		return s, nil
	}
	return nil, err
}

func ask(s *echo.Socket, m *echo.Message, to netip.Addr, c spec.Check) error {
	if err := mark(s.FD, c); err != nil {
		return err
	}
	device := 0
	for _, name := range []string{c.Device, to.Zone()} {
		if name != "" {
			var err error
			if device, err = s.IndexOf(name); err != nil {
				return own(err)
			}
			break
		}
	}
	return os.NewSyscallError("send", s.Send(m, to.WithZone(""), c.Source.Unmap().WithZone(""), device))
}

// await returns once the reply to m has come from the target.
func await(ctx context.Context, f *os.File, s *echo.Socket, m echo.Message, to netip.Addr) error {
	past := time.Unix(1, 0)
	stop := context.AfterFunc(ctx, func() { _ = f.SetReadDeadline(past) })
	defer stop()
	raw, err := f.SyscallConn()
	if err != nil {
		return own(err)
	}
	came := false
	return raw.Read(func(uintptr) bool {
		s.Drain(func(got echo.Message, from netip.Addr) {
			came = came || got == m && from.Unmap() == to.WithZone("")
		})
		return came
	})
}
