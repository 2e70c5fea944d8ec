// Package spec holds what people write: a cluster as one node sees it, validated by
// package hcl and never modified afterwards. It travels as JSON from the compile child.
package spec

import "net/netip"

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
	IPVS            *IPVS           `json:"ipvs,omitempty"`
	HAProxies       []HAProxy       `json:"haproxies,omitempty"`
	Notify          []Notify        `json:"notify,omitempty"`
	Moved           []Moved         `json:"moved,omitempty"`
	// Lock says which binaries of plugins the repository trusts; nil if there is no lock file.
	Lock *Lock `json:"lock,omitempty"`
}

// A Node is one host of the cluster.
type Node struct {
	Origin  Origin     `json:"origin"`
	Name    string     `json:"name"`
	Address netip.Addr `json:"address"`
	// Key is the node's public key, "ed25519:" and 32 bytes in base64, by which the others know
	// it; empty if none is pinned.
	Key string `json:"key,omitempty"`
}

// Moved says that what was known of From is now known of To.
type Moved struct {
	Origin Origin `json:"origin"`
	From   string `json:"from"` // block address, such as pool.web
	To     string `json:"to"`
}
