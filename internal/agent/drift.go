package agent

import (
	"maps"
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

// noteRight remembers the objects that t wants and that are as they should be. What is not yet
// mended or could not be looked at stays as it was remembered.
func (a *Agent) noteRight(t reconcile.Target) {
	unwanted := func(id resource.ID) bool { _, ok := t.Set[id]; return !ok }
	if t.Scope == nil {
		maps.DeleteFunc(a.right, func(id resource.ID, _ any) bool { return unwanted(id) })
	} else {
		for id := range t.Scope.IDs {
			if unwanted(id) {
				delete(a.right, id)
			}
		}
	}
	for id, v := range t.Set {
		if a.live.Owned[id] == v {
			a.right[id] = v
		}
	}
}

func (a *Agent) countDrift(id, action string) {
	a.drift.Total++
	item := control.DriftItem{Time: time.Now(), Resource: id, Action: action}
	a.drift.Last = append([]control.DriftItem{item}, a.drift.Last...)
	a.drift.Last = a.drift.Last[:min(len(a.drift.Last), maxDrift)]
}
