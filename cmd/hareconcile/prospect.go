package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/hareconcile/hareconcile/hcl"
	"github.com/hareconcile/hareconcile/internal/build"
	"github.com/hareconcile/hareconcile/internal/compile"
	"github.com/hareconcile/hareconcile/internal/control"
	"github.com/hareconcile/hareconcile/internal/revision"
	"github.com/hareconcile/hareconcile/reconcile"
	"github.com/hareconcile/hareconcile/reconcile/planfile"
	"github.com/hareconcile/hareconcile/reconcile/resource"
)

// A prospect is what a plan is made from: what should be, and what is.
type prospect struct {
	node    string
	next    *revision.Revision
	prior   *revision.Revision // nil on first contact
	named   planfile.Revision
	live    reconcile.Live
	facts   *reconcile.Facts
	boot    string
	unknown error // why Live.Unobserved is not empty
}

// A question says which plan is wanted.
type question struct {
	dir, node, against string
	vars               map[string]string
}

// prospect gathers what q needs. The agent's own plan is not among it.
func (h *host) prospect(ctx context.Context, e *env, q question) (*prospect, error) {
	p := &prospect{node: q.node}
	var snap *control.Snapshot
	if q.against != "" {
		s, err := readSnapshot(q.against)
		if err != nil {
			return nil, err
		}
		snap = &s
		if p.node == "" {
			p.node = s.Node
		}
		if p.node != s.Node {
			return nil, fmt.Errorf("%s is a snapshot of node %q, not of %q", q.against, s.Node, p.node)
		}
	}
	if p.node == "" {
		p.node = h.cfg.NodeName
	}
	if snap == nil && p.node != h.cfg.NodeName {
		return nil, fmt.Errorf("this host is node %q; to plan for %q, take a snapshot there and add -against SNAPSHOT", h.cfg.NodeName, p.node)
	}
	var client *control.Client
	if snap == nil {
		var err error
		if client, err = h.agentOrRoot("looking at this host"); err != nil {
			return nil, err
		}
	}
	if err := h.wanted(ctx, e, q, p); err != nil {
		return nil, err
	}
	if snap == nil {
		return p, h.observed(ctx, client, p)
	}
	p.facts = snap.Facts
	var err error
	p.live, err = snap.Live()
	return p, err
}

// wanted fills in the cluster: the folder's, or the last good revision's.
func (h *host) wanted(ctx context.Context, e *env, q question, p *prospect) error {
	good, err := revision.NewStore(h.cfg.DataDir).LoadGood()
	if q.dir == "" {
		switch {
		case err != nil:
			return err
		case good == nil:
			return fmt.Errorf("no agent runs here and %s holds no revision; name the folder of a cluster.hcl to plan it", h.cfg.DataDir)
		case good.Cluster.Node != p.node:
			return fmt.Errorf("the last good revision was compiled for node %q; to plan for %q, name the cluster's folder", good.Cluster.Node, p.node)
		}
		p.next, p.prior = good, good
		p.named = planfile.Revision{Ref: good.Ref, Commit: good.Commit, Subject: good.Subject}
		return nil
	}
	// A preview may be made by anybody, who may not be allowed to read what the agent stored.
	if err == nil && good != nil && good.Cluster.Node == p.node {
		p.prior = good
	}
	p.named = planfile.Revision{Dir: q.dir}
	p.next, err = compileDir(ctx, e, q.dir, p.node, q.vars, h.cfg.RepoPolicyDir)
	return err
}

// compileDir compiles a folder as if it were a revision, and says what is wrong with it.
func compileDir(ctx context.Context, e *env, dir, node string, vars map[string]string, policyDir string) (*revision.Revision, error) {
	tree, err := hcl.ReadTree(dir)
	if err != nil {
		return nil, err
	}
	c, ds, err := compile.Dir(ctx, dir, node, vars)
	if err != nil {
		return nil, fmt.Errorf("compile %s: %w", dir, err)
	}
	if err := e.diagnose(ds); err != nil {
		return nil, err
	}
	r := &revision.Revision{Cluster: c, Digest: compile.Digest(c), Policies: map[string][]byte{}}
	for name, b := range tree {
		if path.Dir(name) == path.Clean(policyDir) && path.Ext(name) == ".hcl" {
			r.Policies[name] = b
		}
	}
	return r, nil
}

