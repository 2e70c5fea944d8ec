package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"path/filepath"

	"github.com/hareconcile/hareconcile/internal/control"
	"github.com/hareconcile/hareconcile/internal/revision"
	"github.com/hareconcile/hareconcile/reconcile"
	"github.com/hareconcile/hareconcile/reconcile/planfile"
	"github.com/hareconcile/hareconcile/reconcile/resource"
)

// applyAlone carries out an approved plan on a host without an agent. It takes the agent's
// lock first, and looks at the host again: what a person approved is done, or nothing.
func (h *host) applyAlone(ctx context.Context, f planfile.File, m *meter) (control.ApplyResult, error) {
	res := control.ApplyResult{Applied: []string{}}
	lock, err := control.TakeLock(filepath.Join(h.runDir, "agent.lock"))
	if errors.Is(err, control.ErrLocked) {
		return res, &codeError{exitLocked, err}
	}
	if err != nil {
		return res, err
	}
	defer lock.Release()
	if err := h.stillTrue(f); err != nil {
		return res, err
	}
	hs, err := h.handlers(f)
	if err != nil {
		return res, err
	}
	live, unknown := reconcile.Observe(ctx, hs)
	now, err := replan(f, live, unknown)
	if err != nil {
		return res, err
	}
	if now.Fingerprint() != f.Fingerprint() {
		return res, coded(exitStale, "the plan is stale: the host has changed since it was made; plan again")
	}
	plan := f.Plan()
	_, problems, _ := preflight(ctx, hs, plan) // of a saved plan, the host may have changed; what it lacks, Apply says
	f.Errors = planfile.Problems(problems)
	if err := unworkable(f); err != nil {
		return res, err
	}
	defer m.line.clear()
	res.Fail(plan.Apply(ctx, hs, func(c reconcile.Change) {
		res.Made(c)
		m.show(control.Progress{Done: len(res.Applied), Total: len(plan.Changes), Kind: c.ID.Kind})
	}))
	return res, nil
}

// stillTrue checks a saved plan's grounds other than the live state.
func (h *host) stillTrue(f planfile.File) error {
	if f.Node != h.cfg.NodeName {
		return fmt.Errorf("the plan is for node %q and this is %q", f.Node, h.cfg.NodeName)
	}
	boot, err := bootID()
	switch {
	case err != nil:
		return err
	case f.BootID != boot:
		return coded(exitStale, "the plan is stale: it was made before this host's last boot, or against a snapshot; plan again")
	case f.Revision.Commit == "":
		return nil
	}
	good, err := revision.NewStore(h.cfg.DataDir).LoadGood()
	if err != nil {
		return err
	}
	if good == nil || good.Digest != f.Digest {
		return coded(exitStale, "the plan is stale: it is for %.7s, which is not the last good revision any more; plan again", f.Revision.Commit)
	}
	return nil
}

// replan makes the plan that leads from live to where f leads. It equals f as long as
// nothing that f touches has changed.
func replan(f planfile.File, live reconcile.Live, unknown error) (planfile.File, error) {
	p := f.Plan()
	want := maps.Clone(live.Owned)
	var ids []resource.ID
	for _, c := range p.Changes {
		ids = append(ids, c.ID)
		if c.Action == reconcile.Delete {
			delete(want, c.ID)
		} else {
			want[c.ID] = c.After
		}
	}
	for _, c := range p.Conflicts {
		want[c.ID] = c.Want
	}
	if err := leftOut(ids, live, unknown); err != nil {
		return planfile.File{}, err
	}
	now := reconcile.Diff(live, reconcile.Target{Set: want, FactsKnown: true})
	return planfile.New(planfile.Meta{Node: f.Node, BootID: f.BootID, Digest: f.Digest}, now, len(live.Owned), nil), nil
}
