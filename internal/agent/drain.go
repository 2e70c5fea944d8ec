package agent

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/hareconcile/hareconcile/internal/control"
	"github.com/hareconcile/hareconcile/internal/drain"
	"github.com/hareconcile/hareconcile/internal/spec"
	"github.com/hareconcile/hareconcile/reconcile"
	"github.com/hareconcile/hareconcile/reconcile/resource"
)

// loadDrains takes over what people ordered of an earlier agent. Without it servers that are
// being worked on would get connections again, so a file that cannot be read is an error.
func (a *Agent) loadDrains() error {
	list, err := a.cfg.Drains.Load()
	if err != nil {
		return fmt.Errorf("load drains: %w; remove the file if no server of this node is drained", err)
	}
	for _, o := range list {
		a.orders.set(o, false)
	}
	a.facts.Drains = a.orders.facts()
	return nil
}

// Drain takes a server out of its pool on this node, or back. The order is on disk before
// anything changes.
func (a *Agent) Drain(ctx context.Context, r control.DrainRequest) (control.DrainResult, error) {
	var res control.DrainResult
	if !a.mayStore(ctx) { // the next order is judged by what this one made
		return res, ctx.Err()
	}
	defer func() { <-a.storing }()
	var (
		next orderBook
		o    drain.Order
		err  error
	)
	e := a.do(ctx, func(context.Context) {
		if o, err = a.order(r); err == nil {
			next = maps.Clone(a.orders)
			next.set(o, r.Cancel)
		}
	})
	if err := cmp.Or(e, err); err != nil {
		return res, err
	}
	if err := a.cfg.Drains.Save(next.list()); err != nil {
		return res, fmt.Errorf("the drain was not begun, because it cannot be kept: %w", err)
	}
	// It is on disk: it counts, even if nobody waits for the answer any more.
	e = a.do(context.WithoutCancel(ctx), func(ctx context.Context) {
		a.orders.set(o, r.Cancel)
		a.facts.Drains = a.orders.facts()
		if a.dear() {
			a.react(ctx, func() (reconcile.Target, error) { return a.part([]reconcile.ServerRef{o.Server}) })
		} else {
			a.pass(ctx)
		}
		a.publishNow() // whoever hears of the order sees it in the status
		res.Drains = a.drains()
	})
	return res, e
}

// mayStore waits until nobody else writes the drains to disk; false if ctx ends before.
func (a *Agent) mayStore(ctx context.Context) bool {
	select {
	case a.storing <- struct{}{}:
		return true
	case <-ctx.Done():
		return false
	}
}

// keepRenamed writes the drains to disk if a revision gave their servers other names.
func (a *Agent) keepRenamed(ctx context.Context) error {
	if !a.mayStore(ctx) {
		return nil
	}
	defer func() { <-a.storing }()
	var next orderBook
	err := a.do(ctx, func(context.Context) {
		if a.renamed {
			next = maps.Clone(a.orders)
		}
		a.renamed = false
	})
	if err != nil || next == nil {
		return nil // the agent stops, or there is nothing to do
	}
	if err = a.cfg.Drains.Save(next.list()); err != nil {
		_ = a.do(ctx, func(context.Context) { a.renamed = true }) // but for an agent that stops
	}
	return err
}

// An orderBook holds the drains that people ordered, by server.
type orderBook map[reconcile.ServerRef]drain.Order

func (b orderBook) set(o drain.Order, cancel bool) {
	if cancel {
		delete(b, o.Server)
	} else {
		b[o.Server] = o
	}
}

func (b orderBook) list() []drain.Order {
	return slices.SortedFunc(maps.Values(b), func(a, b drain.Order) int { return cmp.Compare(a.Server, b.Server) })
}

func (b orderBook) facts() map[reconcile.ServerRef]time.Duration {
	out := make(map[reconcile.ServerRef]time.Duration, len(b))
	for ref, o := range b {
		out[ref] = time.Duration(o.Grace)
	}
	return out
}

