// Package reconcile turns what should be and what is into an ordered Plan, and applies
// a Plan through Handlers. It has no I/O of its own.
package reconcile

import (
	"github.com/hareconcile/hareconcile/internal/spec"
	"github.com/hareconcile/hareconcile/reconcile/resource"
)

// An Action is what a Change does. Its value is the symbol that a printed plan shows.
type Action rune

// The actions of a plan.
const (
	Create Action = '+'
	Update Action = '~'
	Delete Action = '-'
	// Adopt takes an equal object that we did not make into our ownership, and does not touch it.
	Adopt Action = '='
)

// String returns the word that a JSON plan uses.
func (a Action) String() string {
	switch a {
	case Create:
		return "create"
	case Update:
		return "update"
	case Delete:
		return "delete"
	case Adopt:
		return "adopt"
	}
	return "no-op"
}

// A Change is one step of a Plan. Before is nil for Create, After for Delete.
type Change struct {
	Action        Action
	ID            resource.ID
	Before, After any
	// Origin is where the cluster file asks for After; zero for Delete.
	Origin spec.Origin
	// Drain says that a server is on its way out: After has weight 0, and its deletion follows.
	Drain bool
}

// A Plan is an ordered list of changes that turns live into desired.
type Plan struct {
	Changes   []Change
	Conflicts []Conflict
	// Uncompared counts the resources whose runtime-owned fields were left out for want of Facts.
	Uncompared int
}

// Empty reports whether there is nothing to do and nothing in the way.
func (p Plan) Empty() bool { return len(p.Changes) == 0 && len(p.Conflicts) == 0 }

// Count returns how many changes have that action.
func (p Plan) Count(a Action) int {
	n := 0
	for _, c := range p.Changes {
		if c.Action == a {
			n++
		}
	}
	return n
}
