package agent

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
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
	// eventPause is between two looks for the sake of the kernel's events, which others may
	// cause by the thousand: the first is looked at at once.
	eventPause = 50 * time.Millisecond
	// costWindow is how many observations the cost is taken from: the cheapest tells what
	// looking costs, the others also what else the machine was doing.
	costWindow = 8
)

// loop is the goroutine that owns the agent's state.
func (a *Agent) loop(ctx context.Context) error {
	defer close(a.over)
	poll := time.NewTimer(0)
	defer poll.Stop()
	show := time.NewTimer(time.Hour) // a status that had to wait
	defer show.Stop()
	trial := time.NewTimer(0) // an attempt whose time comes
	defer trial.Stop()
	late := false // an event is still to be looked after
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-a.inbox.wake:
			n := a.inbox.take()
			a.absorb(n)
			switch {
			case !n.matters():
			case n.nothingElse() && time.Since(a.event) < eventPause:
				late = true
				poll.Reset(eventPause - time.Since(a.event))
			case !n.kernel && a.dear():
				a.failures = 0
				a.react(ctx, n.decide(a)) // and the look that is due corrects it
			default:
				a.failures = 0
				if n.kernel {
					a.mend(ctx)
				}
				a.pass(ctx)
				poll.Reset(a.nextPoll())
			}
		case <-poll.C:
			if late {
				late = false
				a.mend(ctx)
			}
			a.pass(ctx)
			poll.Reset(a.nextPoll())
		case f := <-a.requests: // does not put polling off, however many come
			f(ctx)
		case <-show.C:
		case <-trial.C:
		}
		if wait := a.advanceAttempt(ctx); wait > 0 {
			trial.Reset(wait)
		}
		a.tellPeers()
		if wait := a.publish(); wait > 0 {
			show.Reset(wait)
		}
	}
}

var errStopped = errors.New("the agent is stopping")

// do runs f on the loop's goroutine and waits for it.
func (a *Agent) do(ctx context.Context, f func(context.Context)) error {
	done := make(chan struct{}) // closed by the loop when f returned
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-a.over:
		return errStopped
	case a.requests <- func(ctx context.Context) { f(ctx); close(done) }:
	}
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-done:
		return nil
	}
}

// nextPoll returns how long to wait: longer while observing is dear.
func (a *Agent) nextPoll() time.Duration {
	cost := slices.Min(a.cost[:min(max(a.looks, 1), costWindow)])
	return max(pollInterval, pollCost*cost)
}

// pass brings the node from what it is to what it should be.
func (a *Agent) pass(ctx context.Context) {
	if a.rev == nil {
		return
	}
	target, err := a.desired()
	if err != nil {
		a.fail(err)
		return
	}
	plan, observeErr := a.observe(ctx, target)
	if !a.seeded {
		if target, err = a.seedLate(); err != nil {
			a.fail(err)
			return
		}
		plan = reconcile.Diff(a.live, target)
	}
	a.follows(target)
	a.expireSuspension()
	plan = a.restrain(a.withheld(plan))
	a.conflicts = plan.Conflicts
	switch {
	case a.cfg.PlanOnly:
		a.settle(planOnly(plan), observeErr)
	case a.tooEarly(plan):
		a.settle(nil, errors.Join(observeErr, a.stuckErr))
	default:
		err := a.enact(ctx, plan, target)
		a.settle(nil, errors.Join(observeErr, err))
	}
}

// observe reads live state and returns what is to do. The plan is good for the kinds that
// could be read even if err is not nil.
func (a *Agent) observe(ctx context.Context, t reconcile.Target) (reconcile.Plan, error) {
	start := time.Now()
	live, err := a.look(ctx, a.handlers())
	if err == nil { // waiting for what does not answer is no cost
		a.cost[a.looks%costWindow] = time.Since(start)
		a.looks++
	}
	a.lookAside(&live)
	a.live = live
	return reconcile.Diff(live, t), err
}

// mend puts addresses back without looking at what sends no events, which takes several
// times as long; the pass that follows does, and reports what went wrong here. Sysctls are
// looked at, because an address must not come before them.
func (a *Agent) mend(ctx context.Context) {
	a.event = time.Now()
	if a.rev == nil || a.cfg.PlanOnly || a.suspension != nil || a.live.Owned == nil {
		return // the first pass is still to come
	}
	target, err := a.desired()
	if err != nil {
		return
	}
	var quick []reconcile.Handler
	var others []resource.Kind
	for _, h := range a.handlers() {
		if k := h.Kind(); k == resource.KindSysctl || k == resource.KindAddress {
			quick = append(quick, h)
		} else {
			others = append(others, k)
		}
	}
	if a.work != nil {
		others = slices.AppendSeq(others, maps.Keys(a.work.kinds))
	}
	live, err := a.look(ctx, quick)
	if err != nil {
		return
	}
	live.Unobserved = others
	plan, _ := a.corrections(reconcile.Diff(live, target))
	_ = plan.Apply(ctx, quick, a.applied)
}

