package reconciletest_test

import (
	"context"
	"testing"

	"github.com/hareconcile/hareconcile/reconcile"
	"github.com/hareconcile/hareconcile/reconcile/reconciletest"
	"github.com/hareconcile/hareconcile/reconcile/resource"
)

// table is a host that is a map.
type table struct{ live reconcile.Live }

func (h *table) Kind() resource.Kind { return resource.KindSysctl }

func (h *table) Observe(context.Context) (reconcile.Live, error) {
	return reconcile.Live{Owned: clone(h.live.Owned), Foreign: clone(h.live.Foreign)}, nil
}

func (h *table) Apply(_ context.Context, c reconcile.Change) error {
	switch c.Action {
	case reconcile.Adopt, reconcile.Update:
		delete(h.live.Foreign, c.ID)
		fallthrough
	case reconcile.Create:
		h.live.Owned[c.ID] = c.After
	case reconcile.Delete:
		delete(h.live.Owned, c.ID)
	}
	return nil
}

func clone(s resource.Set) resource.Set {
	out := resource.Set{}
	for k, v := range s {
		out[k] = v
	}
	return out
}

func TestAMapPasses(t *testing.T) {
	a, b := resource.Sysctl{Key: "a/a", Value: "1"}, resource.Sysctl{Key: "b/b", Value: "1"}
	b2, other := b, resource.Sysctl{Key: "c/c", Value: "1"}
	b2.Value = "2"
	h := &table{reconcile.Live{Owned: resource.Set{}, Foreign: reconciletest.Set(other)}}
	hs := []reconcile.Handler{h}
	reconciletest.Test(t, h, reconciletest.Set(a, b), reconciletest.Set(b2), reconciletest.Set(a, b2))
	changed := other
	changed.Value = "2"
	reconciletest.Conflict(t, hs, changed)
	reconciletest.Adopt(t, hs, other)
	h.live.Foreign = reconciletest.Set(other)
	reconciletest.TakeOver(t, hs, changed)
}