// order returns what r orders, unless it is refused.
func (a *Agent) order(r control.DrainRequest) (drain.Order, error) {
	if a.rev == nil {
		return drain.Order{}, errNotReady
	}
	if o, ordered := a.orders[r.Server]; r.Cancel && ordered {
		return o, nil // also of a server that the cluster file has no more, and may have again
	}
	pool, err := control.JudgeDrain(r, control.Scene{Cluster: a.rev.Cluster, Services: a.directed(a.rev.Cluster), Drains: a.drains(), Weight: a.serving})
	if err != nil {
		return drain.Order{}, err
	}
	o, again := a.orders[r.Server]
	if !again {
		o = drain.Order{Server: r.Server, Since: time.Now().UTC()}
	}
	o.Grace = resource.Duration(r.Patience(pool))
	return o, nil
}

// serving returns the weight with which a server takes new connections once it started; 0
// if it takes none.
func (a *Agent) serving(p spec.Pool, s spec.Server) int {
	ref := reconcile.NewServerRef(p.Name, s.Name)
	_, ordered := a.orders[ref]
	if ordered || s.Draining || !a.facts.Verdict(p, s).Serves() {
		return 0
	}
	if w, ok := a.facts.Weights[ref]; ok {
		return w
	}
	return s.Weight
}

// drains returns how far each drain is, sorted by server.
func (a *Agent) drains() []control.Drain {
	var out []control.Drain
	for _, p := range a.rev.Cluster.Pools {
		for _, s := range p.Servers {
			ref := reconcile.NewServerRef(p.Name, s.Name)
			o, ordered := a.orders[ref]
			if !ordered && !s.Draining {
				continue
			}
			out = append(out, a.drain(p, s, ref, o))
		}
	}
	out = append(out, a.removed()...)
	slices.SortFunc(out, func(a, b control.Drain) int { return cmp.Compare(a.Server, b.Server) })
	return out
}

// removed returns the servers that leave because the cluster file has them no more, each
// once for all services of a virtual server.
func (a *Agent) removed() []control.Drain {
	if len(a.departures) == 0 {
		return nil
	}
	pools, services := a.rev.Cluster.PoolsByName(), map[resource.ServiceKey]spec.VirtualServer{}
	for _, vs := range a.directed(a.rev.Cluster) {
		for _, s := range vs.Services {
			services[reconcile.Key(s)] = vs
		}
	}
	found := map[reconcile.ServerRef]control.Drain{}
	for id, way := range a.departures {
		s, _ := a.live.Owned[id].(resource.IPVSServer)
		vs, ok := services[s.Service]
		listed := func(o spec.Server) bool { return reconcile.ServerID(s.Service, o) == id }
		if !ok || slices.ContainsFunc(pools[vs.Pool].Servers, listed) || slices.ContainsFunc(pools[vs.Sorry].Servers, listed) {
			continue
		}
		ref := reconcile.ServerRef(s.Address.Addr().String() + " of virtual_server." + vs.Name)
		d, again := found[ref]
		if !again {
			d = control.Drain{Server: ref, State: control.Draining, Removed: true, Since: way.Since, Until: way.Deadline}
		}
		d.Connections += way.Connections
		found[ref] = d
	}
	return slices.Collect(maps.Values(found))
}

// drain looks for the server in every service of its pool: it is out once it is out of all.
// A table that could not be read does not say so.
func (a *Agent) drain(p spec.Pool, s spec.Server, ref reconcile.ServerRef, o drain.Order) control.Drain {
	d := control.Drain{Server: ref, State: control.Drained, File: s.Draining, Since: o.Since, Until: o.Since.Add(time.Duration(o.Grace))}
	if a.live.Owned == nil || slices.Contains(a.live.Unobserved, resource.KindIPVSServer) {
		d.State = control.Draining
	}
	for _, vs := range a.rev.Cluster.VirtualServers {
		if vs.Pool != p.Name && vs.Sorry != p.Name {
			continue
		}
		for _, service := range vs.Services {
			id := reconcile.ServerID(reconcile.Key(service), s)
			if _, there := a.live.Owned[id]; !there {
				d.Connections += a.cutOff[id]
				continue
			}
			d.State = control.Draining
			d.Connections += a.live.Connections[id]
			if way, ok := a.departures[id]; ok && (way.Deadline.After(d.Until) || d.Since.IsZero()) {
				d.Since, d.Until = way.Since, way.Deadline
			}
		}
	}
	return d
}
