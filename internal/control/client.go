package control

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"syscall"
	"time"

	"github.com/hareconcile/hareconcile/reconcile/planfile"
)

// ErrNoAgent says that nobody listens on the agent's socket.
var ErrNoAgent = errors.New("no agent is running")

const (
	askWait    = 60 * time.Second // for what the agent has to look for
	statusWait = 10 * time.Second // for what it only has to tell
)

// A Client talks to the agent of this host.
type Client struct {
	http *http.Client
	path string
}

// Dial looks whether an agent listens at path; ErrNoAgent if none does.
func Dial(path string) (*Client, error) {
	c := &Client{path: path}
	conn, err := c.dial(context.Background(), "", "")
	if err != nil {
		return nil, err
	}
	conn.Close()
	c.http = &http.Client{Transport: &http.Transport{
		DialContext: c.dial, DisableCompression: true, DisableKeepAlives: true,
		MaxResponseHeaderBytes: 64 << 10,
	}}
	return c, nil
}

func (c *Client) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	conn, err := (&net.Dialer{Timeout: 5 * time.Second}).DialContext(ctx, "unix", c.path)
	switch {
	case errors.Is(err, syscall.ENOENT), errors.Is(err, syscall.ECONNREFUSED), errors.Is(err, syscall.ENOTDIR):
		return nil, fmt.Errorf("%w (nobody listens on %s)", ErrNoAgent, c.path)
	case errors.Is(err, syscall.EACCES), errors.Is(err, syscall.EPERM):
		return nil, fmt.Errorf("the agent's socket %s is for root: %w", c.path, err)
	case err != nil:
		return nil, fmt.Errorf("connect to the agent: %w", err)
	}
	return conn, nil
}

// Status returns what the agent is doing.
func (c *Client) Status(ctx context.Context) (Status, error) {
	ctx, cancel := context.WithTimeout(ctx, statusWait)
	defer cancel()
	var s Status
	return s, c.ask(ctx, "status", &s)
}

// Snapshot returns what the agent sees on the host.
func (c *Client) Snapshot(ctx context.Context) (Snapshot, error) {
	var s Snapshot
	return s, c.ask(ctx, "snapshot", &s)
}

// Plan returns what the agent would do for its target revision.
func (c *Client) Plan(ctx context.Context) (planfile.File, error) {
	ctx, cancel := context.WithTimeout(ctx, askWait)
	defer cancel()
	var f planfile.File
	err := c.do(ctx, http.MethodGet, "plan", nil, func(r io.Reader) (err error) {
		f, err = planfile.Decode(r)
		return err
	})
	return f, err
}

// Apply has the agent carry out an approved plan. A refusal is an *APIError.
func (c *Client) Apply(ctx context.Context, r ApplyRequest) (ApplyResult, error) {
	var res ApplyResult
	body, err := json.Marshal(r)
	if err != nil {
		return res, err
	}
	ctx, cancel := context.WithTimeout(ctx, applyWait)
	defer cancel()
	return res, c.do(ctx, http.MethodPost, "apply", body, decodeInto(&res))
}

// Drain has the agent take a server out of its pool, or back. A refusal is an *APIError.
func (c *Client) Drain(ctx context.Context, r DrainRequest) ([]Drain, error) {
	body, err := json.Marshal(r)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, askWait)
	defer cancel()
	var res DrainResult
	err = c.do(ctx, http.MethodPost, "drain", body, decodeInto(&res))
	return res.Drains, err
}

// Drains returns the drains that the agent knows of.
func (c *Client) Drains(ctx context.Context) ([]Drain, error) {
	ctx, cancel := context.WithTimeout(ctx, statusWait)
	defer cancel()
	var res DrainResult
	err := c.ask(ctx, "drains", &res)
	return res.Drains, err
}

// Watch calls f with the status now and after every change, until f fails, ctx ends (then
// it returns nil) or the agent goes away.
func (c *Client) Watch(ctx context.Context, f func(Status) error) error {
	return watch(ctx, c, "events", f)
}

// WatchDrains is Watch for the drains alone.
func (c *Client) WatchDrains(ctx context.Context, f func([]Drain) error) error {
	return watch(ctx, c, "events?of=drains", func(r DrainResult) error { return f(r.Drains) })
}

// WatchProgress is Watch for how far an application is, alone; of none it is zero.
func (c *Client) WatchProgress(ctx context.Context, f func(Progress) error) error {
	return watch(ctx, c, "events?of=progress", f)
}

// watch reads a stream that has no end.
func watch[T any](ctx context.Context, c *Client, what string, f func(T) error) error {
	err := watchOnce(ctx, c, what, f)
	if ctx.Err() != nil {
		return nil
	}
	return cmp.Or(err, fmt.Errorf("follow the agent's events: %w", io.ErrUnexpectedEOF))
}

// watchOnce reads a stream, a document a line, until it ends.
func watchOnce[T any](ctx context.Context, c *Client, what string, f func(T) error) error {
	return c.do(ctx, http.MethodGet, what, nil, func(r io.Reader) error {
		lines := bufio.NewScanner(r)
		lines.Buffer(nil, maxBody)
		for lines.Scan() {
			var v T
			if err := json.Unmarshal(lines.Bytes(), &v); err != nil {
				return fmt.Errorf("read the agent's events: %w", err)
			}
			if err := f(v); err != nil {
				return err
			}
		}
		if err := lines.Err(); err != nil {
			return fmt.Errorf("follow the agent's events: %w", err)
		}
		return nil
	})
}

func (c *Client) ask(ctx context.Context, what string, v any) error {
	ctx, cancel := context.WithTimeout(ctx, askWait)
	defer cancel()
	return c.do(ctx, http.MethodGet, what, nil, decodeInto(v))
}

func decodeInto(v any) func(io.Reader) error {
	return func(r io.Reader) error {
		if err := json.NewDecoder(io.LimitReader(r, maxBody)).Decode(v); err != nil {
			return fmt.Errorf("read the agent's answer: %w", err)
		}
		return nil
	}
}

// do sends one request and gives a good answer's body to read.
func (c *Client) do(ctx context.Context, method, what string, body []byte, read func(io.Reader) error) error {
	req, err := http.NewRequestWithContext(ctx, method, "http://agent/v1/"+what, bytes.NewReader(body))
	if err != nil {
		return err
	}
	res, err := c.http.Do(req)
	if err != nil {
		return fmt.Errorf("ask the agent for %s: %w", what, err)
	}
	defer res.Body.Close()
	if res.StatusCode == http.StatusOK {
		return read(res.Body)
	}
	var api APIError
	if err := json.NewDecoder(io.LimitReader(res.Body, 1<<20)).Decode(&api); err != nil || api.Message == "" {
		return fmt.Errorf("ask the agent for %s: HTTP %s", what, res.Status)
	}
	return &api
}
