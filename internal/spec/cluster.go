// Package spec holds what people write: a cluster as one node sees it, validated by
// package hcl and never modified afterwards. It travels as JSON from the compile child.
package spec

import (
	"net/netip"
	"time"
)

// An Origin says where in the cluster's files something was written.
type Origin struct {
	Address string `json:"address"` // block address, such as vrrp_instance.web or virtual_server.web["http"]
	File    string `json:"file"`    // relative to the cluster's folder
	Line    int    `json:"line"`
}

// A Cluster is everything that the cluster file says, evaluated for one node.
type Cluster struct {
	Name string `json:"name"`
	// Node is the node whose view this is (the `node.*` context).
	Node            string          `json:"node"`
	RequiredVersion string          `json:"required_version,omitempty"`
	Nodes           []Node          `json:"nodes"`
	Rollout         Rollout         `json:"rollout"`
	Trackers        []Tracker       `json:"trackers,omitempty"`
	Instances       []VRRPInstance  `json:"vrrp_instances,omitempty"`
	Pools           []Pool          `json:"pools,omitempty"`
	VirtualServers  []VirtualServer `json:"virtual_servers,omitempty"`
	Moved           []Moved         `json:"moved,omitempty"`
}

// A Node is one host of the cluster.
type Node struct {
	Origin  Origin     `json:"origin"`
	Name    string     `json:"name"`
	Address netip.Addr `json:"address"`
}

// Rollout bounds what one push may do.
type Rollout struct {
	// MaxDestroyPercent is the share of managed objects that one plan may delete; 0 means no bound was written.
	MaxDestroyPercent int `json:"max_destroy_percent,omitempty"`
}

// A Pool is a set of servers that are checked together.
type Pool struct {
	Origin Origin `json:"origin"`
	Name   string `json:"name"`
	Port   uint16 `json:"port"`
	// OnFail is "weight_zero" or "remove".
	OnFail  string   `json:"on_fail"`
	Servers []Server `json:"servers"`
	Checks  []Check  `json:"checks,omitempty"` // all must pass
}

// A Server is one member of a pool.
type Server struct {
	Origin  Origin     `json:"origin"`
	Name    string     `json:"name"`
	Address netip.Addr `json:"address"`
	Port    uint16     `json:"port"` // the pool's, unless written
	Weight  int        `json:"weight"`
}

// A Check is how every server of a pool is probed.
type Check struct {
	Origin   Origin        `json:"origin"`
	Type     string        `json:"type"`             // "http" or "tcp"
	Path     string        `json:"path,omitempty"`   // http
	Method   string        `json:"method,omitempty"` // http
	Host     string        `json:"host,omitempty"`   // http; default: the server's address
	Status   []int         `json:"status,omitempty"` // http; the codes that pass
	Interval time.Duration `json:"interval"`
	Timeout  time.Duration `json:"timeout"`
	Rise     int           `json:"rise"`
	Fall     int           `json:"fall"`
}

// A VirtualServer is one IPVS service on the nodes of a VRRP instance.
type VirtualServer struct {
	Origin    Origin     `json:"origin"`
	Name      string     `json:"name"` // with the for_each key, as in web["http"]
	On        string     `json:"on"`   // name of the VRRP instance
	Address   netip.Addr `json:"address"`
	Port      uint16     `json:"port"`
	Protocol  string     `json:"protocol"`  // "tcp" or "udp"
	Scheduler string     `json:"scheduler"` // ipvsadm -s
	Forward   string     `json:"forward"`   // "dr"
	Pool      string     `json:"pool"`
	Sorry     string     `json:"sorry,omitempty"` // pool used while nothing in Pool is in service
	// Adopt takes over objects of this service that somebody else made, even if they differ.
	Adopt bool `json:"adopt,omitempty"`
}

// Moved says that what was known of From is now known of To.
type Moved struct {
	Origin Origin `json:"origin"`
	From   string `json:"from"` // block address, such as pool.web
	To     string `json:"to"`
}
