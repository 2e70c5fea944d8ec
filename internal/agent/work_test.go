package agent

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hareconcile/hareconcile/internal/control"
	"github.com/hareconcile/hareconcile/internal/revision"
	"github.com/hareconcile/hareconcile/internal/spec"
	"github.com/hareconcile/hareconcile/reconcile"
	"github.com/hareconcile/hareconcile/reconcile/resource"
)

// withHAProxy is the reference cluster where ka1 runs a haproxy, too, that a tracker watches.
func withHAProxy(commit string, timeout time.Duration) *revision.Revision {
	r := lab(commit, 2)
	r.Cluster.Rollout.HealthyDeadline = time.Hour
	r.Cluster.Trackers = []spec.Tracker{{Name: "proxy", Plugin: "haproxy", Interval: time.Second}}
	r.Cluster.Instances[0].Gates = []string{"proxy"}
	r.Cluster.HAProxies = []spec.HAProxy{{
		Name: "edge", Nodes: []string{"ka1"}, ConfigDir: "/etc/haproxy/conf.d", RuntimeSocket: "/run/haproxy/edge.sock", MasterSocket: "/run/haproxy/master.sock",
		Defaults: []spec.HAProxyDefaults{{Name: "web", Mode: "http", Timeouts: []spec.HAProxyTime{{Name: "connect", Time: timeout}}}},
	}}
	return r
}

// reloading pushes what needs a reload, which goes on until the returned function ends it.
func reloading(t *testing.T) (w *world, reloaded func()) {
	t.Helper()
	w = newWorld(t)
	w.origin.push(withHAProxy("aaaaaaa", time.Second))
	t.Cleanup(w.start(t))
	after(time.Minute)
	w.TrackerVerdict("proxy", reconcile.Up, "fine")
	after(time.Second)
	if s := w.Status(); s.Phase != control.Converged {
		t.Fatalf("status = %s %q, want converged", s.Phase, s.Message)
	}
	held := make(chan struct{})
	w.host.mu.Lock()
	w.host.held = map[resource.Kind]chan struct{}{resource.KindHAProxyFile: held}
	w.host.mu.Unlock()
	w.origin.push(withHAProxy("bbbbbbb", 2*time.Second))
	after(time.Minute)
	if s := w.Status(); s.Phase != control.Applying || !strings.Contains(s.Message, "bbbbbbb") {
		t.Fatalf("status during a reload = %s %q, want applying bbbbbbb", s.Phase, s.Message)
	}
	return w, func() { close(held) }
}

func TestAReloadKeepsNothingWaiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, reloaded := reloading(t)
		before := len(w.told())
		w.TrackerVerdict("proxy", reconcile.Down, "gone")
		synctest.Wait()
		if told := w.told()[before:]; len(told) != 1 || told[0].States["plugin/proxy"] != "down" {
			t.Errorf("vrrpd was told %v, want plugin/proxy down at once", told)
		}
		w.verdict("rs1", reconcile.Down)
		synctest.Wait()
		if got := w.weight(); got != 0 {
			t.Errorf("weight of a dead server = %d, want 0 at once", got)
		}
		reloaded()
		after(time.Second)
		if s := w.Status(); s.Phase != control.Converged {
			t.Errorf("status after the reload = %s %q, want converged", s.Phase, s.Message)
		}
	})
}

func TestWhoPlansWaitsForAReload(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, reloaded := reloading(t)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := w.Plan(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Plan() during a reload = %v, want it to wait", err)
		}
		planned := make(chan int, 1) // the number of changes
		go func() {
			f, err := w.Plan(t.Context())
			if err != nil {
				t.Error(err)
			}
			planned <- len(f.Changes)
		}()
		synctest.Wait()
		reloaded()
		if n := <-planned; n != 0 {
			t.Errorf("plan after the reload has %d changes, want none", n)
		}
	})
}

func TestAReloadThatFailsIsTriedEverMoreSlowly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, reloaded := reloading(t)
		w.host.mu.Lock()
		w.host.broken[resource.KindHAProxyFile] = errors.New("haproxy refuses it")
		w.host.applies = 0
		w.host.mu.Unlock()
		reloaded()
		after(10 * time.Minute)
		if s := w.Status(); s.Phase != control.Degraded || !strings.Contains(s.Message, "haproxy refuses it") {
			t.Errorf("status = %s %q, want degraded", s.Phase, s.Message)
		}
		w.host.mu.Lock()
		n := w.host.applies
		delete(w.host.broken, resource.KindHAProxyFile)
		w.host.mu.Unlock()
		if n < 3 || n > 50 {
			t.Errorf("attempts in 10 minutes = %d, want a back-off", n)
		}
		after(time.Minute)
		if s := w.Status(); s.Phase != control.Converged {
			t.Errorf("status = %s %q, want converged", s.Phase, s.Message)
		}
	})
}

func TestAnAgentThatStopsEndsAReload(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		reloading(t) // which the end of the test finds under way
	})
}

// TestAnApprovedPlanMayReload: the answer comes once the reload was made.
func TestAnApprovedPlanMayReload(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		cfg := w.config()
		cfg.PlanOnly = true
		w.Agent = New(cfg)
		w.origin.push(withHAProxy("aaaaaaa", time.Second))
		defer w.start(t)()
		after(time.Minute)
		f, err := w.Plan(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		res, err := w.Apply(t.Context(), control.ApplyRequest{Plan: f})
		if err != nil || len(res.Failed) > 0 || len(res.Applied) != len(f.Changes) || len(res.Applied) == 0 {
			t.Errorf("Apply() = %+v, %v, want all %d changes", res, err, len(f.Changes))
		}
	})
}
