// Package planfile is the form in which a plan leaves the process: JSON with a
// format_version for programs and saved plans, text for people.
package planfile

import (
	"time"

	"github.com/hareconcile/hareconcile/internal/spec"
	"github.com/hareconcile/hareconcile/reconcile"
	"github.com/hareconcile/hareconcile/reconcile/resource"
)

// FormatVersion is written to every File; the major part changes when a reader would misread.
const FormatVersion = "1.0"

// A File is a plan with what is needed to judge whether it still holds.
type File struct {
	FormatVersion string `json:"format_version"`
	Version       string `json:"hareconcile_version"`
	Node          string `json:"node"`
	// BootID is the kernel's boot id; a plan never outlives a reboot.
	BootID   string    `json:"boot_id"`
	Revision Revision  `json:"revision"`
	Digest   string    `json:"config_digest"` // sha256 of the compiled cluster
	Created  time.Time `json:"created"`
	// FactsKnown is false when verdicts were not available; Uncompared counts what that left out.
	FactsKnown bool       `json:"facts_known"`
	Uncompared int        `json:"uncompared,omitempty"`
	Changes    []Change   `json:"resource_changes"`
	Conflicts  []Conflict `json:"conflicts,omitempty"`
	// Errors say of changes why they could never work on this host: such a plan is not applied.
	Errors   []Problem           `json:"errors,omitempty"`
	Policies []reconcile.Finding `json:"policy_results,omitempty"`
	// HAProxies say where the haproxies of the plan are and how they are handled, without their
	// content: of a folder's plan, no revision on the host says so when it is applied.
	HAProxies []spec.HAProxy `json:"haproxies,omitempty"`
	Summary   Summary        `json:"summary"`
}

// A Revision names what the plan was made from; Commit is empty for a folder on disk.
type Revision struct {
	Ref     string `json:"ref,omitempty"`
	Commit  string `json:"commit,omitempty"`
	Subject string `json:"subject,omitempty"`
	Dir     string `json:"dir,omitempty"`
}

// A Change is a reconcile.Change as written to a file. Before and After hold the kind's struct.
type Change struct {
	Address   string        `json:"address"` // kind/name of the resource
	Kind      resource.Kind `json:"kind"`
	Name      string        `json:"name"`
	Action    string        `json:"action"` // create, update, delete or adopt
	Before    any           `json:"before"`
	After     any           `json:"after"`
	DefinedAt *spec.Origin  `json:"defined_at,omitempty"`
	// Drain says that the server is on its way out: After has weight 0, and its deletion follows.
	Drain bool `json:"drain,omitempty"`
	// Class is how the change comes about in a program that runs, or why it does not.
	Class reconcile.Class `json:"class,omitempty"`
}

// A Conflict is a reconcile.Conflict as written to a file.
type Conflict struct {
	Address   string        `json:"address"`
	Kind      resource.Kind `json:"kind"`
	Name      string        `json:"name"`
	Live      any           `json:"live"`
	Want      any           `json:"want"`
	DefinedAt *spec.Origin  `json:"defined_at,omitempty"`
	// ByHand says that a person set it otherwise and may: it is drift, and in nobody's way.
	ByHand bool `json:"by_hand,omitempty"`
}

// A Problem is a reconcile.Problem as written to a file.
type Problem struct {
	Address   string       `json:"address"`
	Message   string       `json:"message"`
	DefinedAt *spec.Origin `json:"defined_at,omitempty"`
}

// Summary counts a plan's changes.
type Summary struct {
	Add       int `json:"add"`
	Change    int `json:"change"`
	Destroy   int `json:"destroy"`
	Adopt     int `json:"adopt"`
	Conflicts int `json:"conflicts"`
	// DestroyPercent is Destroy as a share of the objects managed before, rounded up.
	DestroyPercent int `json:"destroy_percent"`
}
