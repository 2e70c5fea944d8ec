// Package control is the agent's API: JSON over HTTP on a Unix socket, its server and its client.
//
//	GET  /v1/status    Status
//	GET  /v1/events    a stream of Status, one JSON document a line, now and after every change;
//	                   with ?of=progress or ?of=drains of that part of it alone
//	GET  /v1/log       a stream of LogEntry: what happened; ?after=SEQ, ?follow=1
//	GET  /v1/plan      planfile.File for the agent's target revision
//	POST /v1/apply     ApplyRequest -> ApplyResult
//	POST /v1/reconcile look at the source now -> ReconcileResult
//	GET  /v1/drains    DrainResult
//	POST /v1/drain     DrainRequest -> DrainResult
//	POST /v1/order     Order -> OrderResult
//	GET  /v1/history   HistoryResult
//	GET  /v1/snapshot  Snapshot
package control

import (
	"encoding/json"
	"errors"
	"time"

	"github.com/hareconcile/hareconcile/internal/channel"
	"github.com/hareconcile/hareconcile/internal/journal"
	"github.com/hareconcile/hareconcile/internal/notify"
	"github.com/hareconcile/hareconcile/internal/peer"
	"github.com/hareconcile/hareconcile/internal/revision"
	"github.com/hareconcile/hareconcile/reconcile"
	"github.com/hareconcile/hareconcile/reconcile/planfile"
	"github.com/hareconcile/hareconcile/reconcile/resource"
)

// A Phase is what the agent is about.
type Phase string

// The phases.
const (
	Starting  Phase = "starting"  // no revision yet
	Converged Phase = "converged" // live is what the revision wants
	Applying  Phase = "applying"
	Degraded  Phase = "degraded" // a change failed or a conflict stands; retried
	Stopped   Phase = "stopped"  // no agent runs: said by the command line, never by an agent
)

// Status is an agent at one moment.
type Status struct {
	FormatVersion string    `json:"format_version"`
	Version       string    `json:"hareconcile_version"`
	Node          string    `json:"node"`
	Cluster       string    `json:"cluster,omitempty"`
	Started       time.Time `json:"started"`
	Phase         Phase     `json:"phase"`
	// Message says why the phase is what it is, in a sentence.
	Message  string            `json:"message,omitempty"`
	Revision planfile.Revision `json:"revision"`
	// SignedBy is who signed the revision's commit; empty where no signature was asked for.
	SignedBy string `json:"signed_by,omitempty"`
	// ConvergedAt is when the revision in force was first seen to be fully applied.
	ConvergedAt time.Time `json:"converged_at,omitzero"`
	// Alarms need a person; the node does what it can meanwhile.
	Alarms []reconcile.Alarm `json:"alarms,omitempty"`
	// Progress is how far an application of many changes is; nil while there is none.
	Progress *Progress         `json:"progress,omitempty"`
	Source   Source            `json:"source"`
	Look     Look              `json:"look,omitzero"`
	Webhook  *Webhook          `json:"webhook,omitempty"`
	Refused  *revision.Refused `json:"refused,omitempty"` // the newest commit, if it was refused
	// Self is what the other nodes are told of this one, Peers what they say; both only where
	// nodes take turns.
	Self  *peer.Message `json:"self,omitempty"`
	Peers []Peer        `json:"peers,omitempty"`
	// Rollout is the revision on its way; nil while there is none.
	Rollout *Rollout `json:"rollout,omitempty"`
	// Conditions are the whole in a few conditions, for programs that wait for one.
	Conditions []Condition `json:"conditions,omitempty"`
	// Failed says why the revision in force should not be, where it stays all the same.
	Failed string `json:"failed,omitempty"`
	// Quarantined are the revisions that failed and are not tried again.
	Quarantined []journal.Quarantined `json:"quarantined,omitempty"`
	Suspension  *journal.Suspension   `json:"suspension,omitempty"`
	// StoreError says why the last good revision is not on disk.
	StoreError string     `json:"store_error,omitempty"`
	Instances  []Instance `json:"vrrp_instances"`
	Services   []Service  `json:"virtual_servers"`
	Drains     []Drain    `json:"drains,omitempty"`
	Checks     *Checks    `json:"checks,omitempty"` // nil where nothing is checked
	Trackers   []Tracker  `json:"trackers"`
	// Notify is how each notify block copes.
	Notify    []notify.Stats `json:"notify,omitempty"`
	Drift     Drift          `json:"drift"`
	Conflicts []Conflict     `json:"conflicts"`
	VRRPD     string         `json:"vrrpd"` // "up", or why it cannot be reached
	// Findings are the advisory policies that spoke up on the revision in force.
	Findings []reconcile.Finding `json:"findings,omitempty"`
}

