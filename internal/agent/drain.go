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
	orders, err := a.cfg.Drains.Load()
	if err != nil {
		return fmt.Errorf("load drains: %w; remove the file if no server of this node is drained", err)
	}
	for _, o := range orders {
		a.orders[o.Server] = o
		a.facts.Drains[o.Server] = time.Duration(o.Grace)
	}
	return nil
}

// Drain takes a server out of its pool on this node, or back. The order is on disk before
// anything changes.
func (a *Agent) Drain(ctx context.Context, r control.DrainRequest) (control.DrainResult, error) {
	var (
		orders map[reconcile.ServerRef]drain.Order
		err    error
		res    control.DrainResult
	)
	select { // the next order is judged by what this one made
	case a.saving <- struct{}{}:
		defer func() { <-a.saving }()
	case <-ctx.Done():
		return res, ctx.Err()
	}
	if e := a.do(ctx, func(context.Context) { orders, err = a.order(r) }); e != nil {
		return res, e
	}
	if err != nil {
		return res, err
	}
	list := slices.SortedFunc(maps.Values(orders), func(a, b drain.Order) int { return cmp.Compare(a.Server, b.Server) })
	if err := a.cfg.Drains.Save(list); err != nil {
		return res, fmt.Errorf("the drain was not begun, because it cannot be kept: %w", err)
	}
	e := a.do(ctx, func(ctx context.Context) {
		a.orders = orders
		clear(a.facts.Drains)
		for ref, o := range orders {
			a.facts.Drains[ref] = time.Duration(o.Grace)
		}
		a.pass(ctx)
		res.Drains = a.drains()
	})
	return res, e
}

// order returns the orders as they are to be after r.
func (a *Agent) order(r control.DrainRequest) (map[reconcile.ServerRef]drain.Order, error) {
	if a.rev == nil {
		return nil, errNotReady
	}
	pool, err := control.JudgeDrain(r, a.rev.Cluster, a.drains(), a.serving)
	if err != nil {
		return nil, err
	}
	orders := maps.Clone(a.orders)
	if r.Cancel {
		delete(orders, r.Server)
		return orders, nil
	}
	o := orders[r.Server]
	if o.Server == "" {
		o = drain.Order{Server: r.Server, Since: time.Now().UTC()}
	}
	o.Grace = resource.Duration(r.Patience(pool))
	orders[r.Server] = o
	return orders, nil
}

// serving reports whether a server takes new connections.
func (a *Agent) serving(p spec.Pool, s spec.Server) bool {
	_, ordered := a.orders[reconcile.NewServerRef(p.Name, s.Name)]
	return a.facts.Verdict(p, s).Serves() && !ordered && !s.Draining && s.Weight > 0
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
	slices.SortFunc(out, func(a, b control.Drain) int { return cmp.Compare(a.Server, b.Server) })
	return out
}

// drain looks for the server in every service of its pool: it is out once it is out of all.
func (a *Agent) drain(p spec.Pool, s spec.Server, ref reconcile.ServerRef, o drain.Order) control.Drain {
	d := control.Drain{Server: ref, State: control.Drained, File: s.Draining, Since: o.Since, Until: o.Since.Add(time.Duration(o.Grace))}
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
