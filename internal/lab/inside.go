package lab

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
)

// maxRead bounds what ReadFile returns.
const maxRead = 256 << 10

// ReadFile returns the beginning of a file as a host sees it. What a network namespace has
// of its own is below /proc/thread-self/net and /proc/sys/net.
func (c *Client) ReadFile(ctx context.Context, host, path string) ([]byte, error) {
	a, err := c.ask(ctx, request{Op: "read", Host: host, Path: path})
	return a.Data, err
}

// Dial connects to a Unix socket on a host.
func (c *Client) Dial(ctx context.Context, host, path string) (net.Conn, error) {
	conn, err := c.dial(ctx)
	if err != nil {
		return nil, err
	}
	r := bufio.NewReader(conn)
	var a reply
	if err = (&frameWriter{w: conn}).writeJSON(frameRequest, request{Op: "dial", Host: host, Path: path}); err == nil {
		err = readJSON(r, frameReply, &a)
	}
	if err == nil && a.Error != "" {
		err = errors.New(a.Error)
	}
	if err != nil {
		_ = conn.Close()
		return nil, fmt.Errorf("dial %s on %s: %w", path, host, err)
	}
	return bufferedConn{conn, r}, nil
}

// A bufferedConn is a connection of which a reader may have read too much.
type bufferedConn struct {
	net.Conn
	r io.Reader
}

// Read implements net.Conn.
func (b bufferedConn) Read(p []byte) (int, error) { return b.r.Read(p) }

func (d *daemon) readFile(name, path string) ([]byte, error) {
	h, err := d.host(name)
	if err != nil {
		return nil, err
	}
	var b []byte
	err = h.do(func() error {
		f, err := os.Open(path)
		if err != nil {
			return err
		}
		defer f.Close()
		b, err = io.ReadAll(io.LimitReader(f, maxRead))
		return err
	})
	return b, err
}

// dial joins a connection with one to a Unix socket on a host.
func (d *daemon) dial(q request, r *bufio.Reader, c net.Conn, w *frameWriter) error {
	h, err := d.host(q.Host)
	var inner net.Conn
	if err == nil {
		err = h.do(func() (err error) {
			inner, err = net.Dial("unix", q.Path)
			return err
		})
	}
	if err != nil {
		return w.writeJSON(frameReply, reply{Error: err.Error()})
	}
	defer inner.Close()
	if err := w.writeJSON(frameReply, reply{}); err != nil {
		return err
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		_, _ = io.Copy(inner, r)
		_ = inner.Close()
	})
	_, _ = io.Copy(c, inner)
	_ = c.Close() // ends the other direction
	wg.Wait()
	return nil
}
