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
	// ErrStranger is a socket on which a process listens that is neither root's nor this user's.
	ErrStranger = errors.New("what listens there was started by another user, and not by root")
)

// maxReply bounds what is read: ten thousand servers take 2.5 MB in `show stat`.
const maxReply = 16 << 20

// maxLine is the longest line of commands that haproxy reads (tune.bufsize).
const maxLine = 15 << 10

// Ask sends commands on one line, and reads until haproxy closes the connection. A command
// that fails does not keep the next from being carried out, and its error is part of the
// reply.
func Ask(ctx context.Context, path string, commands ...string) (string, error) {
	line, err := oneLine(commands)
	if err != nil {
		return "", err
	}
	return exchange(ctx, path, line, nil)
}

// AskOwn is Ask for answers on which whoever asks acts with rights of his own: it asks nobody but
// root's processes and this user's. Who listens is what the kernel noted when it began to
// (unix(7), SO_PEERCRED).
func AskOwn(ctx context.Context, path string, commands ...string) (string, error) {
	line, err := oneLine(commands)
	if err != nil {
		return "", err
	}
	return exchange(ctx, path, line, func(c *net.UnixConn) error {
		raw, err := c.SyscallConn()
		if err != nil {
			return err
		}
		var peer *syscall.Ucred
		var asked error
		if err := raw.Control(func(fd uintptr) {
			peer, asked = syscall.GetsockoptUcred(int(fd), syscall.SOL_SOCKET, syscall.SO_PEERCRED)
		}); err != nil {
			return err
		}
		switch {
		case asked != nil:
			return fmt.Errorf("see who listens: %w", asked)
		case peer.Uid != 0 && int(peer.Uid) != os.Geteuid():
			return fmt.Errorf("%w: user %d", ErrStranger, peer.Uid)
		}
		return nil
	})
}

// oneLine joins commands.
func oneLine(commands []string) (string, error) {
	line := strings.Join(commands, ";") + "\n"
	if len(line) > maxLine || strings.ContainsAny(line[:len(line)-1], "\n\r\x00") {
		return "", fmt.Errorf("%.80q cannot be a line of commands", line)
	}
	return line, nil
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
	return exchange(ctx, path, text, nil)
}

// exchange sends text and reads the answer, of one that is trusted if that is asked.
func exchange(ctx context.Context, path, text string, trusted func(*net.UnixConn) error) (string, error) {
	c, err := dial(ctx, path)
	if err != nil {
		return "", err
	}
	defer func() { _ = c.Close() }() // the reply was read, or given up
	if trusted != nil {
		if err := trusted(c.(*net.UnixConn)); err != nil {
			return "", err
		}
	}
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
