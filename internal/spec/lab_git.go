package spec

import "net/netip"

// A LabGit is a host of a lab that serves the lab's repository.
type LabGit struct {
	Origin  Origin     `json:"origin"`
	Name    string     `json:"name"`
	Segment string     `json:"segment"`
	Address netip.Addr `json:"address"`
	SSH     bool       `json:"ssh"`
	HTTPS   bool       `json:"https"`
	// Signed has agents take no commit that the lab's key has not signed.
	Signed bool `json:"signed,omitempty"`
}
