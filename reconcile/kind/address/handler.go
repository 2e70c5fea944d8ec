// Package address handles addresses that a host holds for good.
package address

import (
	"context"
	"fmt"
	"net/netip"
	"sync"

	"github.com/hareconcile/hareconcile/internal/ledger"
	"github.com/hareconcile/hareconcile/internal/sys"
	"github.com/hareconcile/hareconcile/reconcile"
	"github.com/hareconcile/hareconcile/reconcile/resource"
)

// handler owns the addresses that carry sys.AgentProto. Kernels before 5.18 drop the mark;
// there the ledger says which addresses are ours.
type handler struct {
	ledger *ledger.Ledger // nil where the kernel keeps the mark
	mu     sync.Mutex     // one change at a time
}

var _ reconcile.Handler = (*handler)(nil)

// An Option changes what New returns.
type Option func(*handler)

// WithLedger lets the handler work on kernels before 5.18, which keep no marks.
func WithLedger(l *ledger.Ledger) Option {
	return func(h *handler) {
		if !sys.KeepsAddressProto() {
			h.ledger = l
		}
	}
}

// New returns the handler for this thread's network namespace.
func New(opts ...Option) reconcile.Handler {
	h := &handler{}
	for _, o := range opts {
		o(h)
	}
	return h
}

// Watch calls changed after addresses or links changed, until ctx ends. changed must not block.
func Watch(ctx context.Context, changed func()) error { return sys.Watch(ctx, changed) }

// Kind implements reconcile.Handler.
func (h *handler) Kind() resource.Kind { return resource.KindAddress }

// entry is one address of one device, and whether it is ours.
type entry struct {
	sys.Address
	owned bool
}

func (e entry) resource() resource.Address {
	return resource.Address{Prefix: e.Prefix, Device: e.Device}
}

// list returns every address but those of vrrpd.
func (h *handler) list() ([]entry, error) {
	all, err := sys.Addresses()
	if err != nil {
		return nil, err
	}
	out := make([]entry, 0, len(all))
	for _, a := range all {
		if a.Proto != sys.VRRPProto {
			out = append(out, entry{a, h.owns(a)})
		}
	}
	return out, nil
}

func (h *handler) owns(a sys.Address) bool {
	return a.Proto == sys.AgentProto || h.ledger != nil && h.ledger.Has(recordID(a))
}

// recordID is the ledger's key: unlike a resource's ID it tells two devices apart.
func recordID(a sys.Address) resource.ID {
	return resource.ID{Kind: resource.KindAddress, Name: a.Prefix.String() + " " + a.Device}
}

// Observe implements reconcile.Handler.
func (h *handler) Observe(context.Context) (reconcile.Live, error) {
	entries, err := h.list()
	if err != nil {
		return reconcile.Live{}, err
	}
	live := reconcile.Live{Owned: resource.Set{}, Foreign: resource.Set{}}
	recorded := map[string]bool{}
	for _, e := range entries {
		recorded[recordID(e.Address).Name] = true
		r := e.resource()
		set := live.Foreign
		if e.owned {
			set = live.Owned
		}
		first, twice := set[r.ID()].(resource.Address)
		switch {
		case twice && e.owned:
			// A move was broken off between adding and deleting. No cluster file can ask
			// for this device, so the next plan finishes the move.
			first.Device += "," + r.Device
			r = first
		case twice:
			continue
		}
		set[r.ID()] = r
	}
	if h.ledger != nil {
		h.ledger.Retain(h.Kind(), func(name string) bool { return recorded[name] })
	}
	return live, nil
}

// parseID returns the bare address that an ID stands for.
func parseID(id resource.ID) (netip.Addr, error) {
	a, err := netip.ParseAddr(id.Name)
	if err != nil {
		return netip.Addr{}, fmt.Errorf("%s is not an address: %w", id, err)
	}
	return a, nil
}
