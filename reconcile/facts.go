package reconcile

import (
	"time"

	"github.com/hareconcile/hareconcile/internal/spec"
)

// A Verdict is what checks say of one server of a pool.
type Verdict string

// The verdicts. Without checks a server is Up; before the first result it is Unknown.
const (
	Unknown Verdict = ""
	Up      Verdict = "up"
	Down    Verdict = "down"
	// Degraded is up, and worth less than others: what a pool makes of it is its own affair.
	Degraded Verdict = "degraded"
)

// Serves reports whether a server may take connections.
func (v Verdict) Serves() bool { return v == Up || v == Degraded }

// A ServerRef names a server of a pool: "pool/server".
type ServerRef string

// NewServerRef returns the reference to a pool's server.
func NewServerRef(pool, server string) ServerRef { return ServerRef(pool + "/" + server) }

// Facts are what only this node knows now. They change without a push and never make a
// plan by themselves: the plan that follows a change of Facts is applied at once.
type Facts struct {
	// Servers holds the verdicts of checks; a server that is missing is Unknown.
	Servers map[ServerRef]Verdict `json:"servers"`
	// Weights are what dynamic checks say instead of the written weight.
	Weights map[ServerRef]int `json:"weights,omitempty"`
	// Shares are the percentages of their weight that servers in slow start have reached.
	Shares map[ServerRef]int `json:"shares,omitempty"`
	// Drains are the servers that `hareconcile drain` takes out, and how long each may keep
	// its connections.
	Drains map[ServerRef]time.Duration `json:"drains,omitempty"`
	// Drained are the servers in the table, by the name of their ID, whose connections have
	// ended or whose time is over since they were to leave.
	Drained map[string]bool `json:"drained,omitempty"`
	// Quorum says of virtual servers whether they had their quorum when it was last asked.
	// Between losing and gaining it lies the hysteresis, where this is what counts.
	Quorum map[string]bool `json:"quorum,omitempty"`
	// Roles holds the VRRP state (MASTER, BACKUP, FAULT, INIT) by vrrp_instance ID name.
	Roles map[string]string `json:"roles"`
	// Trackers holds the states of plugin trackers by name, for display.
	Trackers map[string]Verdict `json:"trackers"`
}

// Verdict returns what counts of a server of p: without checks it is up, and before the first
// result what the pool says.
func (f *Facts) Verdict(p spec.Pool, s spec.Server) Verdict {
	if len(p.Checks) == 0 {
		return Up
	}
	v := f.Servers[NewServerRef(p.Name, s.Name)]
	if v == Unknown && p.InitiallyUp {
		return Up
	}
	return v
}

// RoleMaster is the state of a VRRP instance in which it holds its addresses.
const RoleMaster = "MASTER"

// Role returns this node's state in i, or "" where it is not known.
func (f *Facts) Role(i spec.VRRPInstance) string { return f.Roles[InstanceID(i).Name] }

// An Alarm is something that needs a person though the node does what it can.
type Alarm struct {
	Subject string `json:"subject"` // block address, such as pool.web
	Kind    string `json:"kind"`    // "panic" or "no_quorum"
	Message string `json:"message"`
}
