package probe

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/hareconcile/hareconcile/internal/spec"
)

// errSilence says that nothing came where nothing has to.
var errSilence = errors.New("silence")

// newUDP sends a datagram. A port that nobody has is refused by ICMP, which a connected
// socket reports; so silence passes unless the check asks for a reply.
func newUDP(c spec.Check, t Target) (look, error) {
	if c.UDP == nil {
		c.UDP = &spec.UDPCheck{}
	}
	w, err := newWire(c, t)
	if err != nil {
		return nil, err
	}
	want, err := parsePattern(c.UDP.Reply)
	if err != nil {
		return nil, err
	}
	needed := c.UDP.RequireReply || len(want) > 0 || c.UDP.MinReply > 0
	return func(ctx context.Context) (Outcome, error) {
		conn, err := w.dial(ctx, "udp")
		if err != nil {
			return Outcome{}, err
		}
		defer func() { _ = conn.Close() }() // a datagram socket has nothing to lose
		if _, err := conn.Write(c.UDP.Payload); err != nil {
			return Outcome{}, err
		}
		buf := make([]byte, 64<<10)
		n, err := conn.Read(buf)
		switch {
		case err != nil && !needed && errors.Is(ctx.Err(), context.DeadlineExceeded):
			return Outcome{}, errSilence
		case err != nil:
			return Outcome{}, err
		case n < c.UDP.MinReply:
			return Outcome{}, fmt.Errorf("replied with %d bytes, want at least %d", n, c.UDP.MinReply)
		case c.UDP.MaxReply > 0 && n > c.UDP.MaxReply:
			return Outcome{}, fmt.Errorf("replied with %d bytes, want at most %d", n, c.UDP.MaxReply)
		case !want.matches(buf[:n]):
			return Outcome{}, fmt.Errorf("replied %s, want %s", short(fmt.Sprintf("%x", buf[:n])), short(c.UDP.Reply))
		}
		return Outcome{Message: fmt.Sprintf("replied with %d bytes", n)}, nil
	}, nil
}

// short shortens hex digits.
func short(digits string) string {
	const most = 40
	if len(digits) > most {
		return digits[:most] + "..."
	}
	return digits
}

// silent is the outcome of silence.
func silent(timeout time.Duration) Outcome {
	return Outcome{Message: fmt.Sprintf("not refused within %v", timeout)}
}

// A pattern is how a reply begins: half bytes, of which some may be anything.
type pattern []nibble

// A nibble is a hex digit, or any.
type nibble int8

const anyNibble nibble = -1

// parsePattern reads hex digits in which x stands for any digit. Blanks may separate bytes.
func parsePattern(s string) (pattern, error) {
	var p pattern
	for _, r := range strings.ToLower(s) {
		switch {
		case r == ' ':
		case r == 'x':
			p = append(p, anyNibble)
		case '0' <= r && r <= '9':
			p = append(p, nibble(r-'0'))
		case 'a' <= r && r <= 'f':
			p = append(p, nibble(r-'a'+10))
		default:
			return nil, fmt.Errorf("reply %q has %q, which is neither a hex digit nor x", s, r)
		}
	}
	if len(p)%2 != 0 {
		return nil, fmt.Errorf("reply %q ends in the middle of a byte", s)
	}
	return p, nil
}

// matches reports whether b begins as the pattern says. keepalived compares no more than
// what was received, so that there a short reply passes (check_udp.c); here it does not.
func (p pattern) matches(b []byte) bool {
	if len(b) < len(p)/2 {
		return false
	}
	for i, n := range p {
		have := nibble(b[i/2] >> 4)
		if i%2 == 1 {
			have = nibble(b[i/2] & 0xf)
		}
		if n != anyNibble && n != have {
			return false
		}
	}
	return true
}
