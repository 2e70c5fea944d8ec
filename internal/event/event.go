// Package event holds what happened on a node, in order, for people and programs that want to
// be told.
package event

import (
	"strings"
	"time"
	"unicode"
)

// A Kind says what sort of thing happened.
type Kind string

// The kinds.
const (
	VRRPTransition  Kind = "vrrp_transition" // From and To are states; the first one seen has no From
	ServerUp        Kind = "real_server_up"
	ServerDown      Kind = "real_server_down"
	TrackerUp       Kind = "tracker_up"
	TrackerDown     Kind = "tracker_down"
	TrackerUnknown  Kind = "tracker_unknown"
	QuorumGained    Kind = "quorum_gained"
	QuorumLost      Kind = "quorum_lost"
	Alarm           Kind = "alarm"
	AlarmOver       Kind = "alarm_over"
	Conflict        Kind = "conflict" // an object in the way, that is not ours to change
	DriftRepaired   Kind = "drift_repaired"
	SourceFailed    Kind = "source_failed"
	SourceRecovered Kind = "source_recovered"
	VRRPDDown       Kind = "vrrpd_down"
	VRRPDUp         Kind = "vrrpd_up"
	Waiting         Kind = "waiting" // a revision passed every judgement, and waits for its turn
	Applying        Kind = "applying"
	Verified        Kind = "verified"
	Reverting       Kind = "reverting"
	RolledBack      Kind = "rolled_back"
	RevisionFailed  Kind = "revision_failed" // and is in force: there was nothing to go back to
	RevisionRefused Kind = "revision_refused"
	Superseded      Kind = "superseded"
	Quarantined     Kind = "quarantined"
	Retried         Kind = "retried"
	Ignored         Kind = "ignored" // a node that a rollout no longer waits for
	Suspended       Kind = "suspended"
	Resumed         Kind = "resumed"
)

// Kinds returns all kinds, in the order of the reference.
func Kinds() []Kind {
	return []Kind{
		VRRPTransition, ServerUp, ServerDown, TrackerUp, TrackerDown, TrackerUnknown, QuorumGained, QuorumLost, Alarm, AlarmOver,
		Conflict, DriftRepaired, SourceFailed, SourceRecovered, VRRPDDown, VRRPDUp, Waiting, Applying, Verified, Reverting,
		RolledBack, RevisionFailed, RevisionRefused, Superseded, Quarantined, Retried, Ignored, Suspended, Resumed,
	}
}

// An Event is one thing that happened.
type Event struct {
	Seq     uint64    `json:"seq"` // counts from 1 since the agent's start
	Time    time.Time `json:"time"`
	Kind    Kind      `json:"kind"`
	Node    string    `json:"node"`
	Cluster string    `json:"cluster,omitempty"`
	// Subject is what it happened to: a block address such as vrrp_instance.web, a server as
	// POOL/SERVER, an object as KIND/NAME, or nothing.
	Subject  string `json:"subject,omitempty"`
	From     string `json:"from,omitempty"`
	To       string `json:"to,omitempty"`
	Priority int    `json:"priority,omitempty"` // of a VRRP instance
	Revision string `json:"revision,omitempty"` // a commit
	// Reason is for people; it may come from a check or from git, cleaned and cut.
	Reason string `json:"reason,omitempty"`
}

// maxText bounds each text of an event, in bytes.
const maxText = 300

// clean makes a foreign text one short line that no terminal, mail header or shell takes amiss.
func clean(s string) string {
	cut := len(s) > maxText
	if cut {
		s = s[:maxText]
	}
	s = strings.TrimSpace(strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) || r == unicode.ReplacementChar {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, "")))
	if cut {
		s += "..."
	}
	return s
}

// cleaned returns e with every text that could come from elsewhere cleaned.
func (e Event) cleaned() Event {
	for _, s := range []*string{&e.Subject, &e.From, &e.To, &e.Revision, &e.Reason} {
		*s = clean(*s)
	}
	return e
}
