package spec

import (
	"net/netip"
	"time"
)

// A Lab is lab.hcl: what a laboratory needs to know beyond cluster.hcl.
type Lab struct {
	Segments []Segment `json:"segments"`
	Hosts    []LabHost `json:"hosts"`
	Serves   []Serve   `json:"serves"`
	// Git serves the repository; nil means that nodes read it from the disk.
	Git *LabGit `json:"git,omitempty"`
	// RestartDelay and RestartBurst are the units' restart policy (systemd.service(5)); default 100ms, no limit.
	RestartDelay time.Duration `json:"restart_delay"`
}

// A Segment is one link layer: a bridge that joins the hosts' eth0 (eth1 for a host's second segment, and so on).
type Segment struct {
	Origin Origin       `json:"origin"`
	Name   string       `json:"name"`
	Prefix netip.Prefix `json:"prefix"`
	Nodes  []string     `json:"nodes"` // cluster nodes on it
}

// A LabHost is a host that is no cluster node, such as a client.
type LabHost struct {
	Origin  Origin     `json:"origin"`
	Name    string     `json:"name"`
	Segment string     `json:"segment"`
	Address netip.Addr `json:"address"`
}

// A Serve is a web server on a host.
type Serve struct {
	Origin Origin `json:"origin"`
	Host   string `json:"host"`
	Body   string `json:"body"`
	Port   uint16 `json:"port"` // default 80
}
