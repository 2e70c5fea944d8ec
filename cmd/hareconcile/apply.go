package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"

	"github.com/hareconcile/hareconcile/internal/control"
	"github.com/hareconcile/hareconcile/reconcile"
	"github.com/hareconcile/hareconcile/reconcile/planfile"
)

// manyChanges is how many changes apply lists one by one.
const manyChanges = 100

// An application is one run of apply.
type application struct {
	e      *env
	h      *host
	client *control.Client // nil where no agent runs
	auto   bool
	json   bool
}

// An applied is what apply -json prints.
type applied struct {
	FormatVersion string `json:"format_version"`
	Node          string `json:"node"`
	control.ApplyResult
}

func runApply(ctx context.Context, e *env, args []string) int {
	fs := e.flags("apply")
	config := configFlag(fs)
	auto := fs.Bool("auto-approve", false, "do not ask")
	asJSON := fs.Bool("json", false, "print what was done as JSON; needs -auto-approve")
	if err := e.parse(fs, args, 1); err != nil {
		return e.exit(err)
	}
	if *asJSON && !*auto {
		return e.exit(errors.New("-json needs -auto-approve: there is nobody to ask"))
	}
	h, err := openHost(e, *config)
	if err != nil {
		return e.exit(err)
	}
	a := &application{e: e, h: h, auto: *auto, json: *asJSON}
	if a.client, err = h.agentOrRoot("apply"); err != nil {
		return e.exit(err)
	}
	return e.exit(a.run(ctx, fs.Arg(0)))
}

func (a *application) run(ctx context.Context, arg string) error {
	f, err := a.plan(ctx, arg)
	incomplete, partly := asOmission(err)
	if err != nil && !partly {
		return err
	}
	if !a.json {
		if err := f.WriteText(a.e.stdout, a.e.color); err != nil {
			return err
		}
	}
	if err := cmp.Or(unworkable(f), denied(f)); err != nil {
		return err
	}
	res := control.ApplyResult{Applied: []string{}}
	if len(f.Changes) > 0 {
		if err := a.approve(ctx, f.Node); err != nil {
			return err
		}
		if res, err = a.carryOut(ctx, f); err != nil {
			return err
		}
	}
	if err := a.report(f, res); err != nil {
		return err
	}
	var errs []error
	if incomplete != nil {
		errs = append(errs, fmt.Errorf("not everything was applied: %w", incomplete))
	}
	if n := len(res.Failed); n > 0 {
		errs = append(errs, fmt.Errorf("%d change(s) could not be made:\n  %s", n, strings.Join(shortened(res.Failed, manyChanges), "\n  ")))
	}
	if n := len(f.InTheWay()); n > 0 && errs == nil {
		errs = append(errs, fmt.Errorf("%d object(s) that somebody else made are in the way and stay as they are", n))
	}
	return errors.Join(errs...)
}

// shortened returns the first of many lines, and how many more there are.
func shortened(lines []string, most int) []string {
	if more := len(lines) - most; more > 0 {
		return append(lines[:most:most], fmt.Sprintf("and %s more", thousands(more)))
	}
	return lines
}

// plan returns what arg asks for: a saved plan, a folder's, or the target revision's.
func (a *application) plan(ctx context.Context, arg string) (planfile.File, error) {
	if arg == "" {
		return a.h.ask(ctx, a.e, question{})
	}
	st, err := os.Stat(arg)
	switch {
	case err != nil:
		return planfile.File{}, err
	case !st.IsDir():
		return readPlan(arg)
	case a.client != nil:
		return planfile.File{}, coded(exitLocked,
			"an agent runs on this host and follows %s; push the change there, or stop the agent first", a.h.cfg.Source.URL)
	}
	return a.h.ask(ctx, a.e, question{dir: arg})
}

// approve asks, as terraform does.
func (a *application) approve(ctx context.Context, node string) error {
	if a.auto {
		return nil
	}
	return a.e.approve(ctx, "apply", fmt.Sprintf("\nDo you want to perform these actions on %s?\n  hareconcile will perform the actions described above.\n", node))
}

// carryOut has the agent carry out an approved plan, or does it where none runs.
func (a *application) carryOut(ctx context.Context, f planfile.File) (control.ApplyResult, error) {
	if a.client == nil {
		return a.h.applyAlone(ctx, f, a.e.newMeter())
	}
	res, err := a.throughAgent(ctx, f)
	var api *control.APIError
	if errors.As(err, &api) {
		switch api.Code {
		case "stale":
			return res, &codeError{exitStale, err}
		case "denied":
			return res, &codeError{exitDenied, err}
		}
	}
	return res, err
}

// throughAgent has the agent carry out f, and meanwhile shows how far it is.
func (a *application) throughAgent(ctx context.Context, f planfile.File) (control.ApplyResult, error) {
	watch, enough := context.WithCancel(ctx)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer enough()
	if len(f.Changes) >= fewChanges {
		wg.Go(func() {
			m := a.e.newMeter()
			defer m.line.clear()
			// What cannot be followed is applied all the same.
			_ = a.client.WatchProgress(watch, func(p control.Progress) error { m.show(p); return nil })
		})
	}
	return a.client.Apply(ctx, control.ApplyRequest{Plan: f})
}

// report says what was done.
func (a *application) report(f planfile.File, res control.ApplyResult) error {
	if a.json {
		return writeJSON(a.e.stdout, applied{planfile.FormatVersion, f.Node, res})
	}
	if len(f.Changes) == 0 {
		return nil
	}
	fmt.Fprintln(a.e.stdout)
	n := map[string]int{}
	for _, s := range res.Applied {
		action, _, _ := strings.Cut(s, " ")
		n[action]++
	}
	for _, line := range shortened(res.Applied, manyChanges) {
		fmt.Fprintln(a.e.stdout, line)
	}
	adopted := ""
	if k := n[reconcile.Adopt.String()]; k > 0 {
		adopted = fmt.Sprintf(", %d adopted", k)
	}
	complete := "Apply complete!"
	if len(res.Failed) > 0 {
		complete = "Apply incomplete."
	}
	if a.client == nil && slices.ContainsFunc(f.Changes, func(c planfile.Change) bool { return c.Drain }) {
		adopted += "; to take out what was drained, apply again once its connections have ended"
	}
	_, err := fmt.Fprintf(a.e.stdout, "\n%s Resources: %d added, %d changed, %d destroyed%s.\n", complete,
		n[reconcile.Create.String()], n[reconcile.Update.String()], n[reconcile.Delete.String()], adopted)
	return err
}
