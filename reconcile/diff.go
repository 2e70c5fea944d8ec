package reconcile

import (
	"iter"
	"maps"
	"slices"

	"github.com/hareconcile/hareconcile/reconcile/resource"
)

// Diff returns the plan from live to t. Kinds are created and updated in resource.Order;
// deletions come last and in the reverse order. Fields that facts drive which t does not
// know are not compared; where t was made without any, Plan.Uncompared counts them. A server
// that leaves a service gets weight 0 for as long as Target.Grace says. While a
// wanted kind is unobserved nothing is deleted but servers of services that stay. Where t
// has a Scope, nothing else is compared.
func Diff(live Live, t Target) Plan {
	// What is not there yet has to be made: an empty host fills the list without it growing.
	p := Plan{Changes: make([]Change, 0, max(0, len(t.Set)-len(live.Owned)))}
	var del []Change
	// Whether something wanted could not be looked at. Of a part nobody knows.
	unsure := t.Scope != nil
	want := t.assumeRuntime(live)
	if !t.FactsKnown {
		p.Uncompared = len(t.Runtime)
	}
	for id, after := range want {
		have, owned := live.Owned[id]
		if len(live.Unobserved) > 0 && live.hides(id.Kind, owned) {
			unsure = true
			continue
		}
		if !owned && t.waits(live, want, after) {
			continue // the conflict of the service speaks for its servers
		}
		foreign, exists := live.Foreign[id]
		c := Change{ID: id, After: after, Origin: t.Origins[id]}
		switch {
		case owned && have == after && !exists:
			continue
		case exists && foreign == after:
			c.Action, c.Before = Adopt, foreign
		case owned && have != after:
			c.Action, c.Before = Update, have
		case exists && t.Adopt[id]:
			c.Action, c.Before = Update, foreign
		case exists:
			p.Conflicts = append(p.Conflicts, Conflict{id, foreign, after, t.Origins[id]})
			continue
		default:
			c.Action = Create
		}
		p.Changes = append(p.Changes, c)
	}
	for id, have := range t.owned(live) {
		if _, ok := want[id]; ok || slices.Contains(live.Unobserved, id.Kind) {
			continue
		}
		up, _ := parent(have)
		_, stays := want[up]
		if unsure && !stays {
			continue // what replaces it may not be there yet
		}
		c, now := Change{Action: Delete, ID: id, Before: have}, true
		if s, ok := have.(resource.IPVSServer); ok && stays {
			c, now = t.leave(id, up, s)
		}
		switch {
		case c.Action == Update:
			p.Changes = append(p.Changes, c)
		case now:
			del = append(del, c)
		}
	}
	slices.SortFunc(p.Conflicts, func(a, b Conflict) int { return compare(a.ID, b.ID) })
	inOrder(p.Changes)
	inOrder(del)
	slices.Reverse(del)
	if len(del) > 0 {
		p.Changes = append(p.Changes, del...)
	}
	return p
}

// owned returns what of live's own objects t speaks of.
func (t Target) owned(live Live) iter.Seq2[resource.ID, any] {
	if t.Scope == nil {
		return maps.All(live.Owned)
	}
	return func(yield func(resource.ID, any) bool) {
		for id := range t.Scope.IDs {
			if have, ok := live.Owned[id]; ok && !yield(id, have) {
				return
			}
		}
	}
}

// hides reports whether nothing can be said of an object of a kind that could not be read,
// or of one that is to be made and needs such a kind.
func (l Live) hides(k resource.Kind, owned bool) bool {
	return slices.Contains(l.Unobserved, k) || !owned && slices.Contains(l.Unobserved, needs[k])
}

// waits reports whether v is a server of a service that is somebody else's.
func (t Target) waits(live Live, want resource.Set, v any) bool {
	if len(live.Foreign) == 0 {
		return false
	}
	up, ok := parent(v)
	return ok && !t.Adopt[up] && inTheWay(live, want, up)
}

// inTheWay reports whether id is wanted but held by somebody else's object that differs.
func inTheWay(live Live, want resource.Set, id resource.ID) bool {
	_, owned := live.Owned[id]
	foreign, exists := live.Foreign[id]
	return exists && !owned && foreign != want[id]
}
