package agent

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hareconcile/hareconcile/internal/channel"
	"github.com/hareconcile/hareconcile/internal/control"
	"github.com/hareconcile/hareconcile/reconcile"
	"github.com/hareconcile/hareconcile/reconcile/resource"
)

func TestARevisionIsStoredOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		defer converged(t, w)()
		after(time.Minute)
		if w.shelf.saves != 1 {
			t.Errorf("writes to the store = %d, want 1", w.shelf.saves)
		}
		first := w.Status().ConvergedAt
		w.origin.push(lab("bbbbbbb", 5))
		after(time.Minute)
		if s := w.Status(); w.shelf.saves != 2 || !s.ConvergedAt.After(first) {
			t.Errorf("writes after a push = %d, converged at %v; want 2 and later than %v", w.shelf.saves, s.ConvergedAt, first)
		}
	})
}

func TestNewsTriesAFailedChangeAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.host.broken[resource.KindVRRPInstance] = errors.New("vrrpd is away")
		w.origin.push(lab("aaaaaaa", 2))
		defer w.start(t)()
		after(5 * time.Minute)
		w.host.mu.Lock()
		clear(w.host.broken)
		w.host.mu.Unlock()
		w.VRRPStatus(&channel.Status{}, nil)
		synctest.Wait()
		if s := w.Status(); s.Phase != control.Converged {
			t.Errorf("status = %s %q, want converged as soon as vrrpd is back", s.Phase, s.Message)
		}
	})
}

func TestServerThatComesBackWaitsForAVerdict(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		defer converged(t, w)()
		without := lab("bbbbbbb", 2)
		without.Cluster.Pools[0].Servers = without.Cluster.Pools[0].Servers[1:]
		w.origin.push(without)
		after(time.Minute)
		if got := w.weight(); got != -1 {
			t.Fatalf("weight of a server that is no more = %d, want none", got)
		}
		w.origin.push(lab("ccccccc", 2))
		after(time.Minute)
		if got := w.weight(); got != 0 {
			t.Errorf("weight of a server that is back = %d, want 0 until it was checked", got)
		}
	})
}

func TestFactsForgetInstancesThatAreGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		defer converged(t, w)()
		for _, name := range []string{"eth0/100/ipv4", "eth0/101/ipv4"} {
			w.VRRPStatus(&channel.Status{Instances: []channel.InstanceStatus{{Name: name, State: "MASTER"}}}, nil)
			synctest.Wait()
		}
		s, err := w.Snapshot(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if got := slices.Collect(maps.Keys(s.Facts.Roles)); !slices.Equal(got, []string{"eth0/101/ipv4"}) {
			t.Errorf("roles = %v, want those of the last status only", got)
		}
	})
}

func TestAStopRefusesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		var log bytes.Buffer
		w.cfg.Log = slog.New(slog.NewTextHandler(&log, nil))
		w.origin.ponders = true
		w.origin.push(lab("aaaaaaa", 2))
		stop := w.start(t)
		after(time.Second)
		start := time.Now()
		stop()
		if took := time.Since(start); took != 0 || strings.Contains(log.String(), "refused") || w.host.applies != 0 {
			t.Errorf("a stop took %v and %d changes, and said:\n%s", took, w.host.applies, log.String())
		}
	})
}

func TestStatusRemembersTheLastRepairs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		defer converged(t, w)()
		for i := range maxDrift + 4 {
			byHand := rs1
			byHand.Weight = 50 + i
			w.host.put(byHand)
			w.KernelChanged()
			after(3 * time.Minute) // more often it would be contested
		}
		if d := w.Status().Drift; d.Total != maxDrift+4 || len(d.Last) != maxDrift {
			t.Errorf("drift = %d with %d remembered, want %d and %d", d.Total, len(d.Last), maxDrift+4, maxDrift)
		}
	})
}

func TestStatusTellsFindingsThatSpokeUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.origin.judge([]reconcile.Finding{
			{Policy: "quiet", Level: "mandatory", Result: "pass"}, {Policy: "loud", Level: "advisory", Result: "deny"},
		})
		defer converged(t, w)()
		if f := w.Status().Findings; len(f) != 1 || f[0].Policy != "loud" {
			t.Errorf("findings = %+v, want loud alone", f)
		}
	})
}

func TestPlanForAnotherNodeIsRefusedByName(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		defer converged(t, w)()
		f, err := w.Plan(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		f.Node = "ka2"
		var api *control.APIError
		if _, err := w.Apply(t.Context(), control.ApplyRequest{Plan: f}); !errors.As(err, &api) || api.Code != "invalid" {
			t.Errorf("Apply(plan for ka2) = %v, want invalid", err)
		}
	})
}

func TestApplyTellsWhatFailed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.cfg.PlanOnly = true
		w.host.broken[resource.KindVRRPInstance] = errors.New("vrrpd refuses")
		w.origin.push(lab("aaaaaaa", 2))
		defer w.start(t)()
		after(time.Second)
		f, err := w.Plan(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		res, err := w.Apply(t.Context(), control.ApplyRequest{Plan: f})
		if err != nil || len(res.Applied) != len(f.Changes)-1 || fmt.Sprint(res.Failed) != "[create vrrp_instance/eth0/100/ipv4: vrrpd refuses]" {
			t.Errorf("Apply() = %+v, %v, want all but the instance", res, err)
		}
	})
}
