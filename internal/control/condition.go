package control

import (
	"cmp"
	"fmt"
	"slices"
	"time"
)

// A Condition is one thing that is so with a node, or is not: what programs wait for, in the
// words that kstatus and Flux have for it.
type Condition struct {
	Type    string    `json:"type"`
	Status  string    `json:"status"` // "True", "False" or "Unknown"
	Reason  string    `json:"reason"` // one word
	Message string    `json:"message,omitempty"`
	Since   time.Time `json:"since,omitzero"` // when Status was last another one
}

// The types of conditions. All of them are always there.
const (
	Ready          = "Ready"          // live is what the revision in force wants
	Reconciling    = "Reconciling"    // work is under way that will end by itself
	Stalled        = "Stalled"        // it will not, without somebody doing something
	SourceVerified = "SourceVerified" // the newest commit is one to trust
	FetchFailed    = "FetchFailed"    // the source does not answer
	Suspended      = "Suspended"
	RolledBack     = "RolledBack" // the newest commit failed on this node or another one
)

// Judge returns what is so with s at a moment; last is what was before, for Since.
func (s Status) Judge(last []Condition, now time.Time) []Condition {
	out := []Condition{s.ready(), s.reconciling(), s.stalled(now), s.sourceVerified(), s.fetchFailed(), s.suspended(), s.rolledBack()}
	for i, c := range out {
		out[i].Since = now
		if k := slices.IndexFunc(last, func(o Condition) bool { return o.Type == c.Type && o.Status == c.Status }); k >= 0 {
			out[i].Since = last[k].Since
		}
	}
	return out
}

// is returns a condition that is true or false.
func is(kind string, yes bool, reason, message string) Condition {
	status := "False"
	if yes {
		status = "True"
	}
	return Condition{Type: kind, Status: status, Reason: reason, Message: message}
}

func (s Status) ready() Condition {
	switch {
	case s.Phase == Stopped:
		return Condition{Type: Ready, Status: "Unknown", Reason: "NoAgent", Message: s.Message}
	case s.Phase != Converged:
		return is(Ready, false, map[Phase]string{Starting: "Starting", Applying: "Applying", Degraded: "Degraded"}[s.Phase], s.Message)
	case s.Failed != "":
		return is(Ready, false, "Failed", s.Failed)
	case len(s.Alarms) > 0:
		return is(Ready, false, "Alarm", s.Alarms[0].Message)
	}
	return is(Ready, true, "Converged", cmp.Or(s.Message, fmt.Sprintf("%.7s is in force", s.Revision.Commit)))
}

func (s Status) reconciling() Condition {
	switch r := s.Rollout; {
	case r != nil:
		reason := map[Stage]string{Waiting: "Waiting", Trying: "Applying", Verifying: "Verifying", Reverting: "Reverting"}[r.Stage]
		return is(Reconciling, true, reason, r.Reason)
	case s.Phase == Starting || s.Phase == Applying:
		return is(Reconciling, true, "Applying", s.Message)
	}
	return is(Reconciling, false, "Idle", "")
}

func (s Status) stalled(now time.Time) Condition {
	switch r := s.Rollout; {
	case r != nil && r.Stage == Reverting && now.After(r.Deadline):
		return is(Stalled, true, "RollbackFailed", r.Reason)
	case r != nil && r.Stage == Waiting && !r.Deadline.IsZero() && now.After(r.Deadline):
		return is(Stalled, true, "ProgressDeadlineExceeded", r.Reason)
	case s.Failed != "":
		return is(Stalled, true, "Failed", s.Failed)
	case s.Refused != nil:
		return is(Stalled, true, "Refused", fmt.Sprintf("%.7s is refused by %s: %s", s.Refused.Commit, s.Refused.Stage, s.Refused.Reason))
	}
	return is(Stalled, false, "Progressing", "")
}

func (s Status) sourceVerified() Condition {
	switch r := s.Refused; {
	case r != nil && (r.Stage == "select" || r.Stage == "verify"):
		return is(SourceVerified, false, "Refused", fmt.Sprintf("%.7s: %s", r.Commit, r.Reason))
	case s.Revision.Commit == "":
		return Condition{Type: SourceVerified, Status: "Unknown", Reason: "NoRevision"}
	case s.SignedBy != "":
		return is(SourceVerified, true, "Signed", fmt.Sprintf("%.7s is signed by %s", s.Revision.Commit, s.SignedBy))
	}
	return is(SourceVerified, true, "Descends", fmt.Sprintf("%.7s descends from what was trusted before; no signature is asked for", s.Revision.Commit))
}

func (s Status) fetchFailed() Condition {
	if s.Source.Error != "" {
		return is(FetchFailed, true, "NoAnswer", s.Source.Error)
	}
	return is(FetchFailed, false, "Fetched", "")
}

func (s Status) suspended() Condition {
	if s.Suspension != nil {
		return is(Suspended, true, "Ordered", s.Suspension.By+": "+s.Suspension.Reason)
	}
	return is(Suspended, false, "Active", "")
}

func (s Status) rolledBack() Condition {
	switch r := s.Rollout; {
	case r != nil && r.Stage == Reverting:
		return is(RolledBack, true, "Reverting", r.Reason)
	case s.Refused != nil && s.Refused.Stage == "quarantine":
		return is(RolledBack, true, "Quarantined", s.Refused.Reason)
	}
	return is(RolledBack, false, "InForce", "")
}
