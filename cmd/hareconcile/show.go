package main

import (
	"context"
	"fmt"
	"io"

	"github.com/hareconcile/hareconcile/internal/control"
	"github.com/hareconcile/hareconcile/internal/revision"
	"github.com/hareconcile/hareconcile/reconcile/planfile"
)

// An inventory is what show prints without a plan: the last good revision and what it made here.
type inventory struct {
	FormatVersion string            `json:"format_version"`
	Node          string            `json:"node"`
	Revision      planfile.Revision `json:"revision,omitzero"`
	Digest        string            `json:"config_digest,omitempty"`
	Managed       []control.Object  `json:"managed"`
}

func runShow(ctx context.Context, e *env, args []string) int {
	fs := e.flags("show")
	config := configFlag(fs)
	asJSON := fs.Bool("json", false, "print JSON")
	noColor := fs.Bool("no-color", false, "print no colours")
	if err := e.parse(fs, args, 1); err != nil {
		return e.exit(err)
	}
	if fs.NArg() == 1 {
		f, err := readPlan(fs.Arg(0))
		if err != nil {
			return e.exit(err)
		}
		return e.exit(e.present(f, *asJSON, e.color && !*noColor))
	}
	h, err := openHost(e, *config)
	if err != nil {
		return e.exit(err)
	}
	inv, err := h.inventory(ctx, e)
	if err != nil {
		return e.exit(err)
	}
	if *asJSON {
		return e.exit(writeJSON(e.stdout, inv))
	}
	return e.exit(inv.writeText(e.stdout))
}

// inventory lists what hareconcile manages on this host.
func (h *host) inventory(ctx context.Context, e *env) (inventory, error) {
	s, err := h.snapshot(ctx, e)
	if err != nil {
		return inventory{}, err
	}
	inv := inventory{FormatVersion: planfile.FormatVersion, Node: s.Node, Managed: s.Owned}
	good, err := revision.NewStore(h.cfg.DataDir).LoadGood()
	if err != nil || good == nil {
		return inv, err
	}
	inv.Revision = planfile.Revision{Ref: good.Ref, Commit: good.Commit, Subject: good.Subject}
	inv.Digest = good.Digest
	return inv, nil
}

func (inv inventory) writeText(w io.Writer) error {
	fmt.Fprintf(w, "Node      %s\nRevision  %s\n\n", inv.Node, describe(inv.Revision))
	if len(inv.Managed) == 0 {
		_, err := fmt.Fprintln(w, "hareconcile manages nothing on this host.")
		return err
	}
	fmt.Fprintf(w, "Managed objects (%d):\n", len(inv.Managed))
	for _, o := range inv.Managed {
		if _, err := fmt.Fprintf(w, "  %s/%s\n    %s\n", o.Kind, o.Name, o.Value); err != nil {
			return err
		}
	}
	return nil
}

// describe names a revision as people write it.
func describe(r planfile.Revision) string {
	switch {
	case r.Commit != "":
		return fmt.Sprintf("%s@%.7s  %q", r.Ref, r.Commit, r.Subject)
	case r.Dir != "":
		return r.Dir
	}
	return "none"
}
