package ipvs

import (
	"context"
	"errors"
	"fmt"

	"github.com/cloudflare/ipvs"

	"github.com/hareconcile/hareconcile/internal/ledger"
	"github.com/hareconcile/hareconcile/reconcile"
	"github.com/hareconcile/hareconcile/reconcile/resource"
)

// servers owns the servers that the ledger lists.
type servers struct {
	table  *table
	ledger *ledger.Ledger
}

var _ reconcile.Handler = (*servers)(nil)

// NewServers returns the handler of the servers of virtual services.
func NewServers(l *ledger.Ledger) reconcile.Handler {
	return &servers{&table{dial: ipvs.New}, l}
}

// Kind implements reconcile.Handler.
func (h *servers) Kind() resource.Kind { return resource.KindIPVSServer }

// Observe implements reconcile.Handler. The servers of foreign services are foreign too:
// a plan that adopts a service adopts its servers with it.
func (h *servers) Observe(ctx context.Context) (reconcile.Live, error) {
	live := reconcile.Live{Owned: resource.Set{}, Foreign: resource.Set{}}
	list, err := h.table.services()
	if errors.Is(err, ErrNoModule) && len(h.ledger.IDs(h.Kind())) == 0 {
		return live, nil
	}
	if err != nil {
		return reconcile.Live{}, err
	}
	for _, service := range list {
		if err := ctx.Err(); err != nil {
			return reconcile.Live{}, err
		}
		found, err := h.table.servers(service.ServiceKey)
		if err != nil {
			return reconcile.Live{}, err
		}
		for _, s := range found {
			if h.ledger.Has(s.ID()) {
				live.Owned[s.ID()] = s
			} else {
				live.Foreign[s.ID()] = s
			}
		}
	}
	forgetGone(h.ledger, h.Kind(), live)
	return live, nil
}

// Apply implements reconcile.Handler.
func (h *servers) Apply(_ context.Context, c reconcile.Change) error {
	v := c.After
	if c.Action == reconcile.Delete {
		v = c.Before
	}
	s, ok := v.(resource.IPVSServer)
	if !ok {
		return fmt.Errorf("%T is not an IPVS server", v)
	}
	if c.Action == reconcile.Delete {
		return h.delete(s)
	}
	if _, err := h.table.open(); err != nil {
		return err
	}
	if !h.ledger.Has(resource.IPVSService{ServiceKey: s.Service}.ID()) {
		return fmt.Errorf("IPVS service %s is not ours: its servers stay as they are", s.Service)
	}
	switch c.Action {
	case reconcile.Adopt:
		return h.adopt(s)
	case reconcile.Update:
		return h.takeOver(s)
	}
	return h.create(s)
}

func (h *servers) create(s resource.IPVSServer) error {
	d, err := kernelServer(s)
	if err != nil {
		return err
	}
	ours := h.ledger.Has(s.ID())
	if err := h.ledger.Record(s.ID(), ""); err != nil {
		return err
	}
	err = h.table.do(func(c ipvs.Client) error { return c.CreateDestination(kernelService(s.Service, ""), d) })
	switch {
	case err == nil:
		return nil
	case exists(err) && ours:
		return h.update(s)
	case exists(err):
		if have, err := h.find(s); err != nil || have == s {
			return err
		}
		err = errors.New("somebody else made it meanwhile")
	}
	err = fmt.Errorf("add server %s to %s: %w", s.Address, s.Service, err)
	if !ours {
		err = errors.Join(err, h.ledger.Forget(s.ID()))
	}
	return err
}

func (h *servers) takeOver(s resource.IPVSServer) error {
	if err := h.ledger.Record(s.ID(), ""); err != nil {
		return err
	}
	return h.update(s)
}

func (h *servers) update(s resource.IPVSServer) error {
	d, err := kernelServer(s)
	if err != nil {
		return err
	}
	err = h.table.do(func(c ipvs.Client) error { return c.UpdateDestination(kernelService(s.Service, ""), d) })
	if err != nil {
		return fmt.Errorf("change server %s of %s: %w", s.Address, s.Service, err)
	}
	return nil
}

func (h *servers) adopt(s resource.IPVSServer) error {
	have, err := h.find(s)
	if err == nil && have != s {
		err = errors.New("it was changed meanwhile")
	}
	if err != nil {
		return fmt.Errorf("adopt server %s of %s: %w", s.Address, s.Service, err)
	}
	return h.ledger.Record(s.ID(), "")
}

func (h *servers) delete(s resource.IPVSServer) error {
	if !h.ledger.Has(s.ID()) {
		return nil
	}
	d := ipvs.Destination{Address: s.Address.Addr(), Port: s.Address.Port(), Family: family(s.Address.Addr())}
	err := h.table.do(func(c ipvs.Client) error { return c.RemoveDestination(kernelService(s.Service, ""), d) })
	if err != nil && !gone(err) {
		return fmt.Errorf("delete server %s of %s: %w", s.Address, s.Service, err)
	}
	return h.ledger.Forget(s.ID())
}

// find returns the server of s's service and address, or the zero value.
func (h *servers) find(s resource.IPVSServer) (resource.IPVSServer, error) {
	list, err := h.table.servers(s.Service)
	for _, have := range list {
		if have.Address == s.Address {
			return have, nil
		}
	}
	return resource.IPVSServer{}, err
}
