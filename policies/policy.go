// Package policies judges plans by rules that are written in HCL: *.policy.hcl files.
package policies

import (
	hcl2 "github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"

	"github.com/hareconcile/hareconcile/hcl"
	"github.com/hareconcile/hareconcile/internal/spec"
	"github.com/hareconcile/hareconcile/reconcile"
)

// Suffix is how the names of policy files end; TestSuffix is that of their tests.
const (
	Suffix     = ".policy.hcl"
	TestSuffix = ".policytest.hcl"
)

// The enforcement levels. A mandatory policy stands in the way; an advisory one speaks up.
const (
	mandatory = "mandatory"
	advisory  = "advisory"
)

// The results of a policy.
const (
	passed = "pass"
	denied = "deny"
	failed = "error"
)

// Input is what a Set judges: one node's plan, and the clusters before and after.
type Input struct {
	Node string
	// Prior is the cluster in force; nil on first contact.
	Prior, Next *spec.Cluster
	Plan        reconcile.Plan
	// Managed is the number of objects that the node manages now.
	Managed int
}

// A Set is the policies of one source: "shipped", "host" or "repository".
// It is not safe for concurrent use.
type Set struct {
	name     string
	dialect  *hcl.Dialect
	values   map[string]cty.Value // input and local
	policies []policy
}

// A policy is one resource_policy or plan_policy block.
type policy struct {
	name       string
	at         hcl2.Range
	level      string
	kind       string   // of the resources that it judges; empty for a plan_policy
	operations []string // that it judges
	filter     hclsyntax.Expression
	enforce    []rule
}

// A rule is one enforce block.
type rule struct {
	at                 hcl2.Range
	condition, message hclsyntax.Expression
}
