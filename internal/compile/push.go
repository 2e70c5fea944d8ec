package compile

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/hareconcile/hareconcile/hcl"
	"github.com/hareconcile/hareconcile/internal/gitsource"
	"github.com/hareconcile/hareconcile/internal/jail"
	"github.com/hareconcile/hareconcile/internal/revision"
	"github.com/hareconcile/hareconcile/internal/signature"
	"github.com/hareconcile/hareconcile/internal/spec"
)

// Signers reads a file of allowed signers for Push, as agents read theirs.
func Signers(file string) (*gitsource.Verification, error) {
	v, err := (&Pipeline{cfg: spec.Agent{SignersFile: file}}).trust()
	if err == nil {
		_, err = signature.New(v.Allowed)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return v, nil
}

// Push judges a commit in the bare repository at dir as a node that follows its branch will,
// in the same children, but for every node. The cluster is nil if a diagnostic is an error; what
// is refused before it is compiled is a *revision.Refused.
func Push(ctx context.Context, dir string, q gitsource.Request) (*spec.Cluster, hcl.Diagnostics, error) {
	refused := &revision.Refused{Commit: q.Tip, Stage: "verify"}
	var s gitsource.Selection
	err := jail.Run(ctx, "verify", jail.Limits{Dir: dir, CPU: 30 * time.Second, Wall: time.Minute}, q, &s)
	var death *jail.DeathError
	switch {
	case errors.As(err, &death):
		refused.Reason = reasonOf(err)
		return nil, nil, refused
	case err != nil:
		return nil, nil, err
	case s.Rejected != nil:
		refused.Stage, refused.Reason = s.Rejected.Stage, s.Rejected.Reason
		return nil, nil, refused
	}
	return tree(ctx, source{Tree: s.Files})
}
