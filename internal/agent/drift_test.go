package agent

import (
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hareconcile/hareconcile/internal/control"
	"github.com/hareconcile/hareconcile/internal/spec"
	"github.com/hareconcile/hareconcile/reconcile"
	"github.com/hareconcile/hareconcile/reconcile/resource"
)

// realServer returns the world of rs1, which has the virtual address on lo, and that address.
func realServer(t *testing.T, d spec.Drift) (*world, resource.Address) {
	t.Helper()
	w := newWorld(t)
	w.cfg.Node, w.cfg.Drift = "rs1", d
	r := lab("aaaaaaa", 2)
	r.Cluster.Node = "rs1"
	r.Cluster.Nodes = append(r.Cluster.Nodes, spec.Node{Name: "rs1", Address: netip.MustParseAddr("172.25.254.110")})
	w.origin.push(r)
	return w, resource.Address{Prefix: netip.MustParsePrefix("172.25.254.100/32"), Device: "lo"}
}

// remove takes an object away behind the agent's back, and reports whether it was there.
func (w *world) remove(id resource.ID) bool {
	w.host.mu.Lock()
	_, there := w.host.owned[id]
	delete(w.host.owned, id)
	w.host.mu.Unlock()
	if there {
		w.KernelChanged()
	}
	return there
}

// TestReportedDriftStaysUntilSomebodyAsksForMore and is shown meanwhile, in status and in plan.
func TestReportedDriftStaysUntilSomebodyAsksForMore(t *testing.T) {
	for _, how := range []string{"apply", "push"} {
		t.Run(how, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w, vip := realServer(t, spec.Drift{Kinds: map[string]spec.DriftMode{"address": spec.DriftReport}})
				defer w.start(t)()
				after(time.Second)
				w.remove(vip.ID())
				after(time.Minute)
				s := w.Status()
				if w.host.get(vip.ID()) != nil || s.Drift.Total != 0 || s.Phase != control.Converged {
					t.Fatalf("the address was put back, or something is wrong: %+v", s)
				}
				if l := s.Drift.Left; len(l) != 1 || l[0].Resource != vip.ID().String() || l[0].Found != "nothing" || time.Since(l[0].Since) < 50*time.Second {
					t.Errorf("left = %+v, want the address, a minute ago", l)
				}
				plan, err := w.Plan(t.Context())
				if err != nil || len(plan.Changes) != 1 {
					t.Fatalf("plan = %+v %v, want the address", plan.Changes, err)
				}
				if how == "push" {
					r := lab("bbbbbbb", 3)
					r.Cluster.Node, r.Cluster.Nodes = "rs1", append(r.Cluster.Nodes, spec.Node{Name: "rs1", Address: netip.MustParseAddr("172.25.254.110")})
					w.origin.push(r)
				} else if _, err := w.Apply(t.Context(), control.ApplyRequest{Plan: plan}); err != nil {
					t.Fatal(err)
				}
				after(time.Minute)
				if s := w.Status(); w.host.get(vip.ID()) != any(vip) || s.Drift.Left != nil {
					t.Errorf("address = %v, left = %+v; want it back and none", w.host.get(vip.ID()), s.Drift.Left)
				}
			})
		})
	}
}

func TestIgnoredDriftIsNotShown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, vip := realServer(t, spec.Drift{Default: spec.DriftIgnore})
		defer w.start(t)()
		after(time.Second)
		w.remove(vip.ID())
		after(time.Minute)
		plan, err := w.Plan(t.Context())
		if s := w.Status(); w.host.get(vip.ID()) != nil || s.Drift.Left != nil || s.Phase != control.Converged || err != nil || len(plan.Changes) != 0 {
			t.Errorf("address = %v, drift = %+v, plan = %+v %v; want it gone, and no word of it", w.host.get(vip.ID()), s.Drift, plan.Changes, err)
		}
	})
}

// TestAVerdictIsNoDrift has servers changed by hand where drift is only reported: what a check
// says then is carried out all the same, with the service that it needs.
func TestAVerdictIsNoDrift(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.cfg.Drift = spec.Drift{Default: spec.DriftReport}
		defer converged(t, w)()
		for id := range w.host.owned {
			if id.Kind == resource.KindIPVSServer || id.Kind == resource.KindIPVSService {
				w.remove(id)
			}
		}
		after(time.Minute)
		if got := w.weight(); got != -1 {
			t.Fatalf("weight = %d, want the table to stay empty", got)
		}
		w.verdict("rs1", reconcile.Down)
		after(time.Second)
		if got, s := w.weight(), w.Status(); got != 0 || s.Phase != control.Converged || s.Drift.LeftTotal != 1 {
			t.Errorf("weight = %d, %s %s, %d left; want 0 and the other server left", got, s.Phase, s.Message, s.Drift.LeftTotal)
		}
		if w.host.get(resource.IPVSService{ServiceKey: labService}.ID()) == nil {
			t.Error("the service of the server is not there")
		}
	})
}

// TestAnAddressThatSomebodyDeletesAllTheTime is contested: it is put back five times and then
// once a minute, at next to no cost, while other objects are mended as ever.
func TestAnAddressThatSomebodyDeletesAllTheTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, vip := realServer(t, spec.Drift{})
		defer w.start(t)()
		after(time.Second)
		w.host.mu.Lock()
		var other resource.ID
		for id := range w.host.owned {
			if id.Kind == resource.KindSysctl {
				other = id
			}
		}
		w.host.mu.Unlock()
		looks := w.looks
		deleted := 0
		for range 3 * 60 * 50 { // three minutes at 1 kHz
			for range 20 {
				if w.remove(vip.ID()) {
					deleted++
				}
				w.KernelChanged() // as of other addresses
			}
			after(20 * time.Millisecond)
		}
		if deleted < 6 || deleted > 9 {
			t.Errorf("it was put back %d times in three minutes, want five times at once and once a minute then", deleted)
		}
		if n := (w.looks - looks) / 180; n > 25 {
			t.Errorf("%d looks a second, want at most 20 and a few", n)
		}
		s := w.Status()
		if len(s.Alarms) != 1 || s.Alarms[0].Kind != "contested" || s.Alarms[0].Subject != vip.ID().String() || !strings.Contains(s.Alarms[0].Message, "found nothing") {
			t.Errorf("alarms = %+v, want one on the address", s.Alarms)
		}
		w.remove(other)
		after(time.Second)
		if w.host.get(other) == nil {
			t.Errorf("%s is not mended", other)
		}
		after(12 * time.Minute)
		if s := w.Status(); w.host.get(vip.ID()) != any(vip) || len(s.Alarms) != 0 {
			t.Errorf("after the quiet the address is %v, alarms = %+v", w.host.get(vip.ID()), s.Alarms)
		}
	})
}
