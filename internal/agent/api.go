package agent

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/hareconcile/hareconcile/internal/control"
	"github.com/hareconcile/hareconcile/reconcile"
	"github.com/hareconcile/hareconcile/reconcile/planfile"
)

// errNotReady answers while there is no revision to plan.
var errNotReady = &control.APIError{Code: "not_ready", Message: "the agent has no revision yet; see hareconcile status"}

// Plan returns what the agent would do now for the revision in force.
func (a *Agent) Plan(ctx context.Context) (planfile.File, error) {
	var (
		f   planfile.File
		err error
	)
	if e := a.doIdle(ctx, func(ctx context.Context) { f, _, _, err = a.plan(ctx) }); e != nil {
		return planfile.File{}, e
	}
	return f, err
}

// Apply carries out the plan that a person approved, if it is still what the agent would do.
func (a *Agent) Apply(ctx context.Context, req control.ApplyRequest) (control.ApplyResult, error) {
	var (
		res control.ApplyResult
		err error
	)
	var w *work
	if e := a.doIdle(ctx, func(ctx context.Context) { res, w, err = a.applyApproved(ctx, req.Plan) }); e != nil {
		return control.ApplyResult{}, e
	}
	if w != nil {
		select {
		case <-w.done:
		case <-ctx.Done(): // it goes on all the same
			return control.ApplyResult{}, ctx.Err()
		}
		for _, c := range w.made {
			res.Made(c)
		}
		res.Fail(w.err)
	}
	return res, err
}

func (a *Agent) plan(ctx context.Context) (planfile.File, reconcile.Plan, reconcile.Target, error) {
	if a.rev == nil {
		return planfile.File{}, reconcile.Plan{}, reconcile.Target{}, errNotReady
	}
	target, err := a.desired()
	if err != nil {
		return planfile.File{}, reconcile.Plan{}, target, err
	}
	plan, err := a.observe(ctx, target)
	if err != nil {
		return planfile.File{}, plan, target, err
	}
	plan = a.shown(plan)
	f := planfile.New(planfile.Meta{
		Version: a.cfg.Version, Node: a.cfg.Node, BootID: a.cfg.BootID, Revision: planRevision(a),
		Digest: a.rev.Digest, Created: time.Now().UTC(), FactsKnown: true,
	}, plan, len(a.live.Owned), a.findings)
	problems := impossible(plan.Preflight(ctx, a.cfg.Handlers))
	f.Errors = planfile.Problems(problems)
	f.Classify(plan.Classify(ctx, a.cfg.Handlers), problems)
	return f, plan, target, nil
}

func (a *Agent) applyApproved(ctx context.Context, approved planfile.File) (control.ApplyResult, *work, error) {
	now, plan, target, err := a.plan(ctx)
	if err != nil {
		return control.ApplyResult{}, nil, err
	}
	if approved.Node != a.cfg.Node {
		return control.ApplyResult{}, nil, &control.APIError{Code: "invalid",
			Message: fmt.Sprintf("the plan is for node %q and this is %q", approved.Node, a.cfg.Node)}
	}
	if now.Fingerprint() != approved.Fingerprint() {
		return control.ApplyResult{}, nil, &control.APIError{Code: "stale",
			Message: "the plan is stale: the revision or the live state changed after it was made; plan again"}
	}
	if lines := now.ErrorLines(); len(lines) > 0 {
		return control.ApplyResult{}, nil, &control.APIError{Code: "invalid", Message: "the plan cannot work on this host: " + strings.Join(lines, "; ")}
	}
	a.conflicts = plan.Conflicts
	res := control.ApplyResult{Applied: []string{}}
	if long(plan) {
		w := a.begin(ctx, plan, target)
		a.settle(nil, nil)
		return res, w, nil
	}
	err = a.carryOut(ctx, plan, target, res.Made)
	res.Fail(err)
	a.settle(nil, err)
	return res, nil, nil
}

// Snapshot returns facts and live state, enough to plan for this node elsewhere.
func (a *Agent) Snapshot(ctx context.Context) (control.Snapshot, error) {
	var (
		live  reconcile.Live
		facts reconcile.Facts
		err   error
	)
	e := a.doIdle(ctx, func(ctx context.Context) {
		live, err = a.look(ctx, a.cfg.Handlers)
		facts = a.copyFacts()
	})
	if e != nil { // the loop may still be at work on the rest
		return control.Snapshot{}, e
	}
	if err != nil {
		return control.Snapshot{}, err
	}
	return control.NewSnapshot(a.cfg.Node, time.Now().UTC(), live, &facts)
}
