package probe

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/hareconcile/hareconcile/internal/check/answer"
	"github.com/hareconcile/hareconcile/internal/spec"
)

// newRedis says PING in RESP, the protocol of Redis, after AUTH where there is a password,
// and asks for the role where one is wanted.
func newRedis(c spec.Check, t Target, o Options) (look, error) {
	if c.Redis == nil {
		c.Redis = &spec.RedisCheck{}
	}
	w, err := newWire(c, t)
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context) (Outcome, error) {
		password, err := o.secret(c.Redis.Password)
		if err != nil {
			return Outcome{}, err
		}
		l, err := w.open(ctx)
		if err != nil {
			return Outcome{}, err
		}
		defer func() { _ = l.Close() }() // all answers have been read
		r := &redis{l, bufio.NewReader(l)}
		if c.Redis.Password != "" {
			if err := r.auth(c.Redis.User, password); err != nil {
				return Outcome{}, err
			}
		}
		if err := r.expect("PONG", "PING"); err != nil {
			return Outcome{}, err
		}
		message := "PONG"
		if c.Redis.Role != "" {
			info, err := r.command("INFO", "replication")
			if err != nil {
				return Outcome{}, err
			}
			role := roleOf(info)
			if role != c.Redis.Role {
				return Outcome{}, fmt.Errorf("its role is %q, want %q", answer.Line(role), c.Redis.Role)
			}
			message += ", " + role
		}
		return Outcome{Message: l.note(message)}, nil
	}, nil
}

// A redis is a connection to one.
type redis struct {
	io.Writer
	in *bufio.Reader
}

func (r *redis) auth(user, password string) error {
	words := []string{"AUTH", password}
	if user != "" {
		words = []string{"AUTH", user, password}
	}
	return r.expect("OK", words...)
}

func (r *redis) expect(want string, words ...string) error {
	got, err := r.command(words...)
	if err == nil && got != want {
		err = fmt.Errorf("%s: answered %q, want %q", words[0], answer.Line(got), want)
	}
	return err
}

// command sends a command as an array of bulk strings and returns the answer.
func (r *redis) command(words ...string) (string, error) {
	var b strings.Builder
	fmt.Fprintf(&b, "*%d\r\n", len(words))
	for _, w := range words {
		fmt.Fprintf(&b, "$%d\r\n%s\r\n", len(w), w)
	}
	if _, err := io.WriteString(r, b.String()); err != nil {
		return "", err
	}
	return readRESP(r.in)
}

// readRESP reads one simple string, error or bulk string. in is bounded.
func readRESP(in *bufio.Reader) (string, error) {
	text, err := in.ReadString('\n')
	if err != nil {
		return "", err
	}
	kind, text := text[0], strings.TrimSuffix(text[1:], "\n")
	text, whole := strings.CutSuffix(text, "\r")
	switch {
	case whole && kind == '+':
		return text, nil
	case whole && kind == '-':
		return "", fmt.Errorf("answered %q", answer.Line(text))
	case whole && kind == '$':
		return readBulk(in, text)
	}
	return "", errors.New("answered with something that is no RESP")
}

func readBulk(in *bufio.Reader, length string) (string, error) {
	n, err := strconv.ParseUint(length, 10, 32)
	if err != nil || n > answer.MaxBody {
		return "", fmt.Errorf("answered with a string of %q bytes", answer.Line(length))
	}
	b := make([]byte, n+2)
	if _, err := io.ReadFull(in, b); err != nil {
		return "", err
	}
	if string(b[n:]) != "\r\n" {
		return "", errors.New("answered with something that is no RESP")
	}
	return string(b[:n]), nil
}

// roleOf finds the role in what INFO replication says.
func roleOf(info string) string {
	for text := range strings.Lines(info) {
		if role, ok := strings.CutPrefix(text, "role:"); ok {
			return strings.TrimSpace(role)
		}
	}
	return ""
}
