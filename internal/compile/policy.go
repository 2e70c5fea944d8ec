package compile

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/hareconcile/hareconcile/hcl"
	"github.com/hareconcile/hareconcile/internal/build"
	"github.com/hareconcile/hareconcile/internal/jail"
	"github.com/hareconcile/hareconcile/internal/revision"
	"github.com/hareconcile/hareconcile/internal/spec"
	"github.com/hareconcile/hareconcile/policies"
	"github.com/hareconcile/hareconcile/reconcile"
	"github.com/hareconcile/hareconcile/reconcile/planfile"
)

// The bounds of the host's policies; the repository's have those of a commit.
const (
	// A first push of 10,000 services keeps a processor busy for seconds, and not alone.
	policyCPU  = 30 * time.Second
	policyWall = time.Minute

	maxHostPolicies = 64
	maxHostPolicy   = 256 << 10 // bytes of one file
)

// A judgement is what the policy child is given.
type judgement struct {
	Node    string          `json:"node"`
	Prior   *spec.Cluster   `json:"prior,omitempty"`
	Next    *spec.Cluster   `json:"next"`
	Same    bool            `json:"same,omitempty"` // Prior is Next
	Plan    json.RawMessage `json:"plan"`           // planfile.File
	Managed int             `json:"managed"`
	// Host, Old and New are policy files: the host's own, the repository's at Prior where
	// they differ, and at Next.
	Host map[string][]byte `json:"host,omitempty"`
	Old  map[string][]byte `json:"old,omitempty"`
	New  map[string][]byte `json:"new,omitempty"`
}

// A verdict is what it gives back: Findings, unless a set could not be read.
type verdict struct {
	Findings    []reconcile.Finding `json:"findings"`
	Diagnostics hcl.Diagnostics     `json:"diagnostics,omitempty"`
}

// Policy judges going from prior (nil on first contact) to rev by plan. The shipped
// policies, the host's, and the repository's as they were and as they will be all have a
// say. Whatever cannot be read or evaluated denies: the error is a *revision.Refused.
func (p *Pipeline) Policy(
	ctx context.Context, rev, prior *revision.Revision, plan reconcile.Plan, managed int,
) ([]reconcile.Finding, error) {
	refused := &revision.Refused{Commit: rev.Commit, Subject: rev.Subject, Stage: "policy"}
	in := judgement{Node: p.cfg.NodeName, Next: rev.Cluster, Managed: managed, New: rev.Policies}
	if prior != nil {
		in.Same = prior.Cluster == rev.Cluster || prior.Digest != "" && prior.Digest == rev.Digest
		if !in.Same {
			in.Prior = prior.Cluster
		}
		if !maps.EqualFunc(prior.Policies, rev.Policies, bytes.Equal) {
			in.Old = prior.Policies
		}
	}
	var err error
	if in.Host, err = hostPolicies(p.cfg.PolicyDir); err != nil {
		refused.Reason = "read the host's policies: " + err.Error()
		return nil, refused
	}
	var file bytes.Buffer
	meta := planfile.Meta{Version: build.Version, Node: p.cfg.NodeName, Digest: rev.Digest}
	if err := planfile.New(meta, plan, managed, nil).Encode(&file); err != nil {
		return nil, err
	}
	in.Plan = file.Bytes()
	var out verdict
	err = jail.Run(ctx, "policy", jail.Limits{CPU: policyCPU, Wall: policyWall, Log: p.log}, in, &out)
	switch {
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case err != nil:
		refused.Reason = reasonOf(err)
		return nil, refused
	case out.Diagnostics.HasErrors():
		refused.Reason, refused.Diagnostics = summary(out.Diagnostics), out.Diagnostics
		return nil, refused
	}
	return out.Findings, nil
}

// hostPolicies reads the host's own policy files; an empty dir means that there are none.
func hostPolicies(dir string) (map[string][]byte, error) {
	out := map[string][]byte{}
	if dir == "" {
		return out, nil
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		if path.Ext(e.Name()) != ".hcl" {
			continue
		}
		if len(out) == maxHostPolicies {
			return nil, fmt.Errorf("%s holds more than %d files", dir, maxHostPolicies)
		}
		name := filepath.Join(dir, e.Name())
		b, err := readBounded(name)
		if err != nil {
			return nil, err
		}
		out[name] = b
	}
	return out, nil
}

func readBounded(name string) ([]byte, error) {
	f, err := os.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0) // a pipe would block
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	b, err := io.ReadAll(io.LimitReader(f, maxHostPolicy+1))
	if err == nil && len(b) > maxHostPolicy {
		err = fmt.Errorf("%s is longer than %d bytes", name, maxHostPolicy)
	}
	return b, err
}

// policyStage has bytes, and nothing else.
func policyStage(_ context.Context, in io.Reader, progress func(string)) (any, error) {
	j, err := decode[judgement](in)
	if err != nil {
		return nil, err
	}
	file, err := planfile.Decode(bytes.NewReader(j.Plan))
	if err != nil {
		return nil, err
	}
	if j.Next == nil {
		return nil, errors.New("no cluster to judge")
	}
	if j.Same {
		j.Prior = j.Next
	}
	input := policies.Input{Node: j.Node, Prior: j.Prior, Next: j.Next, Plan: file.Plan(), Managed: j.Managed}
	progress("the shipped policies")
	out := verdict{Findings: policies.Shipped().Evaluate(input)}
	progress("the host's policies")
	out.judge("host", j.Host, input)
	progress("the repository's policies")
	out.judge("repository", j.New, input)
	if len(j.Old) > 0 {
		progress("the repository's policies as they were")
		out.judgeOld(j.Old, input)
	}
	return out, nil
}

// judge adds what the files of one source say.
func (v *verdict) judge(set string, files map[string][]byte, in policies.Input) {
	v.Diagnostics = append(v.Diagnostics, misnamed(files)...)
	s, ds := policies.Parse(set, files)
	v.Diagnostics = append(v.Diagnostics, ds...)
	if s != nil && !ds.HasErrors() {
		v.add(s.Evaluate(in))
	}
}

// judgeOld adds what the policies in force until now say, so that a commit cannot pass by
// removing what forbids it. If this release cannot read what an older one could, no commit
// could ever mend that: it is reported and stands in nobody's way.
func (v *verdict) judgeOld(files map[string][]byte, in policies.Input) {
	s, ds := policies.Parse("repository", files)
	if s == nil || ds.HasErrors() {
		v.add([]reconcile.Finding{{
			Set: "repository", Policy: "policies before this commit", Level: "advisory", Result: "error", Message: summary(ds),
		}})
		return
	}
	v.add(s.Evaluate(in))
}

// add appends findings, each once: the old and the new set mostly say the same.
func (v *verdict) add(findings []reconcile.Finding) {
	seen := make(map[reconcile.Finding]bool, len(v.Findings))
	for _, f := range v.Findings {
		seen[f] = true
	}
	for _, f := range findings {
		if !seen[f] {
			v.Findings = append(v.Findings, f)
		}
	}
}

// misnamed refuses files that look like policies and would not be read.
func misnamed(files map[string][]byte) hcl.Diagnostics {
	var out hcl.Diagnostics
	for name := range files {
		if !strings.HasSuffix(name, policies.Suffix) && !strings.HasSuffix(name, policies.TestSuffix) {
			out = append(out, hcl.Diagnostic{
				Severity: hcl.Error, Summary: "Not a policy file", File: name,
				Detail: "Files in a folder of policies end in " + policies.Suffix + " or " + policies.TestSuffix + ".",
			})
		}
	}
	return out
}
