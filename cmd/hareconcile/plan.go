package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/hareconcile/hareconcile/internal/revision"
	"github.com/hareconcile/hareconcile/reconcile/planfile"
)

func runPlan(ctx context.Context, e *env, args []string) int {
	fs := e.flags("plan")
	vars := varFlag{}
	config := configFlag(fs)
	node := fs.String("node", "", "plan for `NODE`; another node than this host needs -against")
	out := fs.String("out", "", "save the plan to `FILE`, for apply")
	asJSON := fs.Bool("json", false, "print the plan as JSON")
	detailed := fs.Bool("detailed-exitcode", false, "exit with 2 if there is anything to do")
	against := fs.String("against", "", "compare with a `SNAPSHOT` instead of this host")
	noColor := fs.Bool("no-color", false, "print no colours")
	fs.Var(vars, "var", "set a variable for a preview, as `NAME=VALUE`; may be repeated")
	if err := e.parse(fs, args, 1); err != nil {
		return e.exit(err)
	}
	q := question{dir: fs.Arg(0), node: *node, against: *against, vars: vars}
	if q.dir == "" && len(vars) > 0 {
		return e.exit(fmt.Errorf("-var is for a preview: name the cluster's folder"))
	}
	h, err := openHost(e, *config)
	if err != nil {
		return e.exit(err)
	}
	f, err := h.ask(ctx, e, q)
	incomplete, ok := asOmission(err)
	if err != nil && !ok {
		return e.exit(err)
	}
	if err := e.present(f, *asJSON, e.color && !*noColor); err != nil {
		return e.exit(err)
	}
	if *out != "" {
		if err := savePlan(f, *out); err != nil {
			return e.exit(err)
		}
		if !*asJSON {
			fmt.Fprintf(e.stdout, "\nSaved the plan to: %s\n\nTo perform exactly these actions, run:\n    hareconcile apply %s\n", *out, *out)
		}
	}
	switch {
	case incomplete != nil:
		return e.exit(fmt.Errorf("the plan is incomplete: %w", incomplete))
	case unworkable(f) != nil:
		return e.exit(unworkable(f))
	case denied(f) != nil:
		return e.exit(denied(f))
	case *detailed && !f.Plan().Empty():
		return exitChanges
	}
	return exitOK
}

// ask returns the plan that q asks for: the agent's own where no folder is named and one runs.
func (h *host) ask(ctx context.Context, e *env, q question) (planfile.File, error) {
	if q.dir == "" && q.against == "" && (q.node == "" || q.node == h.cfg.NodeName) {
		client, err := h.agentOrRoot("plan")
		if err != nil {
			return planfile.File{}, err
		}
		if client != nil {
			// Whoever may not read the agent's revision does not see haproxy's files either.
			if good, err := revision.NewStore(h.cfg.DataDir).LoadGood(); err == nil && good != nil {
				if err := h.lint(ctx, e, good.Cluster); err != nil {
					return planfile.File{}, err
				}
			}
			return client.Plan(ctx)
		}
	}
	p, err := h.prospect(ctx, e, q)
	if err != nil {
		return planfile.File{}, err
	}
	return h.plan(ctx, e, p)
}

// present prints a plan.
func (e *env) present(f planfile.File, asJSON, color bool) error {
	if asJSON {
		return f.Encode(e.stdout)
	}
	return f.WriteText(e.stdout, color)
}

// savePlan writes f for this user alone, in one piece: a plan tells what a host has.
func savePlan(f planfile.File, path string) error {
	return writeFile(path, f.Encode, 0o600)
}

// writeFile replaces path in one step by what write writes.
func writeFile(path string, write func(io.Writer) error, mode os.FileMode) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".hareconcile-")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	err = write(f)
	if err == nil {
		err = f.Chmod(mode)
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return os.Rename(f.Name(), path)
}
