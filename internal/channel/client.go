package channel

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"
)

// doTimeout bounds a request whose context has no deadline: vrrpd answers within
// milliseconds or not at all.
const doTimeout = 5 * time.Second

// A Client sends requests over one connection. It is safe for concurrent use.
type Client struct {
	mu     sync.Mutex
	conn   net.Conn
	broken error // set once request and response are out of step
}

// Dial connects to vrrpd's socket.
func Dial(ctx context.Context, path string) (*Client, error) {
	var d net.Dialer
	conn, err := d.DialContext(ctx, "unix", path)
	if err != nil {
		return nil, fmt.Errorf("connect to vrrpd: %w", err)
	}
	return NewClient(conn), nil
}

// NewClient returns a client over a connection that was made elsewhere.
func NewClient(conn net.Conn) *Client { return &Client{conn: conn} }

// Do sends one request, of any kind but Subscribe, and returns its response. A response
// with an Error is an error, too. After any other error the Client is of no more use.
func (c *Client) Do(ctx context.Context, r Request) (Response, error) {
	if r.Subscribe != nil {
		return Response{}, errors.New("subscribe has many responses: use Watch")
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.broken != nil {
		return Response{}, c.broken
	}
	ctx, cancel := context.WithTimeout(ctx, doTimeout)
	defer cancel()
	resp, err := exchange(ctx, c.conn, r)
	if err != nil {
		c.broken = fmt.Errorf("connection to vrrpd is broken: %w", err)
		return Response{}, err
	}
	if resp.Error != "" {
		return resp, fmt.Errorf("vrrpd: %s", resp.Error)
	}
	return resp, nil
}

// Close ends the connection.
func (c *Client) Close() error { return c.conn.Close() }

// exchange sends r and reads one response; ctx's end cuts the connection's I/O short.
func exchange(ctx context.Context, conn net.Conn, r Request) (Response, error) {
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	r.Version = Version
	var resp Response
	if err := WriteFrame(conn, r); err != nil {
		return resp, whyEnded(ctx, err)
	}
	if err := ReadFrame(conn, &resp); err != nil {
		return resp, whyEnded(ctx, err)
	}
	if !understood(resp.Version) {
		return resp, fmt.Errorf("vrrpd speaks protocol version %d, want %d", resp.Version, Version)
	}
	return resp, nil
}

// whyEnded prefers the context's reason over the broken connection that it causes.
func whyEnded(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return fmt.Errorf("wait for vrrpd: %w", context.Cause(ctx))
	}
	return fmt.Errorf("talk to vrrpd: %w", err)
}

// Bounds of the wait between two attempts to reach vrrpd.
const (
	retryMin = 50 * time.Millisecond
	retryMax = 2 * time.Second
)

// Watch subscribes to vrrpd's status and calls f with each until ctx ends. While vrrpd
// cannot be reached it calls f with an error and tries again with backoff. f is called
// from one goroutine, and the Status is f's to keep. Watch returns nil when ctx ends.
func Watch(ctx context.Context, path string, f func(*Status, error)) error {
	wait := retryMin
	for {
		err := watchOnce(ctx, path, func(s *Status) {
			wait = retryMin
			f(s, nil)
		})
		if ctx.Err() != nil {
			return nil
		}
		f(nil, err)
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(wait):
		}
		wait = min(2*wait, retryMax)
	}
}

func watchOnce(ctx context.Context, path string, f func(*Status)) error {
	c, err := Dial(ctx, path)
	if err != nil {
		return err
	}
	defer c.Close()
	resp, err := exchange(ctx, c.conn, Request{Subscribe: &Subscribe{}})
	stop := context.AfterFunc(ctx, func() { _ = c.conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	for {
		switch {
		case err != nil:
			return err
		case resp.Error != "":
			return fmt.Errorf("vrrpd: %s", resp.Error)
		case resp.Status != nil:
			f(resp.Status)
		}
		resp = Response{}
		if err = ReadFrame(c.conn, &resp); err != nil {
			err = whyEnded(ctx, err)
		}
	}
}
