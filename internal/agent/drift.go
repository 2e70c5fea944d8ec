package agent

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"github.com/hareconcile/hareconcile/internal/control"
	"github.com/hareconcile/hareconcile/internal/spec"
	"github.com/hareconcile/hareconcile/reconcile"
	"github.com/hareconcile/hareconcile/reconcile/resource"
)

// maxDrift is how many repairs status remembers.
const maxDrift = 16

// isDrift reports whether c mends what somebody else did: the object was already as it is
// wanted now. What follows from a verdict, a role or a drain wants another object, and is none.
func (a *Agent) isDrift(c reconcile.Change) bool {
	was, ok := a.right[c.ID]
	return ok && was == c.After
}

// driftMode returns what becomes of drift of a kind. What vrrpd is to do is told it whatever
// the host's owner says of other kinds: a vrrpd that was restarted knows nothing yet.
func (a *Agent) driftMode(k resource.Kind) spec.DriftMode {
	if k == resource.KindVRRPInstance || k == resource.KindVRRPTracker {
		return spec.DriftCorrect
	}
	return a.cfg.Drift.Mode(string(k))
}

// without returns p less what drop names, and that. A service that is made for the sake of a
// server which is not dropped stays.
func without(p reconcile.Plan, drop func(reconcile.Change) bool) (reconcile.Plan, []reconcile.Change) {
	if !slices.ContainsFunc(p.Changes, drop) {
		return p, nil
	}
	needed := map[resource.ID]bool{}
	for _, c := range p.Changes {
		if s, ok := c.After.(resource.IPVSServer); ok && !drop(c) {
			needed[resource.IPVSService{ServiceKey: s.Service}.ID()] = true
		}
	}
	kept := make([]reconcile.Change, 0, len(p.Changes))
	var dropped []reconcile.Change
	for _, c := range p.Changes {
		if drop(c) && (c.Action != reconcile.Create || !needed[c.ID]) {
			dropped = append(dropped, c)
		} else {
			kept = append(kept, c)
		}
	}
	p.Changes = kept
	return p, dropped
}

// corrections returns p less the drift that stays as it is for now, and that drift.
func (a *Agent) corrections(p reconcile.Plan) (reconcile.Plan, []reconcile.Change) {
	now := time.Now()
	return without(p, func(c reconcile.Change) bool {
		return a.isDrift(c) && c.Action != reconcile.Adopt &&
			(a.driftMode(c.ID.Kind) != spec.DriftCorrect || a.contests.waits(c.ID, now))
	})
}

// shown returns p less the drift that nobody wants to know of.
func (a *Agent) shown(p reconcile.Plan) reconcile.Plan {
	p, _ = without(p, func(c reconcile.Change) bool { return a.isDrift(c) && a.driftMode(c.ID.Kind) == spec.DriftIgnore })
	return p
}

// A leftover is drift that is reported and not corrected.
type leftover struct {
	change reconcile.Change
	since  time.Time
}

// restrain is corrections for a plan that was made of all there is: it remembers what stays,
// since when, and what others keep changing.
func (a *Agent) restrain(p reconcile.Plan) reconcile.Plan {
	p, stays := a.corrections(p)
	now := time.Now()
	left := map[resource.ID]leftover{}
	for _, c := range stays {
		switch a.driftMode(c.ID.Kind) {
		case spec.DriftCorrect:
			a.contests.sighted(c.ID, c.Before, now)
		case spec.DriftReport:
			was, known := a.left[c.ID]
			if !known {
				was.since = now
				a.cfg.Log.Info("drift is reported and stays", "id", c.ID, "action", c.Action)
			}
			left[c.ID] = leftover{c, was.since}
		}
	}
	for id, l := range a.left { // what could not be looked at is as it was
		if slices.Contains(a.live.Unobserved, id.Kind) {
			left[id] = l
		}
	}
	a.left = left
	for _, id := range a.contests.sweep(now) {
		a.cfg.Log.Info("no longer contested", "id", id)
	}
	return p
}

// releaseDrift has drift that was reported corrected, as a new revision does.
func (a *Agent) releaseDrift() {
	for id := range a.left {
		delete(a.right, id)
	}
	a.left = nil
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

// noteDrift counts a correction.
func (a *Agent) noteDrift(c reconcile.Change) {
	a.countDrift(c.ID.String(), c.Action.String())
	if a.contests.corrected(c.ID, c.Before, time.Now()) {
		a.cfg.Log.Warn("contested: somebody else keeps changing this; it is put back once a minute from now on", "id", c.ID)
	}
}

func (a *Agent) countDrift(id, action string) {
	a.drift.Total++
	item := control.DriftItem{Time: time.Now(), Resource: id, Action: action}
	a.drift.Last = append([]control.DriftItem{item}, a.drift.Last...)
	a.drift.Last = a.drift.Last[:min(len(a.drift.Last), maxDrift)]
}

// driftStatus is drift as status shows it.
func (a *Agent) driftStatus() control.Drift {
	d := control.Drift{
		Total: a.drift.Total, Last: append([]control.DriftItem{}, a.drift.Last...),
		PollInterval: a.nextPoll(), LeftTotal: len(a.left),
	}
	for id, l := range a.left {
		d.Left = append(d.Left, control.DriftLeft{Resource: id.String(), Since: l.since, Found: valueText(l.change.Before), Want: valueText(l.change.After)})
	}
	slices.SortFunc(d.Left, func(a, b control.DriftLeft) int {
		return cmp.Or(a.Since.Compare(b.Since), cmp.Compare(a.Resource, b.Resource))
	})
	d.Left = d.Left[:min(len(d.Left), maxDrift)]
	return d
}
