package agent

import (
	"errors"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hareconcile/hareconcile/internal/control"
	"github.com/hareconcile/hareconcile/internal/pace"
	"github.com/hareconcile/hareconcile/internal/revision"
	"github.com/hareconcile/hareconcile/reconcile"
	"github.com/hareconcile/hareconcile/reconcile/resource"
)

// after lets d of fake time pass and everything settle.
func after(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}

// converged starts w with rs1 and rs2 up at revision aaaaaaa, weights 2 and 1.
func converged(t *testing.T, w *world) (stop func()) {
	t.Helper()
	w.origin.push(lab("aaaaaaa", 2))
	stop = w.start(t)
	synctest.Wait()
	w.verdict("rs1", reconcile.Up)
	w.verdict("rs2", reconcile.Up)
	synctest.Wait()
	if got := w.weight(); got != 2 {
		t.Fatalf("weight of rs1 = %d, want 2", got)
	}
	if s := w.Status(); s.Phase != control.Converged || s.Drift.Total != 0 {
		t.Fatalf("status = %s with drift %d, want converged with none", s.Phase, s.Drift.Total)
	}
	return stop
}

func TestServerWithoutVerdictIsNotInService(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.origin.push(lab("aaaaaaa", 2))
		defer w.start(t)()
		synctest.Wait()
		if got := w.weight(); got != 0 {
			t.Errorf("weight before the first verdict = %d, want 0", got)
		}
		if len(w.jobs) != 2 {
			t.Errorf("checks = %v, want one for each of 2 servers", w.jobs)
		}
	})
}

func TestConvergedRevisionIsKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		defer converged(t, w)()
		if w.shelf.good == nil || w.shelf.commit() != "aaaaaaa" {
			t.Errorf("stored revision = %v, want aaaaaaa", w.shelf.good)
		}
	})
}

func TestVerdictIsNoDrift(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		defer converged(t, w)()
		w.verdict("rs1", reconcile.Down)
		synctest.Wait()
		if got := w.weight(); got != 0 {
			t.Errorf("weight of a server that is down = %d, want 0", got)
		}
		after(10 * time.Minute)
		if got := w.Status().Drift.Total; got != 0 {
			t.Errorf("drift = %d, want 0", got)
		}
		f, err := w.Plan(t.Context())
		if err != nil || len(f.Changes) != 0 {
			t.Errorf("Plan() = %v, %v, want no changes", f.Changes, err)
		}
	})
}

func TestDriftIsMendedAndCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		defer converged(t, w)()
		byHand := rs1
		byHand.Weight = 77
		w.host.put(byHand)
		after(pollInterval)
		if got := w.weight(); got != 2 {
			t.Errorf("weight %v after a change by hand = %d, want 2", pollInterval, got)
		}
		d := w.Status().Drift
		if d.Total != 1 || len(d.Last) != 1 || d.Last[0].Resource != rs1.ID().String() {
			t.Errorf("drift = %+v, want one for %s", d, rs1.ID())
		}
	})
}

func TestKernelEventIsMendedAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		defer converged(t, w)()
		byHand := rs1
		byHand.Weight = 77
		w.host.put(byHand)
		w.KernelChanged()
		synctest.Wait()
		if got := w.weight(); got != 2 {
			t.Errorf("weight right after the event = %d, want 2", got)
		}
	})
}

func TestSecondPush(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		defer converged(t, w)()
		before := w.host.applies
		w.origin.push(lab("bbbbbbb", 5))
		after(10 * time.Second)
		if got := w.weight(); got != 5 {
			t.Errorf("weight after the push = %d, want 5", got)
		}
		if got := w.host.applies - before; got != 1 {
			t.Errorf("changes made = %d, want 1", got)
		}
		if got := w.Status().Drift.Total; got != 0 {
			t.Errorf("drift = %d, want 0", got)
		}
	})
}

func TestFetchNowDoesNotWaitForTheInterval(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		defer converged(t, w)()
		w.origin.push(lab("bbbbbbb", 5))
		w.FetchNow()
		synctest.Wait()
		if got := w.weight(); got != 5 {
			t.Errorf("weight right after FetchNow = %d, want 5", got)
		}
	})
}

