package reconcile

import "context"

// A Problem is a change of a plan that can never work on this host.
type Problem struct {
	Change Change
	Err    error
}

// Preflight asks the handlers which changes of p cannot work, in the order of the plan.
// Nothing is touched.
func (p Plan) Preflight(ctx context.Context, hs []Handler) []Problem {
	var out []Problem
	for _, h := range hs {
		f, ok := h.(Preflighter)
		if !ok {
			continue
		}
		var own []Change
		for _, c := range p.Changes {
			if c.ID.Kind == h.Kind() && c.Action != Delete {
				own = append(own, c)
			}
		}
		if len(own) == 0 {
			continue
		}
		for k, err := range f.Preflight(ctx, own) {
			if err != nil {
				out = append(out, Problem{own[k], err})
			}
		}
	}
	return out
}
