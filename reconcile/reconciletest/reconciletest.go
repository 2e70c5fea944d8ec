// Package reconciletest checks that handlers keep the promises of reconcile.Handler,
// whether what they handle lives in a map, in a kernel or in another process.
package reconciletest

import (
	"maps"
	"net/netip"
	"reflect"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/hareconcile/hareconcile/reconcile"
	"github.com/hareconcile/hareconcile/reconcile/resource"
)

// Set makes a Set of resource structs.
func Set(values ...interface{ ID() resource.ID }) resource.Set {
	s := resource.Set{}
	for _, v := range values {
		s[v.ID()] = v
	}
	return s
}

// Test drives h through each of steps in turn, on a host where h owns nothing, and then
// back to nothing. Each step must be reached by one plan, twice applied equals once
// applied, and what is foreign stays as it was.
func Test(t *testing.T, h reconcile.Handler, steps ...resource.Set) {
	t.Helper()
	TestAll(t, []reconcile.Handler{h}, steps...)
}

// TestAll is Test for kinds that need each other, as a virtual service and its servers do.
func TestAll(t *testing.T, hs []reconcile.Handler, steps ...resource.Set) {
	t.Helper()
	before := Observe(t, hs...)
	if len(before.Owned) > 0 {
		t.Fatalf("owned at the start = %v, want nothing", before.Owned)
	}
	for i, want := range append(steps, resource.Set{}) {
		checkValues(t, hs, want)
		plan := Apply(t, hs, want)
		got := Observe(t, hs...)
		if diff := cmp.Diff(want, got.Owned, opts); diff != "" {
			t.Fatalf("step %d: owned (-want +got):\n%s", i, diff)
		}
		if diff := cmp.Diff(before.Foreign, got.Foreign, opts); diff != "" {
			t.Fatalf("step %d: foreign changed (-want +got):\n%s", i, diff)
		}
		if second := Plan(t, hs, want); !second.Empty() {
			t.Fatalf("step %d: second plan = %+v, want nothing", i, second)
		}
		// A change that was already made is not an error and changes nothing.
		if err := plan.Apply(t.Context(), hs, nil); err != nil {
			t.Fatalf("step %d, applied twice: %v", i, err)
		}
		if diff := cmp.Diff(got, Observe(t, hs...), opts); diff != "" {
			t.Fatalf("step %d: applied twice (-once +twice):\n%s", i, diff)
		}
	}
}

// Adopt checks that v, which somebody else made just so, becomes ours without being
// changed, and that deleting it then works. The host must have v and own nothing.
func Adopt(t *testing.T, hs []reconcile.Handler, v interface{ ID() resource.ID }) {
	t.Helper()
	want := Set(v)
	if before := Observe(t, hs...); before.Foreign[v.ID()] != any(v) {
		t.Fatalf("foreign %s = %v, want %v", v.ID(), before.Foreign[v.ID()], v)
	}
	plan := Apply(t, hs, want)
	if plan.Count(reconcile.Adopt) != 1 || len(plan.Changes) != 1 {
		t.Fatalf("plan = %+v, want one adoption", plan)
	}
	if diff := cmp.Diff(want, Observe(t, hs...).Owned, opts); diff != "" {
		t.Fatalf("owned after adoption (-want +got):\n%s", diff)
	}
	if err := plan.Apply(t.Context(), hs, nil); err != nil {
		t.Fatalf("adopt twice: %v", err)
	}
	Apply(t, hs, resource.Set{})
	if after := Observe(t, hs...); len(after.Owned) > 0 || after.Foreign[v.ID()] != nil {
		t.Fatalf("after deletion live = %v, want nothing of %s", after, v.ID())
	}
}

// Conflict checks that want, whose ID somebody else's different object has, is reported
// as a conflict and that applying the plan changes nothing.
func Conflict(t *testing.T, hs []reconcile.Handler, want interface{ ID() resource.ID }) {
	t.Helper()
	before := Observe(t, hs...)
	plan := Apply(t, hs, Set(want))
	if len(plan.Conflicts) != 1 || plan.Conflicts[0].ID != want.ID() || len(plan.Changes) != 0 {
		t.Fatalf("plan = %+v, want one conflict over %s", plan, want.ID())
	}
	if diff := cmp.Diff(before, Observe(t, hs...), opts); diff != "" {
		t.Fatalf("live changed (-want +got):\n%s", diff)
	}
}

// Observe returns what the handlers find.
func Observe(t *testing.T, hs ...reconcile.Handler) reconcile.Live {
	t.Helper()
	l, err := reconcile.Observe(t.Context(), hs)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// Plan returns the plan from what the handlers find to want.
func Plan(t *testing.T, hs []reconcile.Handler, want resource.Set) reconcile.Plan {
	t.Helper()
	return reconcile.Diff(Observe(t, hs...), reconcile.Target{Set: maps.Clone(want), FactsKnown: true})
}

// Apply makes the plan to want, applies it and returns it.
func Apply(t *testing.T, hs []reconcile.Handler, want resource.Set) reconcile.Plan {
	t.Helper()
	plan := Plan(t, hs, want)
	if err := plan.Apply(t.Context(), hs, nil); err != nil {
		t.Fatal(err)
	}
	return plan
}

var opts = cmp.Options{
	cmpopts.EquateEmpty(),
	cmpopts.EquateComparable(netip.Addr{}, netip.AddrPort{}, netip.Prefix{}),
}

// checkValues refuses values that no plan could compare, or that no handler is for.
func checkValues(t *testing.T, hs []reconcile.Handler, s resource.Set) {
	t.Helper()
	kinds := map[resource.Kind]bool{}
	for _, h := range hs {
		kinds[h.Kind()] = true
	}
	for id, v := range s {
		if !kinds[id.Kind] {
			t.Fatalf("no handler for %s", id)
		}
		if !reflect.TypeOf(v).Comparable() {
			t.Fatalf("%s: %T cannot be compared with ==", id, v)
		}
	}
}

// TakeOver checks that want replaces somebody else's different object where the cluster
// file says so, and that it is ours from then on.
func TakeOver(t *testing.T, hs []reconcile.Handler, want interface{ ID() resource.ID }) {
	t.Helper()
	plan := reconcile.Diff(Observe(t, hs...), reconcile.Target{
		Set: Set(want), FactsKnown: true, Adopt: map[resource.ID]bool{want.ID(): true},
	})
	if plan.Count(reconcile.Update) != 1 || len(plan.Changes) != 1 || len(plan.Conflicts) != 0 {
		t.Fatalf("plan = %+v, want one update of %s", plan, want.ID())
	}
	for _, how := range []string{"once", "twice"} {
		if err := plan.Apply(t.Context(), hs, nil); err != nil {
			t.Fatalf("take over %s: %v", how, err)
		}
		after := Observe(t, hs...)
		if diff := cmp.Diff(Set(want), after.Owned, opts); diff != "" || after.Foreign[want.ID()] != nil {
			t.Fatalf("owned after taking over %s (-want +got):\n%s\nforeign: %v", how, diff, after.Foreign[want.ID()])
		}
	}
	Apply(t, hs, resource.Set{})
	if after := Observe(t, hs...); len(after.Owned) > 0 || after.Foreign[want.ID()] != nil {
		t.Fatalf("after deletion live = %v, want nothing of %s", after, want.ID())
	}
}
