package planfile

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
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
	}
	for _, c := range p.Changes {
		f.Changes = append(f.Changes, Change{
			Address: c.ID.String(), Kind: c.ID.Kind, Name: c.ID.Name, Action: c.Action.String(),
			Before: c.Before, After: c.After, DefinedAt: originOrNil(c.Origin),
		})
	}
	for _, c := range p.Conflicts {
		f.Conflicts = append(f.Conflicts, Conflict{
			Address: c.ID.String(), Kind: c.ID.Kind, Name: c.ID.Name,
			Live: c.Live, Want: c.Want, DefinedAt: originOrNil(c.Origin),
		})
	}
	f.Summary = f.count()
	f.Summary.DestroyPercent = Percent(f.Summary.Destroy, managed)
	return f
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
			Before: c.Before, After: c.After, Origin: originOrZero(c.DefinedAt),
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

// Fingerprint returns a digest of what carrying out the plan would do and on what grounds:
// node, boot, compiled cluster, and every change with its value before. A plan is stale
// when the plan made now has another one.
func (f File) Fingerprint() string {
	type step struct {
		Address, Action string
		Before, After   any
	}
	grounds := struct {
		Node, BootID, Digest string
		Steps                []step
	}{Node: f.Node, BootID: f.BootID, Digest: f.Digest}
	for _, c := range f.Changes {
		grounds.Steps = append(grounds.Steps, step{c.Address, c.Action, c.Before, c.After})
	}
	b, err := json.Marshal(grounds)
	if err != nil {
		panic("planfile: resources always marshal: " + err.Error())
	}
	sum := sha256.Sum256(b)
	return "sha256:" + hex.EncodeToString(sum[:])
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
