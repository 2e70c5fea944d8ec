package control

import (
	"testing"
	"time"

	"github.com/hareconcile/hareconcile/internal/journal"
	"github.com/hareconcile/hareconcile/internal/revision"
	"github.com/hareconcile/hareconcile/reconcile/planfile"
)

func TestConditions(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	good := Status{Phase: Converged, Revision: planfile.Revision{Commit: "aaaaaaaaaa"}}
	with := func(f func(*Status)) Status { s := good; f(&s); return s }
	rollout := func(stage Stage, deadline time.Time) Status {
		return with(func(s *Status) { s.Rollout = &Rollout{Stage: stage, Reason: "why", Deadline: deadline} })
	}
	refused := func(stage string) Status {
		return with(func(s *Status) { s.Refused = &revision.Refused{Commit: "bbbbbbbbbb", Stage: stage, Reason: "why"} })
	}
	quiet := map[string]string{
		Ready: "True Converged", Reconciling: "False Idle", Stalled: "False Progressing", SourceVerified: "True Descends",
		FetchFailed: "False Fetched", Suspended: "False Active", RolledBack: "False InForce",
	}
	tests := map[string]struct {
		s    Status
		want map[string]string // that differ from quiet
	}{
		"all is well":     {good, nil},
		"signed":          {with(func(s *Status) { s.SignedBy = "alice" }), map[string]string{SourceVerified: "True Signed"}},
		"no agent":        {with(func(s *Status) { s.Phase = Stopped }), map[string]string{Ready: "Unknown NoAgent"}},
		"the first start": {Status{Phase: Starting}, map[string]string{Ready: "False Starting", Reconciling: "True Applying", SourceVerified: "Unknown NoRevision"}},
		"degraded":        {with(func(s *Status) { s.Phase = Degraded }), map[string]string{Ready: "False Degraded"}},
		"it waits":        {rollout(Waiting, now.Add(1)), map[string]string{Reconciling: "True Waiting"}},
		"it waits alone":  {rollout(Waiting, time.Time{}), map[string]string{Reconciling: "True Waiting"}},
		"it waits too long": {
			rollout(Waiting, now.Add(-1)), map[string]string{Reconciling: "True Waiting", Stalled: "True ProgressDeadlineExceeded"},
		},
		"it is verified": {rollout(Verifying, now.Add(-1)), map[string]string{Reconciling: "True Verifying"}},
		"it goes back":   {rollout(Reverting, now.Add(1)), map[string]string{Reconciling: "True Reverting", RolledBack: "True Reverting"}},
		"it cannot go back": {
			rollout(Reverting, now.Add(-1)), map[string]string{Reconciling: "True Reverting", RolledBack: "True Reverting", Stalled: "True RollbackFailed"},
		},
		"quarantined": {refused("quarantine"), map[string]string{Stalled: "True Refused", RolledBack: "True Quarantined"}},
		"unsigned":    {refused("verify"), map[string]string{Stalled: "True Refused", SourceVerified: "False Refused"}},
		"a mistake":   {refused("compile"), map[string]string{Stalled: "True Refused"}},
		"kept":        {with(func(s *Status) { s.Failed = "why" }), map[string]string{Ready: "False Failed", Stalled: "True Failed"}},
		"no source":   {with(func(s *Status) { s.Source.Error = "why" }), map[string]string{FetchFailed: "True NoAnswer"}},
		"suspended":   {with(func(s *Status) { s.Suspension = &journal.Suspension{} }), map[string]string{Suspended: "True Ordered"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got := tt.s.Judge(nil, now)
			if len(got) != len(quiet) {
				t.Errorf("%d conditions, want %d", len(got), len(quiet))
			}
			for _, c := range got {
				want, ok := tt.want[c.Type]
				if !ok {
					want = quiet[c.Type]
				}
				if got := c.Status + " " + c.Reason; got != want || !c.Since.Equal(now) {
					t.Errorf("%s is %q since %v, want %q", c.Type, got, c.Since, want)
				}
			}
		})
	}
	before := good.Judge(nil, now)
	for _, c := range rollout(Waiting, time.Time{}).Judge(before, now.Add(time.Hour)) {
		if changed := c.Since.After(now); changed != (c.Type == Reconciling) {
			t.Errorf("%s is so since %v", c.Type, c.Since)
		}
	}
}
