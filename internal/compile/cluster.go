package compile

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"path"
	"time"

	"github.com/hareconcile/hareconcile/hcl"
	"github.com/hareconcile/hareconcile/internal/gitsource"
	"github.com/hareconcile/hareconcile/internal/jail"
	"github.com/hareconcile/hareconcile/internal/revision"
	"github.com/hareconcile/hareconcile/internal/spec"
)

// Digest returns "sha256:" and the hash of the cluster's JSON, whose order is fixed: struct
// fields as declared, maps by key.
func Digest(c *spec.Cluster) string {
	b, err := json.Marshal(c)
	if err != nil {
		panic(err) // a Cluster holds nothing that JSON cannot say
	}
	sum := sha256.Sum256(b)
	return "sha256:" + hex.EncodeToString(sum[:])
}

// Dir compiles the folder dir for node, or for every node if that is empty, in the same
// child as a commit's. The cluster is nil if a diagnostic is an error.
func Dir(ctx context.Context, dir, node string, vars map[string]string) (*spec.Cluster, hcl.Diagnostics, error) {
	files, err := hcl.ReadTree(dir)
	if err != nil {
		return nil, nil, err
	}
	return tree(ctx, source{Tree: files, Node: node, Vars: vars})
}

// tree compiles files in the child.
func tree(ctx context.Context, s source) (*spec.Cluster, hcl.Diagnostics, error) {
	out, err := run(ctx, s, compiler(nil))
	var death *jail.DeathError
	if errors.As(err, &death) {
		return nil, deathDiagnostics(death), nil
	}
	if err != nil {
		return nil, nil, err
	}
	return out.Cluster, out.Diagnostics, nil
}

// compile turns a commit's files into this node's view.
func (p *Pipeline) compile(ctx context.Context, s *gitsource.Selection) (*spec.Cluster, error) {
	refused := &revision.Refused{Commit: s.Commit, Subject: s.Subject, Stage: "compile"}
	out, err := run(ctx, source{Tree: s.Files, Node: p.cfg.NodeName}, compiler(p.log))
	var death *jail.DeathError
	if errors.As(err, &death) {
		refused.Reason, refused.Diagnostics = reasonOf(err), deathDiagnostics(death)
		return nil, &refusal{refused}
	}
	if err != nil {
		return nil, err
	}
	if out.Cluster == nil || out.Diagnostics.HasErrors() {
		refused.Reason, refused.Diagnostics = summary(out.Diagnostics), out.Diagnostics
		return nil, refused
	}
	return out.Cluster, nil
}

// compiler returns the limits of the child. Ten thousand services with five servers take
// seconds, and as many again for each node whose view is its own.
func compiler(log *slog.Logger) jail.Limits {
	return jail.Limits{CPU: 30 * time.Second, Wall: time.Minute, Log: log}
}

func run(ctx context.Context, s source, l jail.Limits) (compiled, error) {
	var out compiled
	err := jail.Run(ctx, "compile", l, s, &out)
	return out, err
}

// deathDiagnostics names the file that the compiler died of, as far as that is known.
func deathDiagnostics(d *jail.DeathError) hcl.Diagnostics {
	return hcl.Diagnostics{{
		Severity: hcl.Error, Summary: "The compiler could not cope with this file", File: d.Last,
		Detail: "It was stopped: " + d.Reason + ".",
	}}
}

// summary is the first error in one line, and how many there are.
func summary(ds hcl.Diagnostics) string {
	var first *hcl.Diagnostic
	n := 0
	for k, d := range ds {
		if d.Severity == hcl.Error {
			n++
			if first == nil {
				first = &ds[k]
			}
		}
	}
	if first == nil {
		return "the compiler gave no cluster"
	}
	text := first.Summary
	if first.Detail != "" {
		text += ": " + first.Detail
	}
	switch {
	case first.File != "" && first.Start.Line > 0:
		text = fmt.Sprintf("%s:%d,%d: %s", first.File, first.Start.Line, first.Start.Column, text)
	case first.File != "":
		text = first.File + ": " + text
	}
	if n > 1 {
		text += fmt.Sprintf(" (and %d more errors)", n-1)
	}
	return text
}

// policyFiles are the policy files among a commit's files.
func policyFiles(files map[string][]byte, dir string) map[string][]byte {
	out := map[string][]byte{}
	for name, b := range files {
		if path.Dir(name) == path.Clean(dir) && path.Ext(name) == ".hcl" {
			out[name] = b
		}
	}
	return out
}
