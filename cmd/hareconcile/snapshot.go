package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/hareconcile/hareconcile/internal/control"
	"github.com/hareconcile/hareconcile/internal/revision"
	"github.com/hareconcile/hareconcile/reconcile"
	"github.com/hareconcile/hareconcile/reconcile/planfile"
	"github.com/hareconcile/hareconcile/reconcile/resource"
)

func runSnapshot(ctx context.Context, e *env, args []string) int {
	fs := e.flags("snapshot")
	config := configFlag(fs)
	out := fs.String("out", "", "write to `FILE` instead of standard output")
	if err := e.parse(fs, args, 0); err != nil {
		return e.exit(err)
	}
	h, err := openHost(e, *config)
	if err != nil {
		return e.exit(err)
	}
	s, err := h.snapshot(ctx, e)
	if err != nil {
		return e.exit(err)
	}
	write := func(w io.Writer) error { return writeJSON(w, s) }
	if *out != "" {
		return e.exit(writeFile(*out, write, 0o600))
	}
	return e.exit(write(e.stdout))
}

// snapshot returns what the agent sees, or what can be seen without one.
func (h *host) snapshot(ctx context.Context, e *env) (control.Snapshot, error) {
	client, err := h.agentOrRoot("snapshot")
	if err != nil {
		return control.Snapshot{}, err
	}
	if client != nil {
		return client.Snapshot(ctx)
	}
	live, err := h.look(ctx, e)
	if err != nil {
		return control.Snapshot{}, err
	}
	return control.NewSnapshot(h.cfg.NodeName, time.Now().UTC(), live, nil)
}

// look observes this host, and says which of the kinds that its last good revision needs
// could not be looked at.
func (h *host) look(ctx context.Context, e *env) (reconcile.Live, error) {
	hs, err := h.handlers(planfile.File{})
	if err != nil {
		return reconcile.Live{}, err
	}
	live, unknown := reconcile.Observe(ctx, hs)
	if unknown == nil {
		return live, nil
	}
	good, err := revision.NewStore(h.cfg.DataDir).LoadGood()
	if err != nil || good == nil {
		return live, err
	}
	t, err := reconcile.Desired(good.Cluster, h.cfg.NodeName, nil)
	if err != nil {
		return live, err
	}
	var ids []resource.ID
	for id := range t.Set {
		ids = append(ids, id)
	}
	var o *omission
	if errors.As(leftOut(ids, live, unknown), &o) {
		fmt.Fprintf(e.stderr, "Warning: %v\n", o)
	}
	return live, nil
}
