// Package vrrp handles the configuration of hareconcile-vrrpd through its socket.
package vrrp

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"

	"github.com/hareconcile/hareconcile/internal/channel"
	"github.com/hareconcile/hareconcile/reconcile"
	"github.com/hareconcile/hareconcile/reconcile/resource"
)

// element is a resource that vrrpd's configuration lists.
type element interface {
	comparable
	ID() resource.ID
}

// handler owns one of the lists in vrrpd's configuration. What vrrpd runs is ours
// altogether: it is configured by nobody else.
type handler[E element] struct {
	kind   resource.Kind
	socket string
	list   func(*channel.Config) *[]E
}

var (
	_ reconcile.Batcher = (*handler[resource.VRRPTracker])(nil)
	_ reconcile.Batcher = (*handler[resource.VRRPInstance])(nil)
)

// changing serialises changes of the handlers of this process: each reads the
// configuration, alters some elements and sends the whole.
var changing sync.Mutex

// NewTrackers returns the handler of trackers for the vrrpd behind socket.
func NewTrackers(socket string) reconcile.Handler {
	return &handler[resource.VRRPTracker]{resource.KindVRRPTracker, socket,
		func(c *channel.Config) *[]resource.VRRPTracker { return &c.Trackers }}
}

// NewInstances returns the handler of virtual routers for the vrrpd behind socket.
func NewInstances(socket string) reconcile.Handler {
	return &handler[resource.VRRPInstance]{resource.KindVRRPInstance, socket,
		func(c *channel.Config) *[]resource.VRRPInstance { return &c.Instances }}
}

// Kind implements reconcile.Handler.
func (h *handler[E]) Kind() resource.Kind { return h.kind }

// Observe implements reconcile.Handler. Where there is no socket there is no vrrpd, as on a
// real server, and nothing is there; a vrrpd that does not answer is an error.
func (h *handler[E]) Observe(ctx context.Context) (reconcile.Live, error) {
	live := reconcile.Live{Owned: resource.Set{}, Foreign: resource.Set{}}
	if _, err := os.Stat(h.socket); errors.Is(err, fs.ErrNotExist) {
		return live, nil
	}
	c, err := channel.Dial(ctx, h.socket)
	if err != nil {
		return reconcile.Live{}, err
	}
	defer c.Close()
	config, err := query(ctx, c)
	if err != nil {
		return reconcile.Live{}, err
	}
	for _, e := range *h.list(&config) {
		live.Owned[e.ID()] = e
	}
	return live, nil
}

// Apply implements reconcile.Handler.
func (h *handler[E]) Apply(ctx context.Context, change reconcile.Change) error {
	return h.ApplyAll(ctx, []reconcile.Change{change})
}

// ApplyAll implements reconcile.Batcher: what changes arrives at vrrpd as one configuration,
// so that hundreds of routers cost one message and move together.
func (h *handler[E]) ApplyAll(ctx context.Context, changes []reconcile.Change) error {
	changing.Lock()
	defer changing.Unlock()
	c, err := channel.Dial(ctx, h.socket)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("hareconcile-vrrpd does not run on this node: there is no %s", h.socket)
	}
	if err != nil {
		return err
	}
	defer c.Close()
	config, err := query(ctx, c)
	if err != nil {
		return err
	}
	list := h.list(&config)
	next, err := alter(*list, changes)
	if err != nil || slices.Equal(next, *list) {
		return err
	}
	*list = next
	r, err := c.Do(ctx, channel.Request{Config: &config})
	if r.Error != "" {
		return refusal{err}
	}
	return err
}

// A refusal is vrrpd's answer to a configuration: it lives, and another one may be good.
type refusal struct{ error }

// Is makes a refusal reconcile.ErrRefused.
func (refusal) Is(target error) bool { return target == reconcile.ErrRefused }

// query returns what vrrpd runs.
func query(ctx context.Context, c *channel.Client) (channel.Config, error) {
	r, err := c.Do(ctx, channel.Request{Query: &channel.Query{}})
	if err != nil {
		return channel.Config{}, err
	}
	if r.Status == nil {
		return channel.Config{}, errors.New("vrrpd answered a query without its status")
	}
	return r.Status.Config, nil
}

// alter returns list with the elements of cs replaced, added or left out.
func alter[E element](list []E, cs []reconcile.Change) ([]E, error) {
	next := make(map[resource.ID]E, len(list)+len(cs))
	for _, e := range list {
		next[e.ID()] = e
	}
	for _, c := range cs {
		if c.Action == reconcile.Delete {
			delete(next, c.ID)
			continue
		}
		e, ok := c.After.(E)
		if !ok {
			return nil, fmt.Errorf("%T is not a %T", c.After, e)
		}
		next[c.ID] = e
	}
	byName := func(a, b E) int { return strings.Compare(a.ID().Name, b.ID().Name) }
	return slices.SortedFunc(maps.Values(next), byName), nil
}
