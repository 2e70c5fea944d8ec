package ipvs

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"syscall"

	"github.com/cloudflare/ipvs"

	"github.com/hareconcile/hareconcile/internal/ledger"
	"github.com/hareconcile/hareconcile/reconcile"
	"github.com/hareconcile/hareconcile/reconcile/resource"
)

// services owns the virtual services that the ledger lists.
type services struct {
	table  *table
	ledger *ledger.Ledger
}

var _ reconcile.Handler = (*services)(nil)

// NewServices returns the handler of virtual services.
func NewServices(l *ledger.Ledger) reconcile.Handler {
	return &services{&table{dial: ipvs.New}, l}
}

// Kind implements reconcile.Handler.
func (h *services) Kind() resource.Kind { return resource.KindIPVSService }

// Observe implements reconcile.Handler. A kernel without IPVS has an empty table, unless
// the ledger says that it had ours.
func (h *services) Observe(context.Context) (reconcile.Live, error) {
	live := reconcile.Live{Owned: resource.Set{}, Foreign: resource.Set{}}
	list, err := h.table.services()
	if errors.Is(err, ErrNoModule) && len(h.ledger.IDs(h.Kind())) == 0 {
		return live, nil
	}
	if err != nil {
		return reconcile.Live{}, err
	}
	for _, s := range list {
		if h.ledger.Has(s.ID()) {
			live.Owned[s.ID()] = s
		} else {
			live.Foreign[s.ID()] = s
		}
	}
	forgetGone(h.ledger, h.Kind(), live)
	return live, nil
}

// Apply implements reconcile.Handler.
func (h *services) Apply(_ context.Context, c reconcile.Change) error {
	v := c.After
	if c.Action == reconcile.Delete {
		v = c.Before
	}
	s, ok := v.(resource.IPVSService)
	if !ok {
		return fmt.Errorf("%T is not an IPVS service", v)
	}
	switch c.Action {
	case reconcile.Delete:
		return h.delete(s)
	case reconcile.Adopt:
		return h.adopt(s)
	case reconcile.Update:
		return h.takeOver(s)
	}
	return h.create(s)
}

func (h *services) create(s resource.IPVSService) error {
	if _, err := h.table.open(); err != nil {
		return err
	}
	ours := h.ledger.Has(s.ID())
	if err := h.ledger.Record(s.ID(), ""); err != nil {
		return err
	}
	err := h.table.do(func(c ipvs.Client) error { return c.CreateService(kernelService(s.ServiceKey, s.Scheduler)) })
	switch {
	case err == nil:
		// A new service has no servers: what the ledger knows of them is of an earlier one.
		return h.forgetServers(s.ServiceKey)
	case exists(err) && ours:
		return h.update(s)
	case exists(err):
		if have, err := h.find(s.ServiceKey); err != nil || have == s {
			return err
		}
		err = errors.New("somebody else made it meanwhile")
	case errors.Is(err, syscall.ENOENT):
		err = fmt.Errorf("the kernel has no scheduler %q (module ip_vs_%s)", s.Scheduler, s.Scheduler)
	}
	err = fmt.Errorf("create IPVS service %s: %w", s.ServiceKey, err)
	if !ours {
		err = errors.Join(err, h.ledger.Forget(s.ID()))
	}
	return err
}

// takeOver changes s, which is ours or, where the cluster file says adopt, becomes so.
func (h *services) takeOver(s resource.IPVSService) error {
	if err := h.ledger.Record(s.ID(), ""); err != nil {
		return err
	}
	return h.update(s)
}

func (h *services) update(s resource.IPVSService) error {
	err := h.table.do(func(c ipvs.Client) error { return c.UpdateService(kernelService(s.ServiceKey, s.Scheduler)) })
	if err != nil {
		return fmt.Errorf("change IPVS service %s to scheduler %s: %w", s.ServiceKey, s.Scheduler, err)
	}
	return nil
}

func (h *services) adopt(s resource.IPVSService) error {
	have, err := h.find(s.ServiceKey)
	if err == nil && have != s {
		err = errors.New("it was changed meanwhile")
	}
	if err != nil {
		return fmt.Errorf("adopt IPVS service %s: %w", s.ServiceKey, err)
	}
	return h.ledger.Record(s.ID(), "")
}

// delete takes s out of the table, and with it every server that it still has.
func (h *services) delete(s resource.IPVSService) error {
	if !h.ledger.Has(s.ID()) {
		return nil
	}
	err := h.table.do(func(c ipvs.Client) error { return c.RemoveService(kernelService(s.ServiceKey, "")) })
	if err != nil && !gone(err) {
		return fmt.Errorf("delete IPVS service %s: %w", s.ServiceKey, err)
	}
	if err := h.forgetServers(s.ServiceKey); err != nil {
		return err
	}
	return h.ledger.Forget(s.ID())
}

func (h *services) forgetServers(key resource.ServiceKey) error {
	prefix := key.String() + " -> " // resource.IPVSServer.ID
	var ids []resource.ID
	for _, id := range h.ledger.IDs(resource.KindIPVSServer) {
		if strings.HasPrefix(id.Name, prefix) {
			ids = append(ids, id)
		}
	}
	return h.ledger.Forget(ids...)
}

// find returns the service of that key, or the zero value.
func (h *services) find(key resource.ServiceKey) (resource.IPVSService, error) {
	list, err := h.table.services()
	for _, s := range list {
		if s.ServiceKey == key {
			return s, nil
		}
	}
	return resource.IPVSService{}, err
}