func TestRefusalKeepsTheOldRevision(t *testing.T) {
	deny := []reconcile.Finding{{Policy: "vip_safety", File: "p.hcl", Line: 3, Level: "mandatory", Result: "deny", Message: "drops 172.25.254.100"}}
	tests := []struct {
		name  string
		spoil func(w *world)
		want  string
	}{
		{"policy denies", func(w *world) { w.origin.findings = deny; w.origin.push(lab("bbbbbbb", 5)) }, "drops 172.25.254.100"},
		{"source refuses", func(w *world) {
			w.origin.fail(&revision.Refused{Commit: "bbbbbbb", Stage: "compile", Reason: "cluster.hcl:1,1: bad"})
		}, "cluster.hcl:1,1"},
		{"object in the way", func(w *world) {
			r := lab("bbbbbbb", 5)
			r.Cluster.VirtualServers[0].Services[0].Port = 8080
			want := resource.IPVSService{ServiceKey: resource.ServiceKey{Protocol: "tcp", Address: netip.AddrPortFrom(r.Cluster.Instances[0].Addresses[0].Prefix.Addr(), 8080)}, Scheduler: "rr"}
			w.host.foreign[want.ID()] = want
			w.origin.push(r)
		}, "not made by hareconcile"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				defer converged(t, w)()
				before := w.host.applies
				tt.spoil(w)
				after(time.Minute)
				s := w.Status()
				if s.Refused == nil || s.Refused.Commit != "bbbbbbb" || !strings.Contains(s.Refused.Reason, tt.want) {
					t.Errorf("refused = %+v, want bbbbbbb for %q", s.Refused, tt.want)
				}
				if s.Revision.Commit != "aaaaaaa" || w.host.applies != before || w.weight() != 2 {
					t.Errorf("in force %s, %d changes, weight %d; want the old revision untouched",
						s.Revision.Commit, w.host.applies-before, w.weight())
				}
			})
		})
	}
}

func TestAnOldConflictKeepsNoPushOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		first := lab("aaaaaaa", 2)
		vs := first.Cluster.VirtualServers[0]
		vs.Name, vs.Services = "alt", slices.Clone(vs.Services)
		vs.Services[0].Port = 8080
		first.Cluster.VirtualServers = append(first.Cluster.VirtualServers, vs)
		taken := resource.IPVSService{ServiceKey: resource.ServiceKey{Protocol: "tcp", Address: netip.AddrPortFrom(vs.Services[0].Address, 8080)}, Scheduler: "rr"}
		w.host.foreign[taken.ID()] = taken
		w.origin.push(first)
		defer w.start(t)()
		synctest.Wait()
		w.verdict("rs1", reconcile.Up)
		second := lab("bbbbbbb", 5)
		second.Cluster.VirtualServers = append(second.Cluster.VirtualServers, vs)
		w.origin.push(second)
		after(time.Minute)
		if s := w.Status(); s.Revision.Commit != "bbbbbbb" || w.weight() != 5 || len(s.Conflicts) != 1 {
			t.Errorf("in force %s, weight %d, conflicts %v; want the push and the old conflict", s.Revision.Commit, w.weight(), s.Conflicts)
		}
	})
}

func TestAdoptTakesOverWhatIsInTheWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		defer converged(t, w)()
		r := lab("bbbbbbb", 2)
		vs := &r.Cluster.VirtualServers[0]
		vs.Services[0].Port, vs.Adopt = 8080, true
		want := resource.IPVSService{ServiceKey: resource.ServiceKey{Protocol: "tcp", Address: netip.AddrPortFrom(vs.Services[0].Address, 8080)}, Scheduler: "wrr"}
		other := want
		other.Scheduler = "rr"
		w.host.foreign[want.ID()] = other
		w.origin.push(r)
		after(time.Minute)
		if got := w.host.get(want.ID()); got != any(want) {
			t.Errorf("service in the way = %v, want it taken over as %v", got, want)
		}
	})
}

func TestUnreachableSourceChangesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		defer converged(t, w)()
		w.origin.fail(errors.New("connection refused"))
		after(time.Hour)
		s := w.Status()
		if s.Phase != control.Converged || s.Source.Error == "" || time.Since(s.Source.LastSuccess) < 59*time.Minute {
			t.Errorf("status = %s, source %+v; want converged, with the error and the age shown", s.Phase, s.Source)
		}
		w.origin.fail(nil)
		after(pace.BackOffMax)
		if s := w.Status(); s.Source.Error != "" || time.Since(s.Source.LastSuccess) > pace.BackOffMax {
			t.Errorf("source = %+v, want no error once it answers", s.Source)
		}
	})
}

func TestRestartTakesNothingOutOfService(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		converged(t, w)()
		next := newWorld(t)
		next.host, next.shelf = w.host, w.shelf
		next.cfg.Handlers, next.cfg.Store = w.host.handlers(), w.shelf
		next.origin.fail(errors.New("git is away"))
		before := w.host.applies
		defer next.start(t)()
		after(time.Minute)
		if got := w.host.applies - before; got != 0 {
			t.Errorf("changes after a restart = %d, want 0", got)
		}
		if len(next.jobs) != 2 || next.jobs[0].Initial != reconcile.Up {
			t.Errorf("checks after a restart = %+v, want 2 that start up", next.jobs)
		}
	})
}

