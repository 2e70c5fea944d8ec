package agent

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/hareconcile/hareconcile/internal/control"
	"github.com/hareconcile/hareconcile/internal/journal"
	"github.com/hareconcile/hareconcile/internal/pace"
	"github.com/hareconcile/hareconcile/internal/revision"
	"github.com/hareconcile/hareconcile/internal/spec"
	"github.com/hareconcile/hareconcile/reconcile"
	"github.com/hareconcile/hareconcile/reconcile/resource"
)

// follow fetches the branch at its interval and brings new revisions into force.
func (a *Agent) follow(ctx context.Context) error {
	timer := time.NewTimer(0)
	defer timer.Stop()
	state := control.Source{URL: a.cfg.Git.URL}
	rhythm := pace.Pace{Interval: a.cfg.Git.Interval, JitterPercent: a.cfg.Git.JitterPercent, Node: a.cfg.Node}
	said := ""
	for {
		asked := false
		select {
		case <-ctx.Done():
			return nil
		case <-timer.C:
		case <-a.fetch:
			asked = true
		}
		look := control.Look{Began: time.Now()}
		refused, err := a.advance(ctx)
		said = a.tellRefusal(refused, said)
		if err != nil && ctx.Err() == nil {
			if state.Error == "" { // what a remote says next may differ in every attempt; status has it
				a.cfg.Log.Warn("source cannot be read; the revision in force stays", "err", err)
			}
			state.Error = err.Error()
		} else {
			state.LastSuccess, state.Error = time.Now(), ""
		}
		wait := rhythm.Next(err == nil, asked, rand.Float64())
		look.Next = time.Now().Add(wait)
		s := state
		a.inbox.put(func(n *news) { n.source, n.refused, n.look = &s, refused, look })
		timer.Reset(wait)
	}
}

// FetchNow makes the agent look at its source at once, rather than when its interval is over.
func (a *Agent) FetchNow() {
	select {
	case a.fetch <- struct{}{}:
	default: // it was asked already
	}
}

// tellRefusal logs a refusal that was not said yet, and returns what has been said.
func (a *Agent) tellRefusal(r *revision.Refused, said string) string {
	if r == nil {
		return ""
	}
	if r.Error() != said {
		a.cfg.Log.Warn("revision refused; the one in force stays", "revision", r.Commit, "stage", r.Stage, "err", r.Reason)
	}
	return r.Error()
}

// advance looks for a revision newer than the one that is in force or waits, and makes it the
// candidate. It returns a refusal, which is an answer of the source, apart from errors, which are not.
func (a *Agent) advance(ctx context.Context) (*revision.Refused, error) {
	var inForce, last *revision.Revision
	if err := a.do(ctx, func(context.Context) { inForce, last = a.rev, a.newest() }); err != nil {
		return nil, nil
	}
	rev, err := a.cfg.Source.Next(ctx, last)
	if err == nil && rev != nil {
		err = a.refuseKept(ctx, rev)
	}
	if err == nil && rev != nil {
		err = a.revise(ctx, rev, inForce)
	}
	var refused *revision.Refused
	if errors.As(err, &refused) {
		return refused, nil
	}
	return nil, err
}

// newest returns the revision that was judged last: the one that waits or is tried, or is in force.
func (a *Agent) newest() *revision.Revision {
	switch {
	case a.candidate != nil:
		return a.candidate.rev
	case a.attempt != nil && !a.attempt.reverting:
		return a.attempt.rev
	}
	return a.rev
}

// refuseKept refuses a revision in quarantine.
func (a *Agent) refuseKept(ctx context.Context, rev *revision.Revision) error {
	var q journal.Quarantined
	var kept bool
	if err := a.do(ctx, func(context.Context) { q, kept = a.kept(rev.Commit) }); err != nil || !kept {
		return err
	}
	return &revision.Refused{Commit: rev.Commit, Subject: rev.Subject, Stage: "quarantine",
		Reason: fmt.Sprintf("it failed at %s: %s; push a fix, or run: hareconcile retry %s", q.Time.Format(time.RFC3339), q.Reason, rev.Short())}
}

// revise plans the step from prior to rev, has the policies judge it, and installs rev.
// Everything up to the last step leaves the node as it is.
func (a *Agent) revise(ctx context.Context, rev, prior *revision.Revision) error {
	var (
		plan    reconcile.Plan
		managed int
		planErr error
	)
	if err := a.doIdle(ctx, func(ctx context.Context) { plan, managed, planErr = a.preview(ctx, rev) }); err != nil {
		return err
	}
	refuse := func(stage, reason string) error {
		return &revision.Refused{Commit: rev.Commit, Subject: rev.Subject, Stage: stage, Reason: reason}
	}
	if planErr != nil {
		return refuse("plan", planErr.Error())
	}
	findings, err := a.cfg.Source.Policy(ctx, rev, prior, plan, managed)
	if ctx.Err() != nil {
		return ctx.Err() // the agent stops, which says nothing about the revision
	}
	var refused *revision.Refused
	if errors.As(err, &refused) {
		return refused
	}
	if err != nil {
		return refuse("policy", err.Error())
	}
	for _, f := range findings {
		if f.Denies() {
			return refuse("policy", denial(f))
		}
	}
	if prior != nil && rev.Cluster.Empty() && !prior.Cluster.Empty() && !a.cfg.AllowEmpty {
		return refuse("guard", "it asks nothing of any node, and the one in force does; if that is meant, set allow_empty = true in reconcile of agent.hcl, or take hareconcile off the nodes")
	}
	return a.do(ctx, func(context.Context) { a.offer(candidate{rev: rev, findings: findings}) })
}

