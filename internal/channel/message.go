// Package channel is the protocol between the agent and hareconcile-vrrpd: length-prefixed
// JSON over a Unix socket. A request gets one response, except Subscribe, which gets a
// response for every change until the connection ends.
package channel

import (
	"net/netip"
	"time"

	"github.com/hareconcile/hareconcile/reconcile/resource"
)

// Version is the protocol version spoken; a peer may also speak Version-1.
const Version = 1

// A Request is one message to vrrpd. Exactly one of the pointers is set.
type Request struct {
	Version   int        `json:"version"`
	Config    *Config    `json:"config,omitempty"`    // replace the whole configuration, in place
	Track     *Track     `json:"track,omitempty"`     // the agent's word on plugin trackers
	Resign    *Resign    `json:"resign,omitempty"`    // give up mastership now
	Release   *Release   `json:"release,omitempty"`   // end the hold of a Resign
	Upgrade   *Upgrade   `json:"upgrade,omitempty"`   // go on as the program that is on disk now
	Query     *Query     `json:"query,omitempty"`     // report Status
	Subscribe *Subscribe `json:"subscribe,omitempty"` // report Status now and after every change
}

// A Response answers a Request.
type Response struct {
	Version int     `json:"version"`
	Error   string  `json:"error,omitempty"`
	Status  *Status `json:"status,omitempty"`
}

// Config is everything that vrrpd should run.
type Config struct {
	Instances []resource.VRRPInstance `json:"instances"`
	Trackers  []resource.VRRPTracker  `json:"trackers"`
}

// Track says how plugin trackers are, by key ("plugin/NAME"): "up", "down" or "" for unknown.
type Track struct {
	States map[resource.TrackerKey]string `json:"states"`
}

// Resign makes the named instances (all if none is named) send priority 0 and become BACKUP.
// For as long as Hold they leave a master that can be heard alone, whatever its priority; they
// become MASTER all the same if there is none. Asking again starts that time anew. A vrrpd that
// does not know Hold yet gives up mastership and preempts as configured.
type Resign struct {
	Instances []string      `json:"instances,omitempty"` // vrrp_instance ID names
	Hold      time.Duration `json:"hold,omitempty"`      // at most MaxHold
}

// MaxHold bounds a hold: whoever ordered it may be gone.
const MaxHold = time.Hour

// Release ends the hold of the named instances (all if none is named). It is no kind of Resign,
// so that a vrrpd that does not know it refuses it, and resigns nothing.
type Release struct {
	Instances []string `json:"instances,omitempty"` // vrrp_instance ID names
}

// Upgrade makes vrrpd replace itself by the program on disk, in the same process, with its
// sockets, lock and state: no peer notices. A program that cannot run is refused.
type Upgrade struct{}

// Query asks for Status.
type Query struct{}

// Subscribe asks for a stream of Status.
type Subscribe struct{}

// Status is what vrrpd is doing.
type Status struct {
	Config    Config           `json:"config"`
	Instances []InstanceStatus `json:"instances"`
	Trackers  []TrackerStatus  `json:"trackers"`
	// Repairs counts addresses that were missing or altered and were put back.
	Repairs uint64 `json:"repairs"`
	// Pauses counts the times the process did not run for longer than a down interval.
	Pauses uint64 `json:"pauses"`
	// Build is the version of the program.
	Build string `json:"build,omitempty"`
	// Upgrades counts the programs that went on as this process.
	Upgrades uint64 `json:"upgrades,omitempty"`
	// Overruns counts the times the kernel dropped events and everything was compared anew.
	Overruns uint64 `json:"overruns,omitempty"`
	// Realtime says whether the process runs under SCHED_RR with its memory locked.
	Realtime bool `json:"realtime,omitempty"`
}

// InstanceStatus is one virtual router now.
type InstanceStatus struct {
	Name     string     `json:"name"`  // vrrp_instance ID name
	State    string     `json:"state"` // MASTER, BACKUP, FAULT or INIT
	Reason   string     `json:"reason"`
	Since    time.Time  `json:"since"`
	Priority uint8      `json:"priority"`
	Master   netip.Addr `json:"master,omitzero"` // address of the master last heard, while BACKUP
	// Transitions counts state changes since vrrpd first started this instance; adoption keeps it.
	Transitions uint64 `json:"transitions"`
	// HoldUntil is when a hold ends, while there is one.
	HoldUntil time.Time `json:"hold_until,omitzero"`
	// Conflicts are virtual addresses that somebody else put on this host.
	Conflicts []string `json:"conflicts,omitempty"`
	// Held are the virtual addresses that this node holds now.
	Held []string `json:"held,omitempty"`
	// Alerts are what an operator should look at, such as another master of the same router:
	// what, and from where. They end a while after the last packet that gave cause.
	Alerts []string `json:"alerts,omitempty"`
	// Adverts counts packets by what became of them: "sent", "received", and one key for each reason to reject.
	Adverts map[string]uint64 `json:"adverts,omitempty"`
}

// TrackerStatus is one tracker now.
type TrackerStatus struct {
	Key     resource.TrackerKey `json:"key"`
	State   string              `json:"state"`             // "up", "down" or "" for unknown
	Value   int                 `json:"value,omitempty"`   // of a file
	Message string              `json:"message,omitempty"` // why, where that is known
}
