package agent

import (
	"time"

	"github.com/hareconcile/hareconcile/internal/control"
	"github.com/hareconcile/hareconcile/reconcile"
	"github.com/hareconcile/hareconcile/reconcile/resource"
)

// maxDrift is how many repairs status remembers.
const maxDrift = 16

// isDrift reports whether c mends what somebody else did: the object was already as it is
// wanted now.
func (a *Agent) isDrift(c reconcile.Change) bool {
	was, ok := a.right[c.ID]
	return ok && was == c.After
}

// noteRight remembers the objects of want that are as they should be. What is not yet mended
// or could not be looked at stays as it was remembered.
func (a *Agent) noteRight(want resource.Set) {
	right := make(resource.Set, len(want))
	for id, v := range want {
		was, ok := a.right[id]
		switch {
		case a.live.Owned[id] == v:
			right[id] = v
		case ok:
			right[id] = was
		}
	}
	a.right = right
}

func (a *Agent) countDrift(id, action string) {
	a.drift.Total++
	item := control.DriftItem{Time: time.Now(), Resource: id, Action: action}
	a.drift.Last = append([]control.DriftItem{item}, a.drift.Last...)
	a.drift.Last = a.drift.Last[:min(len(a.drift.Last), maxDrift)]
}
