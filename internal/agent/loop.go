package agent

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/hareconcile/hareconcile/internal/control"
	"github.com/hareconcile/hareconcile/reconcile"
	"github.com/hareconcile/hareconcile/reconcile/resource"
)

// The pace of polling for what sends no events (IPVS, sysctls), and of trying again.
const (
	pollInterval = 500 * time.Millisecond
	pollCost     = 20 // a poll may take one part in so many of the time
	retryMax     = 30 * time.Second
	// costWindow is how many observations the cost is taken from: the cheapest tells what
	// looking costs, the others also what else the machine was doing.
	costWindow = 8
)

// loop is the goroutine that owns the agent's state.
func (a *Agent) loop(ctx context.Context) error {
	poll := time.NewTimer(0)
	defer poll.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-a.inbox.wake:
			n := a.inbox.take()
			a.absorb(n)
			if n.matters() {
				a.failures = 0
				a.pass(ctx)
			}
		case <-poll.C:
			a.pass(ctx)
		case f := <-a.requests:
			f(ctx)
		}
		poll.Reset(a.nextPoll())
		a.publish()
	}
}

// do runs f on the loop's goroutine and waits for it.
func (a *Agent) do(ctx context.Context, f func(context.Context)) error {
	done := make(chan struct{}) // closed by the loop when f returned
	select {
	case <-ctx.Done():
		return ctx.Err()
	case a.requests <- func(ctx context.Context) { f(ctx); close(done) }:
	}
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-done:
		return nil
	}
}

// nextPoll returns how long to wait: longer while observing is dear, and after failures.
func (a *Agent) nextPoll() time.Duration {
	cost := slices.Min(a.cost[:min(max(a.looks, 1), costWindow)])
	d := max(pollInterval, pollCost*cost)
	for range min(a.failures, 10) {
		d = min(2*d, retryMax)
	}
	return d
}

// pass brings the node from what it is to what it should be.
func (a *Agent) pass(ctx context.Context) {
	if a.rev == nil {
		return
	}
	target, err := reconcile.Desired(a.rev.Cluster, a.cfg.Node, &a.facts)
	if err != nil {
		a.fail(err)
		return
	}
	plan, observeErr := a.observe(ctx, target)
	a.conflicts = plan.Conflicts
	if a.cfg.PlanOnly {
		a.settle(planOnly(plan), observeErr)
		return
	}
	a.apply(ctx, plan, target.Set, observeErr)
}

// observe reads live state and returns what is to do. The plan is good for the kinds that
// could be read even if err is not nil.
func (a *Agent) observe(ctx context.Context, t reconcile.Target) (reconcile.Plan, error) {
	start := time.Now()
	live, err := reconcile.Observe(ctx, a.cfg.Handlers)
	a.cost[a.looks%costWindow] = time.Since(start)
	a.looks++
	a.live = live
	return reconcile.Diff(live, t), err
}

// apply carries out plan, counting what others had changed as drift.
func (a *Agent) apply(ctx context.Context, plan reconcile.Plan, want resource.Set, observeErr error) {
	err := plan.Apply(ctx, a.cfg.Handlers, func(c reconcile.Change) { a.applied(c) })
	if a.lastWant == nil || err == nil {
		a.lastWant = maps.Clone(want)
	}
	if len(plan.Changes) > 0 {
		a.refresh(plan)
	}
	a.settle(nil, errors.Join(observeErr, err))
}

// applied logs a change that was made.
func (a *Agent) applied(c reconcile.Change) {
	drift := a.isDrift(c)
	a.cfg.Log.Info("change applied", "id", c.ID, "action", c.Action, "drift", drift)
	if drift {
		a.countDrift(c.ID.String(), c.Action.String())
	}
}

// refresh makes the kept live state tell what was just done, for status.
func (a *Agent) refresh(plan reconcile.Plan) {
	for _, c := range plan.Changes {
		if c.Action == reconcile.Delete {
			delete(a.live.Owned, c.ID)
		} else {
			a.live.Owned[c.ID] = c.After
		}
	}
}

// settle records how a pass ended.
func (a *Agent) settle(pending, err error) {
	switch {
	case err != nil:
		a.fail(err)
	case pending != nil:
		a.phase, a.message, a.failures = control.Degraded, pending.Error(), 0
	case len(a.conflicts) > 0:
		a.phase, a.failures = control.Degraded, 0
		a.message = fmt.Sprintf("%d objects that somebody else made are in the way", len(a.conflicts))
	default:
		if a.phase != control.Converged {
			a.converged = time.Now()
			a.cfg.Log.Info("converged", "revision", a.rev.Short())
		}
		a.phase, a.message, a.failures = control.Converged, "", 0
		a.remember()
	}
}

// remember hands a revision that has converged for the first time to the store.
func (a *Agent) remember() {
	if a.saved {
		return
	}
	a.saved = true
	select {
	case <-a.save: // an older one that was not written yet
	default:
	}
	a.save <- a.rev
}

func (a *Agent) fail(err error) {
	if a.phase != control.Degraded || a.message != err.Error() {
		a.cfg.Log.Warn("not converged", "revision", a.rev.Short(), "err", err)
	}
	a.phase, a.message = control.Degraded, err.Error()
	a.failures++
}

// planOnly returns what stands between a plan-only agent and convergence.
func planOnly(p reconcile.Plan) error {
	if p.Empty() {
		return nil
	}
	return fmt.Errorf("plan-only: %d changes wait for hareconcile apply", len(p.Changes))
}
