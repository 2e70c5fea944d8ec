package agent

import (
	"context"
	"maps"
	"slices"

	"github.com/hareconcile/hareconcile/internal/control"
	"github.com/hareconcile/hareconcile/reconcile"
	"github.com/hareconcile/hareconcile/reconcile/resource"
)

// lengthy are the kinds of which one change may take many seconds: haproxy judges a file,
// and a new worker starts. A plan with one of them is carried out beside the loop, which goes
// on with what it has in hand of other kinds.
var lengthy = map[resource.Kind]bool{
	resource.KindHAProxyMap: true, resource.KindHAProxyCertificate: true,
	resource.KindHAProxyFile: true, resource.KindHAProxyServer: true,
}

// A work is a plan that is being carried out beside the loop.
type work struct {
	plan   reconcile.Plan
	target reconcile.Target
	kinds  map[resource.Kind]bool // that the loop leaves alone meanwhile
	done   chan struct{}          // closed when it is over
	// What follows belongs to the work until done.
	made []reconcile.Change
	err  error
}

// long reports whether plan is carried out beside the loop.
func long(plan reconcile.Plan) bool {
	return slices.ContainsFunc(plan.Changes, func(c reconcile.Change) bool { return lengthy[c.ID.Kind] })
}

// begin carries out plan beside the loop. All its kinds are the work's until it is over: the
// order of a plan is its own, and no handler is used twice at a time.
func (a *Agent) begin(ctx context.Context, plan reconcile.Plan, t reconcile.Target) *work {
	w := &work{plan: plan, target: t, kinds: maps.Clone(lengthy), done: make(chan struct{})}
	for _, c := range plan.Changes {
		w.kinds[c.ID.Kind] = true
	}
	a.work = w
	a.live.Unobserved = append(a.live.Unobserved, slices.Collect(maps.Keys(w.kinds))...) // also for facts that come before the next look
	a.works.Go(func() {
		defer close(w.done)
		w.err = plan.Apply(ctx, a.cfg.Handlers, func(c reconcile.Change) { w.made = append(w.made, c) })
		_ = a.do(ctx, func(ctx context.Context) { a.finish(ctx, w) }) // but for an agent that stops
	})
	return w
}

// finish takes over what w made, and looks at all that it had in hand.
func (a *Agent) finish(ctx context.Context, w *work) {
	a.work = nil
	done := map[resource.ID]bool{}
	for _, c := range w.made {
		done[c.ID] = true
		a.applied(c)
	}
	a.conclude(w.plan, done, w.target, w.err)
	a.pass(ctx)
}

// handlers returns those of the kinds that no work has in hand.
func (a *Agent) handlers() []reconcile.Handler {
	if a.work == nil {
		return a.cfg.Handlers
	}
	return slices.DeleteFunc(slices.Clone(a.cfg.Handlers), func(h reconcile.Handler) bool { return a.work.kinds[h.Kind()] })
}

// lookAside adds to live, of a look at the other kinds, what was known of those in hand.
func (a *Agent) lookAside(live *reconcile.Live) {
	if a.work == nil {
		return
	}
	for id, v := range a.live.Owned {
		if a.work.kinds[id.Kind] {
			live.Owned[id] = v
		}
	}
	for id, n := range a.live.Connections {
		if a.work.kinds[id.Kind] {
			live.Connections[id] = n
		}
	}
	live.Unobserved = slices.AppendSeq(live.Unobserved, maps.Keys(a.work.kinds))
}

// atWork shows that the node is on its way, in place of how the rest of it is.
func (a *Agent) atWork() {
	a.phase, a.message = control.Applying, "applying "+a.rev.Short()
}

// doIdle is do once no work is under way: f may use every handler.
func (a *Agent) doIdle(ctx context.Context, f func(context.Context)) error {
	for {
		var w *work
		err := a.do(ctx, func(ctx context.Context) {
			if w = a.work; w == nil {
				f(ctx)
			}
		})
		if w == nil || err != nil {
			return err
		}
		select {
		case <-w.done:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