// Source is the state of the git source.
type Source struct {
	URL string `json:"url"`
	// LastSuccess is the last time the remote answered; its age is what people look at.
	LastSuccess time.Time `json:"last_success,omitzero"`
	Error       string    `json:"error,omitempty"`
}

// An Instance is a VRRP instance with its name in the cluster file.
type Instance struct {
	Name string `json:"name"`
	channel.InstanceStatus
}

// A Service is a virtual server of this node with its servers' verdicts.
type Service struct {
	Name string `json:"name"`
	// Service is what clients ask for, such as "tcp 192.0.2.1:80" or "mark 7 ipv4"; of
	// several the first, and then Services has them all.
	Service  string   `json:"service"`
	Services []string `json:"services,omitempty"`
	// Program says why the services are not in the table now, such as "this node is BACKUP";
	// empty if they are.
	Program string   `json:"not_programmed,omitempty"`
	Servers []Server `json:"servers"`
	// Quorum says whether the pool has the weights that the virtual server needs.
	Quorum bool `json:"quorum"`
	Sorry  bool `json:"sorry"` // the sorry pool is in service
	// Panic says that so many of the pool's servers are down that all of them are served.
	Panic bool `json:"panic,omitempty"`
}

// A Server is one server of a Service.
type Server struct {
	Name    string            `json:"name"`
	Address string            `json:"address"`
	Weight  int               `json:"weight"` // as it is in force now
	Verdict reconcile.Verdict `json:"verdict"`
	Message string            `json:"message,omitempty"`
	Since   time.Time         `json:"since,omitzero"`
	// Share is the percentage of its weight that a server in slow start has reached; 0 of all others.
	Share int `json:"share,omitempty"`
	// Dynamic is the weight that a check gives instead of the written one.
	Dynamic *int `json:"dynamic_weight,omitempty"`
	// Draining servers take no new connections and leave when Connections have ended; then
	// they are Drained, too.
	Draining    bool `json:"draining,omitempty"`
	Drained     bool `json:"drained,omitempty"`
	Connections int  `json:"connections,omitempty"`
}

// Checks is what the checker has to do, and how it copes.
type Checks struct {
	Targets  int    `json:"targets"` // what is checked: a server with two checks counts twice
	Made     uint64 `json:"made"`
	InFlight int    `json:"in_flight"`
	// LatenessP99 is how long after their time checks started, all but one in a hundred.
	LatenessP99 time.Duration `json:"lateness_p99"`
	// Unmeasured is how many could not be made, for want of something on this host such as a
	// secret: they say nothing of the server, whose last verdict counts. Complaint is what the
	// last of them said, of the server Complainer.
	Unmeasured   uint64              `json:"unmeasured,omitempty"`
	Complainer   reconcile.ServerRef `json:"complainer,omitempty"`
	Complaint    string              `json:"complaint,omitempty"`
	ComplainedAt time.Time           `json:"complained_at,omitzero"`
}

// Progress is how far an application is.
type Progress struct {
	Done  int           `json:"done"`
	Total int           `json:"total"`
	Kind  resource.Kind `json:"kind"` // of the change that was made last
}

// A Tracker is a tracker with its name in the cluster file.
type Tracker struct {
	Name    string            `json:"name"`
	Verdict reconcile.Verdict `json:"verdict"`
	Message string            `json:"message,omitempty"`
	// Report is what its plugin said last; nil where vrrpd looks by itself.
	Report *Report `json:"report,omitempty"`
}

