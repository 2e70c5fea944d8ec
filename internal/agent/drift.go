package agent

import (
	"time"

	"github.com/hareconcile/hareconcile/internal/control"
	"github.com/hareconcile/hareconcile/reconcile"
)

// maxDrift is how many repairs status remembers.
const maxDrift = 16

// isDrift reports whether c mends what somebody else did: what we want of the object is
// what we already wanted when we last applied everything.
func (a *Agent) isDrift(c reconcile.Change) bool {
	if a.lastWant == nil || c.Action == reconcile.Delete {
		return false
	}
	was, ok := a.lastWant[c.ID]
	return ok && was == c.After
}

func (a *Agent) countDrift(id, action string) {
	a.drift.Total++
	item := control.DriftItem{Time: time.Now(), Resource: id, Action: action}
	a.drift.Last = append([]control.DriftItem{item}, a.drift.Last...)
	a.drift.Last = a.drift.Last[:min(len(a.drift.Last), maxDrift)]
}
