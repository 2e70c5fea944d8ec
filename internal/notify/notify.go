// Package notify tells people and programs what happened on this node, as the notify blocks of
// the cluster file say.
package notify

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/hareconcile/hareconcile/internal/event"
	"github.com/hareconcile/hareconcile/internal/spec"
)

// Options are what the host has to say.
type Options struct {
	AllowExec bool   // whether programs of the host may be run
	User      string // who runs them
	// Secret reads a secret of this host.
	Secret func(name string) (string, error)
	// StateDir keeps, until the next boot, which state each program of ensure has heard of.
	StateDir string
	Log      *slog.Logger
}

// A Host runs one worker for each notify block. Each follows the log by itself: nothing that
// one of them waits for holds up another, or whoever adds events.
type Host struct {
	o      Options
	events *event.Log
	// changed has room for one token: of several sets of blocks only the last counts.
	changed chan struct{}

	mu      sync.Mutex
	blocks  []spec.Notify
	workers []*worker
}

// New returns a host that tells nobody yet.
func New(events *event.Log, o Options) *Host {
	return &Host{o: o, events: events, changed: make(chan struct{}, 1)}
}

// Set replaces the blocks. It does not block.
func (h *Host) Set(blocks []spec.Notify) {
	h.mu.Lock()
	h.blocks = slices.Clone(blocks)
	h.mu.Unlock()
	select {
	case h.changed <- struct{}{}:
	default:
	}
}

// Stats is how one block copes.
type Stats struct {
	Type    string    `json:"type"`
	Name    string    `json:"name"`
	Queued  int       `json:"queued"`
	Sent    uint64    `json:"sent"`
	Failed  uint64    `json:"failed"` // attempts
	Lost    uint64    `json:"lost"`   // events that were given up or pushed out of the queue
	Error   string    `json:"error,omitempty"`
	ErrorAt time.Time `json:"error_at,omitzero"`
}

// Stats returns how each block copes, in their order.
func (h *Host) Stats() []Stats {
	h.mu.Lock()
	defer h.mu.Unlock()
	var out []Stats
	for _, w := range h.workers {
		out = append(out, w.stats())
	}
	return out
}

// Run tells until ctx ends. A block that stays as it was goes on with what it had to tell.
func (h *Host) Run(ctx context.Context) error {
	running := map[string]*worker{}
	defer func() {
		for _, w := range running {
			w.stop()
		}
	}()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-h.changed:
		}
		h.mu.Lock()
		blocks := h.blocks
		h.mu.Unlock()
		next := map[string]*worker{}
		var order []*worker
		for _, n := range blocks {
			key := fmt.Sprintf("%#v %s", signature(n), n.Name)
			w, ok := running[key]
			if !ok {
				w = newWorker(n, h.sender(n), h.o)
				w.start(ctx, h.events)
			}
			delete(running, key)
			next[key] = w
			order = append(order, w)
		}
		for _, w := range running {
			w.stop()
		}
		running = next
		h.mu.Lock()
		h.workers = order
		h.mu.Unlock()
	}
}

// signature is a block without where it was written.
func signature(n spec.Notify) []any {
	n.Origin = spec.Origin{}
	out := []any{n.Events, n.On}
	switch {
	case n.Exec != nil:
		out = append(out, *n.Exec)
	case n.SMTP != nil:
		out = append(out, *n.SMTP)
	case n.Webhook != nil:
		out = append(out, *n.Webhook)
	}
	return out
}

// A sender tells of events, which are one unless it takes many.
type sender func(ctx context.Context, events []event.Event) error

// errNever is in the chain of an error that no further attempt can mend.
var errNever = errors.New("it is not tried again")

func (h *Host) sender(n spec.Notify) sender {
	switch {
	case n.Exec != nil:
		return (&program{*n.Exec, h.o}).tell
	case n.SMTP != nil:
		return (&mailer{*n.SMTP, h.o}).tell
	case n.Webhook != nil:
		return (&hook{*n.Webhook, h.o}).tell
	}
	return func(context.Context, []event.Event) error { return errNever }
}
