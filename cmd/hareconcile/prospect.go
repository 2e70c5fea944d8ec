package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
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
	"github.com/hareconcile/hareconcile/internal/spec"
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
	// handlers are this host's, where the plan is for it and not for a snapshot.
	handlers []reconcile.Handler
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
	looking, enough := context.WithCancel(ctx)
	defer enough()
	looked := make(chan error, 1) // one answer
	go func() {                   // a large table takes as long to read as to compile
		if snap == nil {
			looked <- h.observed(looking, client, p)
			return
		}
		var err error
		p.facts = snap.Facts
		p.live, err = snap.Live()
		looked <- err
	}()
	if err := h.wanted(ctx, e, q, p); err != nil {
		enough()
		<-looked
		return nil, err
	}
	if err := e.during("Looking at this host", func() error { return <-looked }); err != nil {
		return nil, err
	}
	if snap == nil && client == nil {
		h.lookAtProxies(ctx, p)
	}
	if snap == nil {
		if err := h.lint(ctx, e, p.next.Cluster); err != nil {
			return nil, err
		}
	}
	return p, nil
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
	if p.next, err = compileDir(ctx, e, q.dir, p.node, q.vars, h.cfg.RepoPolicyDir); err != nil {
		return err
	}
	return e.diagnose(h.unallowed(p.next.Cluster))
}

// compileDir compiles a folder as if it were a revision, and says what is wrong with it.
func compileDir(ctx context.Context, e *env, dir, node string, vars map[string]string, policyDir string) (*revision.Revision, error) {
	tree, err := hcl.ReadTree(dir)
	if err != nil {
		return nil, err
	}
	var c *spec.Cluster
	var ds hcl.Diagnostics
	err = e.during("Compiling "+clean(dir), func() (err error) {
		c, ds, err = compile.Dir(ctx, dir, node, vars)
		return err
	})
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
	if p.handlers, err = handlers(h.cfg, h.runDir, h.proxies, h.log); err != nil {
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
	p.live, p.unknown = reconcile.Observe(ctx, p.handlers)
	return nil
}

// drained returns the servers of ours that take no new connections and have none left. An
// agent knows better; where none runs, this lets a second apply end what a first began.
func drained(live reconcile.Live) map[string]bool {
	out := map[string]bool{}
	for id, v := range live.Owned {
		if s, ok := v.(resource.IPVSServer); ok && s.Weight == 0 && live.Connections[id] == 0 {
			out[id.Name] = true
		}
	}
	return out
}

// plan makes the plan and has the policies judge it.
func (h *host) plan(ctx context.Context, e *env, p *prospect) (planfile.File, error) {
	target, err := reconcile.Desired(p.next.Cluster, p.node, p.facts)
	if err != nil {
		return planfile.File{}, err
	}
	if p.facts == nil && p.handlers != nil {
		target.Drained = drained(p.live)
	}
	diff := reconcile.Diff(p.live, target)
	incomplete := p.leftOut(target)
	var problems []reconcile.Problem
	if p.handlers != nil {
		var without error
		diff, problems, without = preflight(ctx, p.handlers, diff)
		incomplete = cmp.Or(incomplete, without)
	}
	var findings []reconcile.Finding
	err = e.during("Asking the policies", func() (err error) {
		findings, err = h.judge(ctx, p, diff)
		return err
	})
	if err != nil {
		return planfile.File{}, err
	}
	f := planfile.New(planfile.Meta{
		Version: build.Version, Node: p.node, BootID: p.boot, Revision: p.named,
		Digest: p.next.Digest, Created: time.Now(), FactsKnown: p.facts != nil,
		HAProxies: without(p.next.Cluster, p.node),
	}, diff, len(p.live.Owned), findings)
	f.Errors = planfile.Problems(problems)
	f.Classify(diff.Classify(ctx, p.handlers), problems)
	return f, incomplete
}

// judge has the policies judge a plan.
func (h *host) judge(ctx context.Context, p *prospect, diff reconcile.Plan) ([]reconcile.Finding, error) {
	cfg := h.cfg
	cfg.NodeName = p.node
	findings, err := compile.New(cfg, h.log).Policy(ctx, p.next, p.prior, diff, len(p.live.Owned))
	var refused *revision.Refused
	switch {
	case errors.As(err, &refused) && refused.Commit == "":
		return nil, fmt.Errorf("the policies cannot be evaluated: %s", refused.Reason)
	case errors.As(err, &refused):
		return nil, &codeError{exitRefused, err}
	case err != nil:
		return nil, fmt.Errorf("evaluate the policies: %w", err)
	}
	return findings, nil
}

// leftOut returns an error that names the wanted objects whose kinds could not be looked at.
func (p *prospect) leftOut(t reconcile.Target) error {
	return leftOut(slices.Collect(maps.Keys(t.Set)), p.live, p.unknown)
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
	r, err := os.Open(path)
	if err != nil {
		return planfile.File{}, err
	}
	defer r.Close()
	f, err := planfile.Decode(r)
	if err != nil {
		return f, fmt.Errorf("%s is no saved plan: %w", filepath.Base(path), err)
	}
	return f, nil
}