// TestABlindStartTakesNothingOutOfService has a table that cannot be read at first.
func TestABlindStartTakesNothingOutOfService(t *testing.T) {
	for _, k := range []resource.Kind{resource.KindIPVSService, resource.KindIPVSServer} {
		for _, onFail := range []string{"weight_zero", "remove"} {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				converged(t, w)()
				w.shelf.good.Cluster.Pools[0].OnFail = onFail
				next := newWorld(t)
				next.host, next.shelf = w.host, w.shelf
				next.cfg.Handlers, next.cfg.Store = w.host.handlers(), w.shelf
				next.origin.fail(errors.New("git is away"))
				before := w.host.applies
				w.host.blind[k] = errors.New("no buffer space available")
				defer next.start(t)()
				after(time.Minute)
				w.host.mu.Lock()
				w.host.blind[k] = nil
				w.host.mu.Unlock()
				after(time.Minute)
				if got := w.host.applies - before; got != 0 {
					t.Errorf("%s unread at the start, %s: changes = %d, want 0", k, onFail, got)
				}
			})
		}
	}
}

func TestPlanOnlyWaitsForApproval(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.cfg.PlanOnly = true
		w.origin.push(lab("aaaaaaa", 2))
		defer w.start(t)()
		after(time.Minute)
		if w.host.applies != 0 {
			t.Fatalf("changes without approval = %d, want 0", w.host.applies)
		}
		f, err := w.Plan(t.Context())
		if err != nil || len(f.Changes) == 0 {
			t.Fatalf("Plan() = %v, %v, want changes", f.Changes, err)
		}
		stale := f
		stale.Digest = "sha256:other"
		var api *control.APIError
		if _, err := w.Apply(t.Context(), control.ApplyRequest{Plan: stale}); !errors.As(err, &api) || api.Code != "stale" {
			t.Errorf("Apply(another plan) = %v, want stale", err)
		}
		res, err := w.Apply(t.Context(), control.ApplyRequest{Plan: f})
		if err != nil || len(res.Applied) != len(f.Changes) {
			t.Errorf("Apply(approved) = %+v, %v, want all %d changes", res, err, len(f.Changes))
		}
	})
}

func TestOneBrokenKindDoesNotHoldUpTheOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.host.blind[resource.KindVRRPInstance] = errors.New("vrrpd is away")
		w.origin.push(lab("aaaaaaa", 2))
		defer w.start(t)()
		synctest.Wait()
		if got := w.weight(); got != 0 {
			t.Errorf("weight of rs1 = %d, want 0 (in the table)", got)
		}
		if s := w.Status(); s.Phase != control.Degraded || !strings.Contains(s.Message, "vrrpd is away") {
			t.Errorf("status = %s %q, want degraded with the reason", s.Phase, s.Message)
		}
		w.host.mu.Lock()
		clear(w.host.blind)
		w.host.mu.Unlock()
		after(retryMax)
		if s := w.Status(); s.Phase != control.Converged {
			t.Errorf("status = %s %q, want converged once vrrpd is back", s.Phase, s.Message)
		}
	})
}

func TestFailingChangeIsRetriedEverMoreSlowly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.host.broken[resource.KindIPVSService] = errors.New("no memory")
		w.origin.push(lab("aaaaaaa", 2))
		defer w.start(t)()
		after(10 * time.Minute)
		if w.host.applies > 50 {
			t.Errorf("attempts in 10 minutes = %d, want a back-off", w.host.applies)
		}
	})
}

func TestTrackerStatesReachVRRPD(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		defer converged(t, w)()
		w.TrackerVerdict("haproxy", reconcile.Down, "gone")
		synctest.Wait()
		after(3 * trackBeat)
		if len(w.told()) < 3 || w.told()[0].States["plugin/haproxy"] != "down" {
			t.Errorf("told vrrpd %v, want plugin/haproxy down at once and on every beat", w.told())
		}
	})
}

func TestPollingTakesATwentiethOfTheTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		defer converged(t, w)()
		slow := func(d time.Duration) {
			w.host.mu.Lock()
			defer w.host.mu.Unlock()
			w.host.slow = d
		}
		slow(100 * time.Millisecond)
		after(pollInterval + 150*time.Millisecond)
		if got := w.Status().Drift.PollInterval; got != pollInterval {
			t.Errorf("poll after one slow look = %v, want %v", got, pollInterval)
		}
		after(time.Minute)
		if got := w.Status().Drift.PollInterval; got != 2*time.Second {
			t.Errorf("poll after slow looks only = %v, want 2s", got)
		}
	})
}
