// Package revision is one commit's worth of cluster: what was fetched, verified and
// compiled for this node, and the store of the last good one.
package revision

import (
	"fmt"
	"time"

	"github.com/hareconcile/hareconcile/hcl"
	"github.com/hareconcile/hareconcile/internal/spec"
)

// A Revision is a commit that passed fetch, verify and compile.
type Revision struct {
	Ref       string    `json:"ref"`    // branch
	Commit    string    `json:"commit"` // 40 hex digits
	Subject   string    `json:"subject"`
	Author    string    `json:"author"`
	Committed time.Time `json:"committed"`
	SignedBy  string    `json:"signed_by,omitempty"` // empty where no signature was asked for
	// Digest is "sha256:" and the hash of the compiled cluster's JSON.
	Digest  string        `json:"digest"`
	Cluster *spec.Cluster `json:"cluster"`
	// Policies are the repository's policy files by name.
	Policies map[string][]byte `json:"policies,omitempty"`
}

// Short returns the commit's first seven digits, as people write it.
func (r *Revision) Short() string { return r.Commit[:min(7, len(r.Commit))] }

// A Refused error says that a commit was looked at and may not be applied. The old one stays in force.
type Refused struct {
	Commit  string `json:"commit"`
	Subject string `json:"subject,omitempty"`
	// Stage is fetch, select, verify, compile, policy or plan.
	Stage       string          `json:"stage"`
	Reason      string          `json:"reason"`
	Diagnostics hcl.Diagnostics `json:"diagnostics,omitempty"`
}

// Error implements error.
func (r *Refused) Error() string {
	return fmt.Sprintf("revision %.7s refused at %s: %s", r.Commit, r.Stage, r.Reason)
}
