// Package tunnel handles the devices on which real servers get wrapped packets.
package tunnel

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"

	"github.com/hareconcile/hareconcile/internal/ledger"
	"github.com/hareconcile/hareconcile/reconcile"
	"github.com/hareconcile/hareconcile/reconcile/resource"
)

// handler owns the tunnels that the ledger lists; the ledger has what was there before.
// Two tunnels may share a device, or a port: what the first found there is what the last
// one leaves.
type handler struct {
	host   host
	ledger *ledger.Ledger
	mu     sync.Mutex // one change at a time: what was there before and the change belong together
}

var (
	_ reconcile.Handler     = (*handler)(nil)
	_ reconcile.Preflighter = (*handler)(nil)
)

// A host has devices and ports. Neither change fails if it was already made.
type host interface {
	look() (state, error)
	// set makes the device as want says; the zero value takes it away.
	set(name string, want device) error
	// open makes the port unwrap gue, or closes it.
	open(p port, open bool) error
}

// A prior is what was there before a tunnel became ours.
type prior struct {
	Device device `json:"device,omitzero"`
	Port   bool   `json:"port,omitempty"` // it was open
}

// New returns the handler for this thread's network namespace.
func New(l *ledger.Ledger) reconcile.Handler { return &handler{host: kernel{}, ledger: l} }

// Kind implements reconcile.Handler.
func (h *handler) Kind() resource.Kind { return resource.KindTunnel }

// Observe implements reconcile.Handler. A tunnel of ours that lacks something is there with
// that in its type. Foreign is what works already, and what is in the way.
func (h *handler) Observe(context.Context) (reconcile.Live, error) {
	live := reconcile.Live{Owned: resource.Set{}, Foreign: resource.Set{}}
	s, err := h.host.look()
	if err != nil {
		return reconcile.Live{}, err
	}
	records, err := h.records()
	if err != nil {
		return reconcile.Live{}, err
	}
	for id, r := range records {
		if v, there := s.describe(r.tunnel); there {
			live.Owned[id] = v
		}
	}
	h.ledger.Retain(h.Kind(), func(name string) bool { return live.Owned[resource.ID{Kind: h.Kind(), Name: name}] != nil })
	for _, t := range s.candidates() {
		_, ours := records[t.ID()]
		v, _ := s.describe(t)
		if !ours && !made(records, t) && (v == t || s.refuses(t) != nil) {
			live.Foreign[t.ID()] = v
		}
	}
	return live, nil
}

// candidates are the tunnels that the host may have.
func (s state) candidates() []resource.Tunnel {
	var out []resource.Tunnel
	for name := range s.devices {
		t := resource.Tunnel{Device: name, Type: "ipip"}
		if gre(name) {
			t.Type = "gre"
		}
		out = append(out, t)
		for p := range s.ports {
			if !gre(name) && p.family == family(name) {
				out = append(out, resource.Tunnel{Device: name, Type: "gue", Port: p.number})
			}
		}
	}
	return out
}

// A record is a line of the ledger.
type record struct {
	tunnel resource.Tunnel
	prior  prior
}

// records returns what the ledger says.
func (h *handler) records() (map[resource.ID]record, error) {
	out := map[resource.ID]record{}
	for _, id := range h.ledger.IDs(h.Kind()) {
		t, err := parse(id)
		if err != nil {
			return nil, err
		}
		r := record{tunnel: t}
		text, _ := h.ledger.Prior(id)
		if err := json.Unmarshal([]byte(text), &r.prior); err != nil {
			return nil, fmt.Errorf("read what was there before %s: %w", id, err)
		}
		out[id] = r
	}
	return out, nil
}

// shares reports whether r has the device, and the port, of t.
func (r record) shares(t resource.Tunnel) (device, port bool) {
	return r.tunnel.Device == t.Device, t.Port != 0 && portOf(r.tunnel) == portOf(t)
}

// made reports whether t is there because of another tunnel of ours.
func made(records map[resource.ID]record, t resource.Tunnel) bool {
	for _, r := range records {
		device, port := r.shares(t)
		if device && r.prior.Device != fallback[t.Device] || port && !r.prior.Port {
			return true
		}
	}
	return false
}
