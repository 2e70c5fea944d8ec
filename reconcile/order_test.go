package reconcile_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/hareconcile/hareconcile/reconcile"
	"github.com/hareconcile/hareconcile/reconcile/resource"
	"pgregory.net/rapid"
)

// TestPlansAreOrderedByName makes and deletes objects whose names begin alike, go on alike for
// long, or end within one another, of kinds in resource.Order and of one that is not.
func TestPlansAreOrderedByName(t *testing.T) {
	kinds := append(slices.Clone(resource.Order[:4]), "kind of another release")
	rapid.Check(t, func(t *rapid.T) {
		set := func(label string) resource.Set {
			out := resource.Set{}
			for _, s := range rapid.SliceOfN(rapid.StringMatching(`(tcp 10\.9)?[0-2]{0,12}(\x00|é)?`), 0, 40).Draw(t, label) {
				out[resource.ID{Kind: rapid.SampledFrom(kinds).Draw(t, "kind"), Name: s}] = s
			}
			return out
		}
		owned, want := set("owned"), set("want")
		p := reconcile.Diff(reconcile.Live{Owned: owned}, reconcile.Target{Set: want, FactsKnown: true})
		var ids []resource.ID
		for id := range want {
			if _, ok := owned[id]; !ok {
				ids = append(ids, id)
			}
		}
		slices.SortFunc(ids, byKindAndName)
		var gone []resource.ID
		for id := range owned {
			if _, ok := want[id]; !ok {
				gone = append(gone, id)
			}
		}
		slices.SortFunc(gone, func(a, b resource.ID) int { return byKindAndName(b, a) })
		got := make([]resource.ID, len(p.Changes))
		for k, c := range p.Changes {
			got[k] = c.ID
			if c.Action == reconcile.Create && c.After != want[c.ID] || c.Action == reconcile.Delete && c.Before != owned[c.ID] {
				t.Fatalf("%s %s has %v, %v", c.Action, c.ID, c.Before, c.After)
			}
		}
		if all := append(ids, gone...); !slices.Equal(got, all) {
			t.Fatalf("changes = %v, want %v", got, all)
		}
	})
}

func byKindAndName(a, b resource.ID) int {
	if n := slices.Index(resource.Order, a.Kind) - slices.Index(resource.Order, b.Kind); n != 0 {
		return n
	}
	return strings.Compare(a.Name, b.Name)
}
