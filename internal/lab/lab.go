// Package lab builds a cluster out of one machine: a network namespace for every host of a
// cluster.hcl and its lab.hcl, bridges between them, the real programs under a supervisor,
// and a git repository that they pull.
//
// One process holds a lab together: the first of a PID namespace of its own, so that the
// kernel ends every process, namespace and link of the lab with it, however it dies. Where
// the kernel has no IPVS and the cluster needs it, that process boots User-Mode Linux, and
// the same daemon runs inside; the outside talks to it over a serial line.
package lab

import (
	"io/fs"
	"time"
)

// A config is what the daemon builds. Up writes it to the lab's folder.
type config struct {
	Name string `json:"name"`
	// Dir is the lab's folder, the same path on the outside and inside.
	Dir string `json:"dir"`
	// Bin is the folder of hareconcile, hareconcile-vrrpd and the plugins.
	Bin      string        `json:"bin"`
	Segments []string      `json:"segments"`
	Hosts    []hostPlan    `json:"hosts"`
	Delay    time.Duration `json:"restart_delay"`
	// UML says that the daemon runs in User-Mode Linux.
	UML bool `json:"uml"`
}

// A hostPlan is one host to be made.
type hostPlan struct {
	Name     string        `json:"name"`
	Node     bool          `json:"node"`          // a node of the cluster
	Git      bool          `json:"git,omitempty"` // it serves the repository, and may write it
	Links    []linkPlan    `json:"links"`
	Services []servicePlan `json:"services"`
	// Files are written before the services start, and Folders made. Folders on the way are made.
	Files   []filePlan `json:"files"`
	Folders []string   `json:"folders,omitempty"`
}

// A linkPlan is an interface of a host and the bridge at its other end.
type linkPlan struct {
	Device  string `json:"device"` // eth0, eth1, ...
	Segment int    `json:"segment"`
	// Prefixes are the host's addresses with the network's length, first the segment's.
	Prefixes []string `json:"prefixes"`
}

// A servicePlan is a program that the supervisor keeps running on a host.
type servicePlan struct {
	Name string   `json:"name"`
	Argv []string `json:"argv"`
	Nice int      `json:"nice,omitempty"` // as the unit says
}

// A filePlan is a file of a host.
type filePlan struct {
	Path    string      `json:"path"`
	Content string      `json:"content"`
	Mode    fs.FileMode `json:"mode,omitempty"` // 0644 if absent
}

// A Status is a lab at one moment.
type Status struct {
	Name string `json:"name"`
	// Dir is the lab's folder, with its logs below log/.
	Dir string `json:"dir"`
	// Repository is where `git push` goes and what the nodes pull.
	Repository string       `json:"repository"`
	UML        bool         `json:"uml"`
	Hosts      []HostStatus `json:"hosts"`
}

// A HostStatus is one host of a lab.
type HostStatus struct {
	Name string `json:"name"`
	Node bool   `json:"node"`
	// Addresses are what the host's links have now, virtual addresses too.
	Addresses []string        `json:"addresses"`
	Cut       bool            `json:"cut"`
	Services  []ServiceStatus `json:"services"`
}

// A ServiceStatus is one supervised program.
type ServiceStatus struct {
	Name     string    `json:"name"`
	State    string    `json:"state"` // running, waiting (to be restarted) or stopped
	PID      int       `json:"pid"`   // in the lab's PID namespace; 0 unless running
	Restarts int       `json:"restarts"`
	Since    time.Time `json:"since"`
	// Last is how the program last ended: "exit status 1", "signal: killed".
	Last string `json:"last,omitempty"`
}

// Service returns the named service of a host.
func (s Status) Service(host, service string) (ServiceStatus, bool) {
	for _, h := range s.Hosts {
		for _, v := range h.Services {
			if h.Name == host && v.Name == service {
				return v, true
			}
		}
	}
	return ServiceStatus{}, false
}
