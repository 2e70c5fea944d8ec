package reconcile

import (
	"context"

	"github.com/hareconcile/hareconcile/reconcile/resource"
)

// A Class says in one word how a change comes about in a program that runs, or why it does not.
// Plans show it.
type Class string

// The classes. What is in sync is in no plan.
const (
	// ClassRuntime is a change by commands to the running program.
	ClassRuntime Class = "runtime"
	// ClassReload is a change that the program learns by reading its files again.
	ClassReload Class = "reload"
	// ClassFileOnly is a change of a file of which the running program knows all already.
	ClassFileOnly Class = "file-only"
	// ClassDrift is what somebody changed in the running program, and not in its files.
	ClassDrift Class = "drift"
	// ClassHandEdited is a file that somebody changed since we wrote it.
	ClassHandEdited Class = "hand-edited"
	// ClassBlocked is a change that was tried beforehand and would fail.
	ClassBlocked Class = "blocked"
	// ClassRestart is a change for which a person has to restart the program: no reload brings it.
	ClassRestart Class = "restart"
)

// A Classifier is a Handler whose changes have classes.
type Classifier interface {
	Handler
	// Classify returns the class of each of cs, or "" where there is nothing to say. It changes
	// nothing, and does not try what Preflight tries.
	Classify(ctx context.Context, cs []Change) []Class
}

// Classify asks the handlers for the classes of p's changes. Conflicts over what a program runs
// with are drift.
func (p Plan) Classify(ctx context.Context, hs []Handler) map[resource.ID]Class {
	out := map[resource.ID]Class{}
	for _, h := range hs {
		c, ok := h.(Classifier)
		if !ok {
			continue
		}
		var cs []Change
		for _, change := range p.Changes {
			if change.ID.Kind == h.Kind() {
				cs = append(cs, change)
			}
		}
		if len(cs) == 0 {
			continue
		}
		for i, class := range c.Classify(ctx, cs) {
			if class != "" {
				out[cs[i].ID] = class
			}
		}
	}
	return out
}