// denial says which policy denied what.
func denial(f reconcile.Finding) string {
	what := f.Message
	if f.Subject != "" {
		what = f.Subject + ": " + what
	}
	return fmt.Sprintf("policy %s (%s:%d): %s", f.Policy, f.File, f.Line, what)
}

// preview returns what rev would change, and how many objects are managed now. Objects in
// the way are an error: a push that could be applied in part only is not applied.
func (a *Agent) preview(ctx context.Context, rev *revision.Revision) (reconcile.Plan, int, error) {
	target, err := reconcile.Desired(rev.Cluster, a.cfg.Node, &a.facts)
	if err != nil {
		return reconcile.Plan{}, 0, err
	}
	a.places(rev)
	defer a.places(nil)
	clear(a.hung) // what hung a moment ago is no reason to refuse a push
	plan, err := a.observe(ctx, target)
	if err != nil && a.rev == nil {
		// The first revision may come before vrrpd does; the pass that follows says so and retries.
		a.cfg.Log.Warn("live state is incomplete", "revision", rev.Short(), "err", err)
		err = nil
	}
	if err == nil && a.rev != nil {
		err = a.newConflict(plan)
	}
	if err == nil {
		err = refusal(impossible(plan.Preflight(ctx, a.cfg.Handlers)))
	}
	return plan, len(a.live.Owned), err
}

// places has handlers look at what the revision in force and, if it is not nil, next have.
func (a *Agent) places(next *revision.Revision) {
	if a.cfg.SetPlaces == nil {
		return
	}
	var cs []*spec.Cluster
	for _, r := range []*revision.Revision{a.rev, next} {
		if r != nil {
			cs = append(cs, r.Cluster)
		}
	}
	a.cfg.SetPlaces(cs...)
}

// impossible returns what this host can never do. What a module may bring that is loaded
// later is none of it: addresses move meanwhile.
func impossible(problems []reconcile.Problem) []reconcile.Problem {
	return slices.DeleteFunc(problems, func(p reconcile.Problem) bool { return errors.Is(p.Err, reconcile.ErrNotHere) })
}

// refusal returns an error that names the place of each problem.
func refusal(problems []reconcile.Problem) error {
	var errs []error
	for _, p := range problems {
		o := p.Change.Origin
		errs = append(errs, fmt.Errorf("%s:%d: %s: %w", o.File, o.Line, o.Address, p.Err))
	}
	return errors.Join(errs...)
}

// newConflict returns an error for an object that would stand in plan's way and does not
// stand in the way of the revision in force: that one must not keep other pushes out.
func (a *Agent) newConflict(plan reconcile.Plan) error {
	for _, c := range plan.Conflicts {
		old := c.ByHand() || slices.ContainsFunc(a.conflicts, func(b reconcile.Conflict) bool { return b.ID == c.ID })
		if !old {
			return fmt.Errorf("%s exists and was not made by hareconcile (%s:%d asks for it); remove it, "+
				"take it out of the cluster file, or set adopt = true", c.ID, c.Origin.File, c.Origin.Line)
		}
	}
	return nil
}

// install puts rev in force: from now on every pass is made with it.
func (a *Agent) install(ctx context.Context, rev *revision.Revision, findings []reconcile.Finding) {
	first := a.rev == nil
	if !first {
		a.dropMovedServers(a.rev.Cluster, rev.Cluster)
		a.unsettle(a.rev.Cluster, rev.Cluster)
		a.releaseDrift()
	}
	a.rev, a.findings, a.failed, a.converged = rev, findings, "", time.Time{}
	a.index, a.homes = nil, homes(rev.Cluster)
	a.places(nil)
	a.phase, a.message = control.Applying, "applying "+rev.Short()
	a.move(rev.Cluster.Moved)
	if first {
		live, err := a.look(ctx, a.cfg.Handlers)
		if err != nil {
			a.cfg.Log.Warn("live state is incomplete", "err", err)
		}
		a.seed(live)
	}
	a.forget(rev.Cluster)
	a.meet(rev.Cluster)
	before := a.outside
	a.outside = outsideOf(rev.Cluster, a.cfg.Node)
	a.cfg.SetChecks(jobs(rev.Cluster, a.cfg.Node, a.facts))
	a.tellAgain(before)
	a.cfg.SetTrackers(append(pluginTrackers(rev.Cluster, a.cfg.Node), a.outside.trackers...), rev.Cluster.Lock)
	if a.cfg.SetNotify != nil {
		a.cfg.SetNotify(rev.Cluster.Notify)
	}
}

// seed takes the verdicts over that an earlier agent left in the kernel's table, once it
// could be read, and reports whether it did so now. What was measured meanwhile counts.
func (a *Agent) seed(live reconcile.Live) bool {
	for _, k := range []resource.Kind{resource.KindIPVSService, resource.KindIPVSServer} {
		if a.seeded || slices.Contains(live.Unobserved, k) {
			return false
		}
	}
	a.seeded = true
	for ref, v := range reconcile.SeedVerdicts(a.rev.Cluster, live.Owned) {
		if _, known := a.facts.Servers[ref]; !known {
			a.facts.Servers[ref] = v
		}
	}
	return true
}

// seedLate is seed after the first look failed. Until it succeeds the table is left alone:
// every weight would be a guess.
func (a *Agent) seedLate() (reconcile.Target, error) {
	if !a.seed(a.live) {
		a.live.Unobserved = append(a.live.Unobserved, resource.KindIPVSService, resource.KindIPVSServer)
	}
	return a.desired()
}
