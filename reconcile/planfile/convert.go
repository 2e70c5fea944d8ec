package planfile

import (
	"fmt"
	"time"

	"github.com/hareconcile/hareconcile/internal/spec"
	"github.com/hareconcile/hareconcile/reconcile"
	"github.com/hareconcile/hareconcile/reconcile/resource"
)

// Meta is what a File says about its plan beyond the changes.
type Meta struct {
	Version    string // of hareconcile
	Node       string
	BootID     string
	Revision   Revision
	Digest     string // of the compiled cluster
	Created    time.Time
	FactsKnown bool
	HAProxies  []spec.HAProxy // as in File
}

// New returns p as a File. Managed is the number of objects that were managed before;
// findings are what the policies said of p.
func New(meta Meta, p reconcile.Plan, managed int, findings []reconcile.Finding) File {
	f := File{
		FormatVersion: FormatVersion,
		Version:       meta.Version,
		Node:          meta.Node,
		BootID:        meta.BootID,
		Revision:      meta.Revision,
		Digest:        meta.Digest,
		Created:       meta.Created.UTC(),
		FactsKnown:    meta.FactsKnown,
		Uncompared:    p.Uncompared,
		Changes:       []Change{}, // an empty list in JSON, never null
		Policies:      findings,
		HAProxies:     meta.HAProxies,
	}
	for _, c := range p.Changes {
		f.Changes = append(f.Changes, Change{
			Address: c.ID.String(), Kind: c.ID.Kind, Name: c.ID.Name, Action: c.Action.String(),
			Before: c.Before, After: c.After, DefinedAt: originOrNil(c.Origin), Drain: c.Drain, Class: assumed(c),
		})
	}
	for _, c := range p.Conflicts {
		f.Conflicts = append(f.Conflicts, Conflict{
			Address: c.ID.String(), Kind: c.ID.Kind, Name: c.ID.Name,
			Live: c.Live, Want: c.Want, DefinedAt: originOrNil(c.Origin), ByHand: c.ByHand(),
		})
	}
	f.Summary = f.count()
	f.Summary.DestroyPercent = Percent(f.Summary.Destroy, managed)
	return f
}

// Problems returns what was found to be in the way of a plan as a File says it.
func Problems(ps []reconcile.Problem) []Problem {
	var out []Problem
	for _, p := range ps {
		out = append(out, Problem{Address: p.Change.ID.String(), Message: p.Err.Error(), DefinedAt: originOrNil(p.Change.Origin)})
	}
	return out
}

// ErrorLines returns f's errors as lines for people, each once: where the cluster file asks
// for what cannot work, and why it cannot.
func (f File) ErrorLines() []string {
	var out []string
	seen := map[string]bool{}
	for _, e := range f.Errors {
		line := clean(e.Address) + ": " + clean(e.Message)
		if o := e.DefinedAt; o != nil {
			line = fmt.Sprintf("%s:%d: %s", clean(o.File), o.Line, clean(e.Message))
		}
		if !seen[line] {
			seen[line] = true
			out = append(out, line)
		}
	}
	return out
}

// Percent returns part as a share of whole in percent, rounded up: 100 where there is a
// part of nothing.
func Percent(part, whole int) int {
	switch {
	case part <= 0:
		return 0
	case part >= whole:
		return 100
	}
	return (part*100 + whole - 1) / whole
}

// count returns the summary without DestroyPercent, which the changes do not tell.
func (f File) count() Summary {
	s := Summary{Conflicts: len(f.Conflicts)}
	for _, c := range f.Changes {
		switch c.Action {
		case reconcile.Create.String():
			s.Add++
		case reconcile.Update.String():
			s.Change++
		case reconcile.Delete.String():
			s.Destroy++
		case reconcile.Adopt.String():
			s.Adopt++
		}
	}
	return s
}

// Plan returns the plan that the File was made from, ready to be applied.
func (f File) Plan() reconcile.Plan {
	p := reconcile.Plan{Uncompared: f.Uncompared}
	for _, c := range f.Changes {
		p.Changes = append(p.Changes, reconcile.Change{
			Action: actions[c.Action], ID: resource.ID{Kind: c.Kind, Name: c.Name},
			Before: c.Before, After: c.After, Origin: originOrZero(c.DefinedAt), Drain: c.Drain,
		})
	}
	for _, c := range f.Conflicts {
		p.Conflicts = append(p.Conflicts, reconcile.Conflict{
			ID:   resource.ID{Kind: c.Kind, Name: c.Name},
			Live: c.Live, Want: c.Want, Origin: originOrZero(c.DefinedAt),
		})
	}
	return p
}

// actions has the plan's action for the word in a file.
var actions = map[string]reconcile.Action{
	reconcile.Create.String(): reconcile.Create,
	reconcile.Update.String(): reconcile.Update,
	reconcile.Delete.String(): reconcile.Delete,
	reconcile.Adopt.String():  reconcile.Adopt,
}

func originOrNil(o spec.Origin) *spec.Origin {
	if o == (spec.Origin{}) {
		return nil
	}
	return &o
}

func originOrZero(o *spec.Origin) spec.Origin {
	if o == nil {
		return spec.Origin{}
	}
	return *o
}
