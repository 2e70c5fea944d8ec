package vrrpd

import (
	"context"
	"encoding/json"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/hareconcile/hareconcile/internal/channel"
	"github.com/hareconcile/hareconcile/internal/vrrp"
)

// A command is what another goroutine asks the loop to do.
type command struct {
	request  channel.Request
	secrets  map[string]string           // that a Config names
	reread   bool                        // take secrets for what runs already
	presence int                         // the agent's connections: +1 or -1
	stop     bool                        // resign everywhere and end the loop
	handOver func(json.RawMessage) error // called with the state for a successor
	another  bool                        // the successor is another program
	reply    chan channel.Response       // with room for the one response
}

// command carries out c and answers it.
func (l *loop) command(c *command) {
	var resp channel.Response
	switch q := c.request; {
	case l.stopped: // what was asked for too late must not bring a router up again
		resp = stopping
	case c.stop:
		l.stop()
	case c.handOver != nil:
		if err := l.handOver(c); err != nil {
			resp.Error, l.changed = err.Error(), true
		}
	case c.reread:
		if err := l.configure(l.config(), c.secrets); err != nil {
			resp.Error = err.Error()
		}
	case c.presence != 0:
		if l.present += c.presence; l.present == 0 {
			l.agentSilent()
		}
	case q.Config != nil:
		if err := l.configure(*q.Config, c.secrets); err != nil {
			resp.Error = err.Error()
		}
	case q.Track != nil:
		l.track(*q.Track)
	case q.Resign != nil:
		resp.Error = l.order(q.Resign.Instances, vrrp.Resign{Hold: q.Resign.Hold})
	case q.Release != nil:
		resp.Error = l.order(q.Release.Instances, vrrp.Release{})
	case q.Query != nil:
		resp.Status = l.status()
	}
	if c.request.Config != nil && resp.Error == "" {
		l.settle() // the answer means that it is in force
		resp.Status = l.status()
	}
	c.reply <- resp
}

// stop resigns every router and withdraws its addresses.
func (l *loop) stop() {
	for _, r := range l.routers {
		r.startAt = never
		l.step(r, vrrp.Stop{})
	}
	for _, r := range l.routers {
		l.table.Forget(r.name) // and with it a macvlan
	}
	l.stopped, l.changed = true, true
}

// order gives the named routers, or all, an event; it returns what was wrong.
func (l *loop) order(names []string, e vrrp.Event) string {
	for _, name := range names {
		if !slices.ContainsFunc(l.routers, func(r *router) bool { return r.name == name }) {
			return "no instance is named " + name
		}
	}
	for _, r := range l.routers {
		if len(names) == 0 || slices.Contains(names, r.name) {
			l.step(r, e)
		}
	}
	return ""
}

// A server brings requests to the loop.
type server struct {
	commands chan<- *command
	wake     func()
	board    *board
	upgrader *upgrader
	done     chan struct{} // closed when the loop has ended

	mu    sync.Mutex
	agent map[context.Context]bool // connections that speak for the agent
}

var stopping = channel.Response{Error: "vrrpd is stopping"}

// submit hands c to the loop and waits for its answer.
func (s *server) submit(ctx context.Context, c *command) channel.Response {
	c.reply = make(chan channel.Response, 1)
	select {
	case s.commands <- c:
		s.wake()
	case <-ctx.Done():
		return stopping
	case <-s.done:
		return stopping
	}
	select {
	case r := <-c.reply:
		return r
	case <-ctx.Done():
	case <-s.done:
	}
	return stopping
}

// rereadSecrets brings up the routers that a predecessor's configuration could not be
// resumed for, once all secrets can be read, and ends.
func (s *server) rereadSecrets(ctx context.Context, log *slog.Logger) {
	tick := time.NewTicker(retryAfter)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		status, _ := s.board.read()
		if status == nil {
			continue
		}
		secrets, err := readSecrets(status.Config)
		if err != nil {
			continue // it was told of when it was first seen
		}
		resp := s.submit(ctx, &command{reread: true, secrets: secrets})
		if resp.Error == "" {
			return
		}
		log.Warn("cannot use secrets", "err", resp.Error)
	}
}

// Handle implements channel.Handler.
func (s *server) Handle(ctx context.Context, r channel.Request, reply func(channel.Response) error) {
	if r.Track != nil {
		s.attend(ctx)
	}
	if r.Upgrade != nil {
		err := s.upgrader.upgrade(ctx)
		if err != nil {
			_ = reply(channel.Response{Error: err.Error()})
		}
		return
	}
	if r.Subscribe == nil {
		c := &command{request: r}
		if r.Config != nil {
			secrets, err := readSecrets(*r.Config)
			if err != nil {
				_ = reply(channel.Response{Error: err.Error()})
				return
			}
			c.secrets = secrets
		}
		_ = reply(s.submit(ctx, c))
		return
	}
	s.attend(ctx)
	var last *channel.Status
	for {
		status, news := s.board.read()
		if status != nil && status != last {
			last = status
			if reply(channel.Response{Status: status}) != nil {
				return
			}
		}
		select {
		case <-news:
		case <-ctx.Done():
			return
		}
	}
}

// attend counts a connection as the agent's until it ends.
func (s *server) attend(ctx context.Context) {
	s.mu.Lock()
	known := s.agent[ctx]
	s.agent[ctx] = true
	s.mu.Unlock()
	if known {
		return
	}
	whole := context.Background() // ends with the loop: both count, or neither
	s.submit(whole, &command{presence: 1})
	context.AfterFunc(ctx, func() {
		s.mu.Lock()
		delete(s.agent, ctx)
		s.mu.Unlock()
		s.submit(whole, &command{presence: -1})
	})
}
