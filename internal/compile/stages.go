// Package compile turns commits into revisions: it runs fetch, verify, compile and policy,
// each in a child that can do no more than its part (package jail), and remembers the answer.
package compile

import (
	"context"
	"encoding/json"
	"fmt"
	"io"

	"github.com/hareconcile/hareconcile/hcl"
	"github.com/hareconcile/hareconcile/internal/gitsource"
	"github.com/hareconcile/hareconcile/internal/jail"
	"github.com/hareconcile/hareconcile/internal/spec"
)

// Stages are the children of this package, for jail.Main.
func Stages() map[string]jail.Stage {
	return map[string]jail.Stage{
		"fetch":   fetchStage,
		"verify":  verifyStage,
		"compile": compileStage,
		"policy":  policyStage,
	}
}

// fetchStage has network and credentials, and sees no HCL.
func fetchStage(ctx context.Context, in io.Reader, progress func(string)) (any, error) {
	c, err := decode[gitsource.Config](in)
	if err != nil {
		return nil, err
	}
	return gitsource.Fetch(ctx, c, progress)
}

// verifyStage has the repository as its working directory, and nothing else.
func verifyStage(_ context.Context, in io.Reader, _ func(string)) (any, error) {
	q, err := decode[gitsource.Request](in)
	if err != nil {
		return nil, err
	}
	return gitsource.Select(".", q)
}

// A source is what the compile child is given.
type source struct {
	Tree hcl.Tree          `json:"tree"`
	Node string            `json:"node"`
	Vars map[string]string `json:"vars,omitempty"`
}

// A compiled is what it gives back: Cluster is nil if a diagnostic is an error.
type compiled struct {
	Cluster     *spec.Cluster   `json:"cluster"`
	Diagnostics hcl.Diagnostics `json:"diagnostics"`
}

// compileStage has bytes, and nothing else.
func compileStage(_ context.Context, in io.Reader, progress func(string)) (any, error) {
	s, err := decode[source](in)
	if err != nil {
		return nil, err
	}
	c, ds := hcl.Compile(s.Tree, hcl.Options{Node: s.Node, Vars: s.Vars, Progress: progress})
	return compiled{c, ds}, nil
}

func decode[T any](in io.Reader) (T, error) {
	var v T
	d := json.NewDecoder(in)
	d.DisallowUnknownFields()
	if err := d.Decode(&v); err != nil {
		return v, fmt.Errorf("read input: %w", err)
	}
	return v, nil
}
