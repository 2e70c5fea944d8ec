package reconcile

import (
	"slices"
	"strings"

	"github.com/hareconcile/hareconcile/reconcile/resource"
)

// Diff returns the plan from live to t. Kinds are created and updated in resource.Order;
// deletions come last and in the reverse order. Fields that facts drive which t does not
// know are not compared; where t was made without any, Plan.Uncompared counts them. A server
// that leaves a service gets weight 0 for as long as Target.Grace says. While a
// wanted kind is unobserved nothing is deleted but servers of services that stay.
func Diff(live Live, t Target) Plan {
	var p Plan
	var del []Change
	unsure := false // whether something wanted could not be looked at
	want := t.assumeRuntime(live)
	if !t.FactsKnown {
		p.Uncompared = len(t.Runtime)
	}
	for id, after := range want {
		have, owned := live.Owned[id]
		if slices.Contains(live.Unobserved, id.Kind) || !owned && slices.Contains(live.Unobserved, needs[id.Kind]) {
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
	for id, have := range live.Owned {
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
	slices.SortFunc(p.Conflicts, func(a, b Conflict) int { return placeOf(a.ID, 0).compare(placeOf(b.ID, 0)) })
	p.Changes = append(inOrder(p.Changes, false), inOrder(del, true)...)
	return p
}

// A place is where a change stands in a plan, and where it stood before.
type place struct {
	rank int // of its kind in resource.Order
	name string
	at   int
}

func placeOf(id resource.ID, at int) place {
	return place{slices.Index(resource.Order, id.Kind), id.Name, at}
}

func (p place) compare(o place) int {
	if p.rank != o.rank {
		return p.rank - o.rank
	}
	return strings.Compare(p.name, o.name)
}

// inOrder returns cs sorted by kind and name. Places are moved about and not the changes,
// which are several times as long.
func inOrder(cs []Change, backwards bool) []Change {
	places := make([]place, len(cs))
	for k := range cs {
		places[k] = placeOf(cs[k].ID, k)
	}
	slices.SortFunc(places, place.compare)
	if backwards {
		slices.Reverse(places)
	}
	out := make([]Change, len(cs))
	for k, p := range places {
		out[k] = cs[p.at]
	}
	return out
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
