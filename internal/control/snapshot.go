package control

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/hareconcile/hareconcile/reconcile"
	"github.com/hareconcile/hareconcile/reconcile/planfile"
	"github.com/hareconcile/hareconcile/reconcile/resource"
)

// NewSnapshot returns what was found on node at a moment. Facts is nil where no agent had any.
func NewSnapshot(node string, taken time.Time, live reconcile.Live, facts *reconcile.Facts) (Snapshot, error) {
	s := Snapshot{FormatVersion: planfile.FormatVersion, Node: node, Taken: taken, Facts: facts}
	var err error
	if s.Owned, err = objects(live.Owned); err != nil {
		return Snapshot{}, err
	}
	s.Foreign, err = objects(live.Foreign)
	return s, err
}

// Live returns the snapshot's objects as their kinds' values.
func (s Snapshot) Live() (reconcile.Live, error) {
	owned, err := set(s.Owned)
	if err != nil {
		return reconcile.Live{}, err
	}
	foreign, err := set(s.Foreign)
	return reconcile.Live{Owned: owned, Foreign: foreign}, err
}

func objects(set resource.Set) ([]Object, error) {
	out := make([]Object, 0, len(set))
	for id, v := range set {
		raw, err := json.Marshal(v)
		if err != nil {
			return nil, fmt.Errorf("encode %s: %w", id, err)
		}
		out = append(out, Object{Kind: id.Kind, Name: id.Name, Value: raw})
	}
	slices.SortFunc(out, func(a, b Object) int {
		return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Name, b.Name))
	})
	return out, nil
}

func set(objects []Object) (resource.Set, error) {
	out := make(resource.Set, len(objects))
	for _, o := range objects {
		v, err := planfile.DecodeResource(o.Kind, o.Value)
		if err != nil {
			return nil, fmt.Errorf("snapshot: %s/%s: %w", o.Kind, o.Name, err)
		}
		id := resource.ID{Kind: o.Kind, Name: o.Name}
		if named, ok := v.(interface{ ID() resource.ID }); !ok || named.ID() != id {
			return nil, fmt.Errorf("snapshot: %s is not the name of what it holds", id)
		}
		out[id] = v
	}
	return out, nil
}