// observed fills in what is: the agent's word with its facts, or what can be seen without.
func (h *host) observed(ctx context.Context, client *control.Client, p *prospect) error {
	var err error
	if p.boot, err = bootID(); err != nil {
		return err
	}
	if client != nil {
		s, err := client.Snapshot(ctx)
		if err != nil {
			return err
		}
		p.facts = s.Facts
		p.live, err = s.Live()
		return err
	}
	hs, err := handlers(h.cfg, h.runDir)
	if err != nil {
		return err
	}
	p.live, p.unknown = reconcile.Observe(ctx, hs)
	return nil
}

// plan makes the plan and has the policies judge it.
func (h *host) plan(ctx context.Context, p *prospect) (planfile.File, error) {
	target, err := reconcile.Desired(p.next.Cluster, p.node, p.facts)
	if err != nil {
		return planfile.File{}, err
	}
	diff := reconcile.Diff(p.live, target)
	cfg := h.cfg
	cfg.NodeName = p.node
	findings, err := compile.New(cfg, h.log).Policy(ctx, p.next, p.prior, diff, len(p.live.Owned))
	var refused *revision.Refused
	switch {
	case errors.As(err, &refused) && refused.Commit == "":
		return planfile.File{}, fmt.Errorf("the policies cannot be evaluated: %s", refused.Reason)
	case errors.As(err, &refused):
		return planfile.File{}, &codeError{exitRefused, err}
	case err != nil:
		return planfile.File{}, fmt.Errorf("evaluate the policies: %w", err)
	}
	f := planfile.New(planfile.Meta{
		Version: build.Version, Node: p.node, BootID: p.boot, Revision: p.named,
		Digest: p.next.Digest, Created: time.Now(), FactsKnown: p.facts != nil,
	}, diff, len(p.live.Owned), findings)
	return f, p.leftOut(target)
}

// leftOut returns an error that names the wanted objects whose kinds could not be looked at.
func (p *prospect) leftOut(t reconcile.Target) error {
	return leftOut(slices.Collect(maps.Keys(t.Set)), p.live, p.unknown)
}

// An omission is what a plan has to leave out because nothing answers for its kind.
type omission struct {
	names []string
	why   error
}

// Error implements error.
func (o *omission) Error() string {
	return fmt.Sprintf("these were left out: %s\n%v", strings.Join(o.names, ", "), o.why)
}

// leftOut returns an *omission if some of ids could not be looked at.
func leftOut(ids []resource.ID, live reconcile.Live, why error) error {
	var names []string
	for _, id := range ids {
		if slices.Contains(live.Unobserved, id.Kind) {
			names = append(names, id.String())
		}
	}
	if names == nil {
		return nil
	}
	slices.Sort(names)
	return &omission{names, why}
}

// denied returns an error for a plan that a mandatory policy stands against.
func denied(f planfile.File) error {
	if n := countDenials(f.Policies); n > 0 {
		return coded(exitDenied, "the plan is denied by %d mandatory policy result(s)", n)
	}
	return nil
}

func countDenials(fs []reconcile.Finding) int {
	n := 0
	for _, f := range fs {
		if f.Denies() {
			n++
		}
	}
	return n
}

// readSnapshot reads what `hareconcile snapshot` wrote.
func readSnapshot(path string) (control.Snapshot, error) {
	var s control.Snapshot
	b, err := readBounded(path, maxDocument)
	if err != nil {
		return s, err
	}
	if err := json.Unmarshal(b, &s); err != nil {
		return s, fmt.Errorf("%s is no snapshot: %w", path, err)
	}
	if major, _, _ := strings.Cut(s.FormatVersion, "."); major != "1" || s.Node == "" {
		return s, fmt.Errorf("%s is no snapshot of format 1: it has format_version %q and node %q", path, s.FormatVersion, s.Node)
	}
	return s, nil
}

// readPlan reads a saved plan.
func readPlan(path string) (planfile.File, error) {
	b, err := readBounded(path, maxDocument)
	if err != nil {
		return planfile.File{}, err
	}
	f, err := planfile.Decode(bytes.NewReader(b))
	if err != nil {
		return f, fmt.Errorf("%s is no saved plan: %w", filepath.Base(path), err)
	}
	return f, nil
}

// asOmission tells a plan with omissions from no plan.
func asOmission(err error) (*omission, bool) {
	var o *omission
	return o, errors.As(err, &o)
}
