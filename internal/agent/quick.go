package agent

import (
	"context"
	"time"

	"github.com/hareconcile/hareconcile/internal/spec"
	"github.com/hareconcile/hareconcile/reconcile"
)

// dear reports whether a look at the whole takes so long that a fact should not wait for it.
func (a *Agent) dear() bool { return a.live.Owned != nil && a.nextPoll() > pollInterval }

// react brings the node from what it was at the last look to what decide says that it should
// be now. The look that is due compares all with all.
func (a *Agent) react(ctx context.Context, decide func() (reconcile.Target, error)) {
	if a.rev == nil || a.cfg.PlanOnly || !a.seeded {
		return
	}
	target, err := decide()
	if err != nil {
		a.fail(err)
		return
	}
	plan, _ := a.corrections(reconcile.Diff(a.live, target))
	if len(plan.Changes) == 0 || a.tooEarly(plan) {
		return
	}
	if err := a.enact(ctx, plan, target); err != nil {
		a.fail(err)
	}
}

// decide returns what decides after n: of the pools whose servers have news, or of the node
// where a role may be another one. Trackers decide on nothing here but vrrpd's priorities.
func (n news) decide(a *Agent) func() (reconcile.Target, error) {
	if n.vrrp != nil || n.vrrpErr != nil {
		return a.desired
	}
	refs := make([]reconcile.ServerRef, 0, len(n.servers))
	for ref := range n.servers {
		refs = append(refs, ref)
	}
	return func() (reconcile.Target, error) { return a.part(refs) }
}

// part is desired for what the pools of some servers decide on. It costs what these are
// worth, and not what the cluster is.
func (a *Agent) part(refs []reconcile.ServerRef) (reconcile.Target, error) {
	refs = append(refs, a.ramp(time.Now())...)
	x, err := a.prepared()
	if err != nil {
		return reconcile.Target{}, err
	}
	var pools []string
	for _, ref := range refs {
		if p := a.homes[ref]; p != nil {
			pools = append(pools, p.Name)
		}
	}
	t := x.Part(&a.facts, pools...)
	a.decided(t)
	return t, nil
}

// prepared returns the index of the revision in force, which is made when it is first asked for.
func (a *Agent) prepared() (*reconcile.Index, error) {
	if a.index == nil {
		x, err := reconcile.NewIndex(a.rev.Cluster, a.cfg.Node)
		if err != nil {
			return nil, err
		}
		a.index = x
	}
	return a.index, nil
}

// homes returns the pool of each server.
func homes(c *spec.Cluster) map[reconcile.ServerRef]*spec.Pool {
	out := map[reconcile.ServerRef]*spec.Pool{}
	for k := range c.Pools {
		p := &c.Pools[k]
		for _, s := range p.Servers {
			out[reconcile.NewServerRef(p.Name, s.Name)] = p
		}
	}
	return out
}