// A Report is what a plugin said last. It is newer than the verdict, which takes several of
// them in a row.
type Report struct {
	Status  string             `json:"status"` // "pass", "warn", "fail" or "unknown"
	Code    string             `json:"code,omitempty"`
	Detail  string             `json:"detail,omitempty"`
	At      time.Time          `json:"at,omitzero"`
	Parts   []Part             `json:"parts,omitempty"`
	Metrics map[string]float64 `json:"metrics,omitempty"`
	Facts   map[string]string  `json:"facts,omitempty"`
	// Note says what is wrong with the plugin itself while it still answers.
	Note string `json:"note,omitempty"`
}

// A Part is one of several things that a plugin looked at.
type Part struct {
	Name   string `json:"name"`
	Status string `json:"status"`
	Detail string `json:"detail,omitempty"`
	Code   string `json:"code,omitempty"`
}

// Drift counts what others changed and the agent or vrrpd put back.
type Drift struct {
	Total uint64      `json:"total"`
	Last  []DriftItem `json:"last"` // newest first, at most 16
	// PollInterval is how often what sends no events is looked at now.
	PollInterval time.Duration `json:"poll_interval"`
	// Left is drift that agent.hcl says to report and not to correct, the oldest first, at most
	// 16 of LeftTotal.
	Left      []DriftLeft `json:"left,omitempty"`
	LeftTotal int         `json:"left_total,omitempty"`
}

// A DriftLeft is an object that somebody changed and that stays so until the next revision or
// `hareconcile apply`.
type DriftLeft struct {
	Resource string    `json:"resource"` // kind/name
	Since    time.Time `json:"since"`
	Found    string    `json:"found"`
	Want     string    `json:"want"`
}

// A DriftItem is one repair.
type DriftItem struct {
	Time     time.Time `json:"time"`
	Resource string    `json:"resource"` // kind/name
	Action   string    `json:"action"`   // what was done to repair it
}

// A Conflict is an object in the way, or one that a person set otherwise and may.
type Conflict struct {
	Resource string `json:"resource"`
	Detail   string `json:"detail"`
	ByHand   bool   `json:"by_hand,omitempty"`
}

// An ApplyRequest asks for exactly the plan that a person approved.
type ApplyRequest struct {
	// Plan is the approved plan; it is refused as stale if the agent would now do otherwise.
	Plan planfile.File `json:"plan"`
}

// ApplyResult says what was done.
type ApplyResult struct {
	Applied []string `json:"applied"` // "create sysctl/net/..."
	Failed  []string `json:"failed,omitempty"`
}

// Made records a change that was made.
func (r *ApplyResult) Made(c reconcile.Change) {
	r.Applied = append(r.Applied, c.Action.String()+" "+c.ID.String())
}

// Fail records each of the errors that errors.Join put together.
func (r *ApplyResult) Fail(err error) {
	var many interface{ Unwrap() []error }
	switch {
	case err == nil:
	case errors.As(err, &many):
		for _, e := range many.Unwrap() {
			r.Failed = append(r.Failed, e.Error())
		}
	default:
		r.Failed = append(r.Failed, err.Error())
	}
}

// An APIError is what every refusal looks like.
type APIError struct {
	Code    string `json:"code"` // "stale", "denied", "not_ready", "invalid" or "internal"
	Message string `json:"message"`
}

// Error implements error.
func (e *APIError) Error() string { return e.Message }

// A Snapshot is enough to plan for a node elsewhere: `plan -against SNAPSHOT`.
type Snapshot struct {
	FormatVersion string           `json:"format_version"`
	Node          string           `json:"node"`
	Taken         time.Time        `json:"taken"`
	Facts         *reconcile.Facts `json:"facts,omitempty"`
	Owned         []Object         `json:"owned"`
	Foreign       []Object         `json:"foreign"`
}

// An Object is one resource in a Snapshot.
type Object struct {
	Kind  resource.Kind   `json:"kind"`
	Name  string          `json:"name"`
	Value json.RawMessage `json:"value"`
}