// carryOut makes plan's changes and tells made of each.
func (a *Agent) carryOut(ctx context.Context, plan reconcile.Plan, t reconcile.Target, made func(reconcile.Change)) error {
	done := map[resource.ID]bool{}
	told := time.Now()
	err := plan.Apply(ctx, a.cfg.Handlers, func(c reconcile.Change) {
		done[c.ID] = true
		a.applied(c)
		made(c)
		if time.Since(told) > progressStep {
			told = time.Now()
			a.tellProgress(&control.Progress{Done: len(done), Total: len(plan.Changes), Kind: c.ID.Kind})
		}
	})
	a.conclude(plan, done, t, err)
	return err
}

// enact carries plan out, at once or beside the loop.
func (a *Agent) enact(ctx context.Context, plan reconcile.Plan, t reconcile.Target) error {
	if long(plan) {
		a.begin(ctx, plan, t)
		return nil
	}
	return a.carryOut(ctx, plan, t, func(reconcile.Change) {})
}

// conclude keeps what of plan could not be made for later, ever more slowly.
func (a *Agent) conclude(plan reconcile.Plan, done map[resource.ID]bool, t reconcile.Target, err error) {
	a.stuckErr = err
	a.stuck = slices.DeleteFunc(slices.Clone(plan.Changes), func(c reconcile.Change) bool { return done[c.ID] })
	switch {
	case err == nil && a.work == nil:
		a.failures = 0
	case err != nil:
		a.failures++
		a.retry = time.Now().Add(min(pollInterval<<min(a.failures, 10), retryMax))
	}
	a.noteRight(t)
}

// tooEarly reports whether plan is just what failed a moment ago. Anything else to do, such
// as other drift, is done at once and tries the failed changes again with it.
func (a *Agent) tooEarly(plan reconcile.Plan) bool {
	return a.failures > 0 && time.Now().Before(a.retry) && slices.Equal(plan.Changes, a.stuck)
}

// applied takes a change that was made into the kept live state, and logs it.
func (a *Agent) applied(c reconcile.Change) {
	if c.Action == reconcile.Delete {
		delete(a.live.Owned, c.ID)
	} else {
		a.live.Owned[c.ID] = c.After
		delete(a.live.Foreign, c.ID) // a fact may decide on it before the next look
	}
	drift := a.isDrift(c)
	a.cfg.Log.Info("change applied", "id", c.ID, "action", c.Action, "drift", drift)
	if drift {
		a.noteDrift(c)
	}
}

// settle records how a pass ended.
func (a *Agent) settle(pending, err error) {
	switch {
	case err != nil:
		a.fail(err)
	case a.work != nil:
		a.atWork()
	case pending != nil:
		a.phase, a.message = control.Degraded, pending.Error()
	case a.inTheWay() > 0:
		a.phase = control.Degraded
		a.message = fmt.Sprintf("%d objects that somebody else made are in the way", a.inTheWay())
	default:
		if a.phase != control.Converged {
			a.cfg.Log.Info("converged", "revision", a.rev.Short())
		}
		if a.converged.IsZero() {
			a.converged = time.Now()
		}
		a.phase, a.message = control.Converged, ""
	}
}

// inTheWay counts the objects that somebody else made. What was set by hand is in nobody's way.
func (a *Agent) inTheWay() int {
	n := 0
	for _, c := range a.conflicts {
		if !c.ByHand() {
			n++
		}
	}
	return n
}

func (a *Agent) fail(err error) {
	message := brief(err)
	if a.phase != control.Degraded || a.message != message {
		a.cfg.Log.Warn("not converged", "revision", a.rev.Short(), "err", message)
	}
	a.phase, a.message = control.Degraded, message
}

// maxReasons is how many of many errors a message tells.
const maxReasons = 5

// brief returns err's text, of many errors the first ones: ten thousand services may fail for
// one reason.
func brief(err error) string {
	lines := strings.Split(err.Error(), "\n")
	if len(lines) > maxReasons {
		lines = append(lines[:maxReasons], fmt.Sprintf("and %d more", len(lines)-maxReasons))
	}
	return strings.Join(lines, "\n")
}

// planOnly returns what stands between a plan-only agent and convergence.
func planOnly(p reconcile.Plan) error {
	if len(p.Changes) == 0 {
		return nil
	}
	return fmt.Errorf("plan-only: hareconcile apply has %d change(s) to make", len(p.Changes))
}
