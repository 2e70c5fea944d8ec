// Package probe looks at a server once, over the network, within a deadline and a bound on
// what it reads.
package probe

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"strings"
	"time"

	"github.com/hareconcile/hareconcile/internal/spec"
)

// A Prober looks at target once. The message of a success and the error's text are short
// enough for a status line.
type Prober func(ctx context.Context, target netip.AddrPort) (message string, err error)

// New returns the Prober of a check.
func New(c spec.Check) (Prober, error) {
	switch c.Type {
	case "tcp":
		return TCP(c.Timeout), nil
	case "http":
		return HTTP(c), nil
	}
	return nil, fmt.Errorf("check of unknown type %q", c.Type)
}

// TCP returns a Prober that connects and closes.
func TCP(timeout time.Duration) Prober {
	return within(timeout, func(ctx context.Context, target netip.AddrPort) (string, error) {
		var d net.Dialer
		c, err := d.DialContext(ctx, "tcp", target.String())
		if err != nil {
			return "", err
		}
		_ = c.Close() // nothing was written that could be lost
		return "connected", nil
	})
}

// within gives p a deadline for all that it does, and its errors a plain text.
func within(timeout time.Duration, p Prober) Prober {
	return func(ctx context.Context, target netip.AddrPort) (string, error) {
		bounded, cancel := context.WithTimeout(ctx, timeout)
		defer cancel()
		message, err := p(bounded, target)
		if err == nil {
			return message, nil
		}
		if ctx.Err() != nil {
			return "", ctx.Err()
		}
		return "", plain(err, timeout)
	}
}

// maxText bounds an error's text: some of it is the server's.
const maxText = 200

// plain says what went wrong without the layers that found out.
func plain(err error, timeout time.Duration) error {
	var syscallErr *os.SyscallError
	var netErr net.Error
	switch {
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &netErr) && netErr.Timeout():
		return fmt.Errorf("timed out after %v", timeout)
	case errors.As(err, &syscallErr):
		return syscallErr
	case errors.Is(err, io.ErrUnexpectedEOF):
		return errors.New("connection closed in the middle of the answer")
	case errors.Is(err, io.EOF):
		return errors.New("connection closed without an answer")
	}
	text := err.Error()
	for _, layer := range []string{"net/http: ", "HTTP/1.x transport connection broken: ", "net/http: ", "http: "} {
		text = strings.TrimPrefix(text, layer)
	}
	if len(text) > maxText {
		text = strings.ToValidUTF8(text[:maxText], "") + "..."
	}
	return errors.New(text)
}
