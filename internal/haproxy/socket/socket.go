// Package socket asks a running haproxy on its runtime socket or its master's.
package socket

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"syscall"
	"time"
)

// What the errors of Ask are where haproxy, as opposed to us, is to blame.
var (
	// ErrSilent is a connection on which nothing came in time: the process is frozen, or serves
	// as many clients of the socket already as it may.
	ErrSilent = errors.New("haproxy accepts connections and does not answer")
	// ErrEmpty is a connection that was closed without an answer.
	ErrEmpty = errors.New("haproxy closed the connection without an answer")
)

// maxReply bounds what is read: ten thousand servers take 2.5 MB in `show stat`.
const maxReply = 16 << 20

// maxLine is the longest line of commands that haproxy reads (tune.bufsize).
const maxLine = 15 << 10

// Ask sends commands on one line, and reads until haproxy closes the connection. A command
// that fails does not keep the next from being carried out, and its error is part of the
// reply.
func Ask(ctx context.Context, path string, commands ...string) (string, error) {
	line := strings.Join(commands, ";") + "\n"
	if len(line) > maxLine || strings.ContainsAny(line[:len(line)-1], "\n\r\x00") {
		return "", fmt.Errorf("%.80q cannot be a line of commands", line)
	}
	return exchange(ctx, path, line)
}

// MaxPayload is the longest command with its payload that haproxy reads (tune.bufsize).
const MaxPayload = maxLine

// Give sends one command with a payload of lines, of which none may be empty: an empty one is
// how a payload ends (management.txt, section 9.3).
func Give(ctx context.Context, path, command, payload string) (string, error) {
	payload = strings.TrimRight(payload, "\n")
	text := command + " <<\n" + payload + "\n\n"
	if len(text) > MaxPayload || strings.ContainsAny(command, ";\n\r\x00") || payload == "" || payload[0] == '\n' || strings.Contains(payload, "\n\n") {
		return "", fmt.Errorf("what %.80q is to be given cannot be a payload", command)
	}
	return exchange(ctx, path, text)
}

// exchange sends text and reads the answer.
func exchange(ctx context.Context, path, text string) (string, error) {
	c, err := dial(ctx, path)
	if err != nil {
		return "", err
	}
	defer func() { _ = c.Close() }() // the reply was read, or given up
	stop := context.AfterFunc(ctx, func() { _ = c.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	if _, err := io.WriteString(c, text); err != nil {
		return "", sending(err)
	}
	// The master waits for more until it is told that there is nothing.
	if err := c.(*net.UnixConn).CloseWrite(); err != nil {
		return "", sending(err)
	}
	reply, err := io.ReadAll(io.LimitReader(c, maxReply+1))
	switch {
	case len(reply) > maxReply:
		return "", fmt.Errorf("the reply is longer than %d bytes", maxReply)
	case errors.Is(err, os.ErrDeadlineExceeded) && errors.Is(ctx.Err(), context.Canceled):
		return "", ctx.Err()
	case errors.Is(err, os.ErrDeadlineExceeded) && len(reply) == 0:
		return "", silence(ctx, time.Now())
	case len(reply) == 0 && (err == nil || hungUp(err)):
		return "", ErrEmpty
	case err != nil:
		return "", fmt.Errorf("read reply: %w", err)
	}
	return string(reply), nil
}

// dial connects. While the queue of the socket is full, Linux refuses to wait for a place in
// it on our behalf (unix(7), EAGAIN).
func dial(ctx context.Context, path string) (net.Conn, error) {
	again := time.NewTicker(5 * time.Millisecond)
	defer again.Stop()
	var d net.Dialer
	for full := false; ; full = true {
		c, err := d.DialContext(ctx, "unix", path)
		switch {
		case err == nil:
			return c, nil
		case errors.Is(ctx.Err(), context.Canceled):
			return nil, ctx.Err()
		case errors.Is(err, syscall.EAGAIN):
		case full && (errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, context.DeadlineExceeded)):
			return nil, silence(ctx, time.Now())
		default:
			return nil, fmt.Errorf("connect: %w", err)
		}
		select {
		case <-again.C:
		case <-ctx.Done():
		}
	}
}

// hungUp reports whether the other side closed the connection without reading all of it, as a
// process does that ends.
func hungUp(err error) bool {
	return errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE) || errors.Is(err, syscall.ENOTCONN)
}

// sending returns the error of a question that could not be sent.
func sending(err error) error {
	if hungUp(err) {
		return ErrEmpty
	}
	return fmt.Errorf("send commands: %w", err)
}

// late is how long after the deadline haproxy's silence can still be told from ours.
const late = 500 * time.Millisecond

// silence says what no answer until now means. Long after the deadline this process was
// not running itself, after SIGSTOP for instance, and the answer may well have come.
func silence(ctx context.Context, now time.Time) error {
	if d, ok := ctx.Deadline(); ok && now.Sub(d) > late {
		return fmt.Errorf("could not look in time: this host was busy or stopped for %v", now.Sub(d).Round(time.Millisecond))
	}
	return ErrSilent
}
