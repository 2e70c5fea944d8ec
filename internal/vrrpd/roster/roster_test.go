package roster

import (
	"testing"

	"github.com/hareconcile/hareconcile/reconcile/resource"
)

func TestRosterTellsWhoWasAway(t *testing.T) {
	r, woken := New(), 0
	tracker := func(name string) resource.VRRPTracker {
		return resource.VRRPTracker{Type: resource.TrackFile, Target: name}
	}
	a, b := tracker("a"), tracker("b")
	r.Set([]resource.VRRPTracker{a, b}) // nobody watches yet
	r.WakeBy(func() { woken++ })
	r.Set([]resource.VRRPTracker{a})
	r.Set([]resource.VRRPTracker{a, b})
	if cfgs, unset, set := r.Taken(); !set || len(cfgs) != 2 || len(unset) != 1 || !unset[b.Key()] || woken != 2 {
		t.Errorf("taken %v, away %v, set %v, woken %d times; want both, b away, set, 2", cfgs, unset, set, woken)
	}
	if cfgs, unset, set := r.Taken(); set || len(cfgs) != 2 || len(unset) != 0 {
		t.Errorf("taken again: %v, away %v, set %v; want both, none, not set", cfgs, unset, set)
	}
	r.WakeBy(nil)
	if r.Rouse(); woken != 2 {
		t.Errorf("woken %d times after the end, want 2", woken)
	}
}
