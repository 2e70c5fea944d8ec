package hcl

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/hareconcile/hareconcile/internal/spec"
)

func TestDrift(t *testing.T) {
	const head = `
node_name = "ka1"
source "git" "origin" {
  url = "/srv/git/edge.git"
  ref = { branch = "main" }
}
`
	for text, want := range map[string]spec.Drift{
		``:                               {},
		`reconcile {}`:                   {},
		`reconcile { drift = "report" }`: {Default: spec.DriftReport},
		`reconcile { drift = { sysctl = "ignore", default = "report", address = "correct" } }`: {
			Default: spec.DriftReport, Kinds: map[string]spec.DriftMode{"sysctl": spec.DriftIgnore, "address": spec.DriftCorrect},
		},
	} {
		a, ds := ParseAgent("agent.hcl", []byte(head+text))
		if ds.HasErrors() {
			t.Errorf("%s: %v", text, ds)
			continue
		}
		if d := cmp.Diff(want, a.Drift); d != "" {
			t.Errorf("%s (-want +got):\n%s", text, d)
		}
	}
}
