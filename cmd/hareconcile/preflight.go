package main

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/hareconcile/hareconcile/reconcile"
	"github.com/hareconcile/hareconcile/reconcile/kind/ipvs"
	"github.com/hareconcile/hareconcile/reconcile/planfile"
	"github.com/hareconcile/hareconcile/reconcile/resource"
)

// ipvsKinds are those that a kernel without ip_vs has none of.
var ipvsKinds = []resource.Kind{
	resource.KindIPVSTimeouts, resource.KindIPVSService, resource.KindIPVSServer, resource.KindIPVSSync,
}

// preflight asks before anything is touched what of p could never work on this host. What
// the host lacks all of keeps nothing else back: p comes back without it, an *omission names
// it, and everything that is left is worth applying.
func preflight(ctx context.Context, hs []reconcile.Handler, p reconcile.Plan) (reconcile.Plan, []reconcile.Problem, error) {
	absent := map[resource.Kind]bool{}
	o := &omission{}
	var problems []reconcile.Problem
	for _, problem := range p.Preflight(ctx, hs) {
		if !errors.Is(problem.Err, reconcile.ErrNotHere) {
			problems = append(problems, problem)
			continue
		}
		kinds := []resource.Kind{problem.Change.ID.Kind}
		if slices.Contains(ipvsKinds, kinds[0]) {
			kinds = ipvsKinds
		}
		for _, k := range kinds {
			absent[k] = true
		}
		o.why = problem.Err
	}
	if o.why == nil {
		return p, problems, nil
	}
	var rest []reconcile.Change
	for _, c := range p.Changes {
		if absent[c.ID.Kind] {
			o.names = append(o.names, c.ID.String())
		} else {
			rest = append(rest, c)
		}
	}
	p.Changes = rest
	return p, problems, o
}

// An omission is what a plan has to leave out because nothing answers for its kind.
type omission struct {
	names []string // sorted or as in the plan
	why   error
}

// Error implements error.
func (o *omission) Error() string {
	return fmt.Sprintf("these were left out: %s\n%v", few(o.names), o.why)
}

// asOmission tells a plan with omissions from no plan.
func asOmission(err error) (*omission, bool) {
	var o *omission
	return o, errors.As(err, &o)
}

// leftOut returns an *omission if some of ids could not be looked at.
func leftOut(ids []resource.ID, live reconcile.Live, why error) error {
	var names []string
	for _, id := range ids {
		if slices.Contains(live.Unobserved, id.Kind) {
			names = append(names, id.String())
		}
	}
	if names == nil {
		return nil
	}
	slices.Sort(names)
	if errors.Is(why, ipvs.ErrNoModule) && !slices.ContainsFunc(live.Unobserved, func(k resource.Kind) bool { return !slices.Contains(ipvsKinds, k) }) {
		why = ipvs.ErrNoModule // once for all kinds that need it
	}
	return &omission{names, why}
}

// unworkable returns an error for a plan with changes that could never work on this host.
func unworkable(f planfile.File) error {
	lines := f.ErrorLines()
	if len(lines) == 0 {
		return nil
	}
	text := lines[0]
	if more := len(lines) - 1; more > 0 {
		text += fmt.Sprintf(" (and %s more)", thousands(more))
	}
	return fmt.Errorf("the plan could never work on this host: %s", text)
}
