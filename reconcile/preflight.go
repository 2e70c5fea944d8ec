package reconcile

import (
	"context"

	"github.com/hareconcile/hareconcile/reconcile/resource"
)

// A Problem is a Change that could never work on this host, and why.
type Problem struct {
	Change Change
	Err    error
}

// Preflight asks the handlers that can tell, before anything is touched, which of p's
// changes could never work here. The answers are in the order of p.
func (p Plan) Preflight(ctx context.Context, hs []Handler) []Problem {
	asked := map[resource.Kind]Preflighter{}
	for _, h := range hs {
		if f, ok := h.(Preflighter); ok {
			asked[h.Kind()] = f
		}
	}
	var out []Problem
	for rest := p.Changes; len(rest) > 0; {
		n := 1
		for n < len(rest) && rest[n].ID.Kind == rest[0].ID.Kind {
			n++
		}
		if f := asked[rest[0].ID.Kind]; f != nil {
			for i, err := range f.Preflight(ctx, rest[:n]) {
				if err != nil {
					out = append(out, Problem{rest[i], err})
				}
			}
		}
		rest = rest[n:]
	}
	return out
}
