package main

import (
	"fmt"
	"time"

	"github.com/hareconcile/hareconcile/internal/control"
)

// writeRollout writes who signed what is in force, what is new and not verified yet, what failed, and what is suspended.
func writeRollout(t table, s control.Status, now time.Time) {
	if s.SignedBy != "" {
		t.row(" ", "signed by "+s.SignedBy)
	}
	if s.Suspension != nil {
		until := ""
		if !s.Suspension.Until.IsZero() {
			until = ", until " + s.Suspension.Until.Format(time.RFC3339)
		}
		t.row("Suspended", fmt.Sprintf("%s by %s%s: %s", age(now, s.Suspension.Since), s.Suspension.By, until, s.Suspension.Reason))
	}
	if s.Failed != "" {
		t.row(" ", "it failed, and stays in force: "+s.Failed)
	}
	if r := s.Rollout; r != nil {
		t.row("Rollout", describe(r.Revision)+" is "+stage(*r, now))
		if r.Reason != "" {
			t.row(" ", r.Reason)
		}
	}
	for _, q := range s.Quarantined[max(0, len(s.Quarantined)-5):] {
		t.row("Quarantine", fmt.Sprintf("%.7s  %q, %s: %s", q.Commit, q.Subject, age(now, q.Time), q.Reason))
	}
}

// stage says where a revision is, and how long it may take there.
func stage(r control.Rollout, now time.Time) string {
	switch {
	case r.Stage == control.Verifying && !r.HealthySince.IsZero():
		return fmt.Sprintf("verifying: healthy for %v of %v", now.Sub(r.HealthySince).Round(time.Second), r.Needed)
	case r.Stage == control.Verifying, r.Stage == control.Trying:
		return fmt.Sprintf("%s, and goes back in %v unless it is healthy", r.Stage, r.Deadline.Sub(now).Round(time.Second))
	case r.Stage == control.Reverting:
		return fmt.Sprintf("undone; %.7s comes back", r.Prior)
	}
	return string(r.Stage) + " since " + age(now, r.Since)
}
