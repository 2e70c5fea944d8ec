package tunnel

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/hareconcile/hareconcile/reconcile"
	"github.com/hareconcile/hareconcile/reconcile/resource"
)

// Apply implements reconcile.Handler.
func (h *handler) Apply(_ context.Context, c reconcile.Change) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if c.Action == reconcile.Delete {
		return h.restore(c.ID)
	}
	t, ok := c.After.(resource.Tunnel)
	if !ok {
		return fmt.Errorf("%T is not a tunnel", c.After)
	}
	if err := check(t); err != nil {
		return err
	}
	return h.make(t)
}

// Preflight implements reconcile.Preflighter.
func (h *handler) Preflight(_ context.Context, cs []reconcile.Change) []error {
	errs := make([]error, len(cs))
	s, err := h.host.look()
	for i, c := range cs {
		t, ok := c.After.(resource.Tunnel)
		switch {
		case !ok:
		case err != nil:
			errs[i] = err
		case t.Port != 0 && s.ports == nil:
			errs[i] = errNoFOU
		default:
			errs[i] = s.refuses(t)
		}
	}
	return errs
}

// make makes what the host lacks of t.
func (h *handler) make(t resource.Tunnel) error {
	s, err := h.host.look()
	if err != nil {
		return err
	}
	if err := s.refuses(t); err != nil {
		return err
	}
	before, err := h.before(t, s)
	if err != nil {
		return err
	}
	text, err := json.Marshal(before)
	if err != nil {
		return err
	}
	if err := h.ledger.Record(t.ID(), string(text)); err != nil {
		return err
	}
	if want := fallback[t.Device]; s.devices[t.Device] != want {
		if err := h.host.set(t.Device, want); err != nil {
			return err
		}
	}
	if t.Port == 0 || s.ports[portOf(t)] != "" {
		return nil
	}
	return h.host.open(portOf(t), true)
}

// before returns what was there before t, and before those of ours that share with it.
func (h *handler) before(t resource.Tunnel, s state) (prior, error) {
	p := prior{Device: s.devices[t.Device], Port: t.Port != 0 && s.ports[portOf(t)] != ""}
	records, err := h.records()
	for id, r := range records {
		if id == t.ID() {
			continue
		}
		device, port := r.shares(t)
		if device {
			p.Device = r.prior.Device
		}
		if port {
			p.Port = r.prior.Port
		}
	}
	return p, err
}

// restore leaves what was there before, unless another tunnel of ours needs it.
func (h *handler) restore(id resource.ID) error {
	records, err := h.records()
	if err != nil {
		return err
	}
	mine, ours := records[id]
	if !ours {
		return nil
	}
	s, err := h.host.look()
	if err != nil {
		return err
	}
	keepDevice, keepPort := false, mine.tunnel.Port == 0 || mine.prior.Port
	for other, r := range records {
		if device, port := r.shares(mine.tunnel); other != id {
			keepDevice, keepPort = keepDevice || device, keepPort || port
		}
	}
	if !keepPort && s.ports[portOf(mine.tunnel)] == "gue" {
		if err := h.host.open(portOf(mine.tunnel), false); err != nil {
			return err
		}
	}
	name := mine.tunnel.Device
	if have, exists := s.devices[name]; exists && !keepDevice && have != mine.prior.Device && have.Kind == fallback[name].Kind {
		if err := h.host.set(name, mine.prior.Device); err != nil {
			return err
		}
	}
	return h.ledger.Forget(id)
}
