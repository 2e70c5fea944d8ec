package address

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/hareconcile/hareconcile/internal/sys"
	"github.com/hareconcile/hareconcile/reconcile"
	"github.com/hareconcile/hareconcile/reconcile/resource"
)

// Apply implements reconcile.Handler.
func (h *handler) Apply(_ context.Context, c reconcile.Change) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if c.Action == reconcile.Delete {
		return h.deleteOthers(c.ID, nil)
	}
	want, ok := c.After.(resource.Address)
	if !ok {
		return fmt.Errorf("%T is not an address", c.After)
	}
	if c.Action == reconcile.Adopt {
		return h.adopt(want)
	}
	if before, ok := c.Before.(resource.Address); ok && c.Action == reconcile.Update && before.Device != "" {
		if err := h.takeOver(before); err != nil {
			return err
		}
	}
	if err := h.add(want); err != nil {
		return err
	}
	return h.deleteOthers(c.ID, &want) // what the address was before, once it is the new
}

// takeOver makes what the address was ours, if it is not: the cluster file says adopt.
func (h *handler) takeOver(before resource.Address) error {
	have, err := h.find(before)
	if err != nil || have == nil || have.owned {
		return err
	}
	return h.adopt(before)
}

// add makes want exist and be ours. One that somebody else made meanwhile stays theirs.
func (h *handler) add(want resource.Address) error {
	a := sys.Address{Prefix: want.Prefix, Device: want.Device, Proto: sys.AgentProto, Shared: want.Prefix.IsSingleIP()}
	have, err := h.find(want)
	switch {
	case err != nil:
		return err
	case have != nil && have.owned:
		return nil
	case have != nil:
		return fmt.Errorf("add %s to %s: somebody else added it meanwhile", want.Prefix, want.Device)
	}
	if h.ledger != nil {
		if err := h.ledger.Record(recordID(a), ""); err != nil {
			return err
		}
	}
	return sys.AddAddress(a)
}

// adopt marks want, which exists, as ours.
func (h *handler) adopt(want resource.Address) error {
	have, err := h.find(want)
	switch {
	case err != nil:
		return err
	case have == nil:
		return fmt.Errorf("adopt %s on %s: it is gone", want.Prefix, want.Device)
	case have.owned:
		return nil
	case h.ledger != nil:
		return h.ledger.Record(recordID(have.Address), "")
	}
	have.Proto = sys.AgentProto
	return sys.MarkAddress(have.Address)
}

// find returns the entry that equals want, or nil.
func (h *handler) find(want resource.Address) (*entry, error) {
	entries, err := h.list()
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		if e.resource() == want {
			return &e, nil
		}
	}
	return nil, nil
}

// deleteOthers deletes what is ours of an address, but for keep.
func (h *handler) deleteOthers(id resource.ID, keep *resource.Address) error {
	addr, err := parseID(id)
	if err != nil {
		return err
	}
	entries, err := h.list()
	if err != nil {
		return err
	}
	for _, e := range entries {
		if !e.owned || e.Prefix.Addr() != addr || keep != nil && e.resource() == *keep {
			continue
		}
		if err := h.delete(e, entries); err != nil {
			return err
		}
		if h.ledger != nil {
			if err := h.ledger.Forget(recordID(e.Address)); err != nil {
				return err
			}
		}
	}
	return nil
}

// delete takes e off its device. The kernel deletes the later addresses of a subnet with
// the first one, unless promote_secondaries is set; those come back.
func (h *handler) delete(e entry, before []entry) error {
	err := sys.DeleteAddress(e.Address)
	if err != nil && !errors.Is(err, unix.EADDRNOTAVAIL) && !errors.Is(err, unix.ENODEV) {
		return err
	}
	if e.Prefix.IsSingleIP() {
		return nil // nothing shares its subnet
	}
	after, err := h.list()
	if err != nil {
		return err
	}
	for _, b := range before {
		same := func(a entry) bool { return a.Index == b.Index && a.Prefix == b.Prefix }
		if b.Index != e.Index || same(e) || b.Prefix.Masked() != e.Prefix.Masked() || slices.ContainsFunc(after, same) {
			continue
		}
		if err := sys.AddAddress(b.Address); err != nil && !errors.Is(err, unix.EEXIST) {
			return fmt.Errorf("put back what the kernel deleted with %s: %w", e.Prefix, err)
		}
	}
	return nil
}
