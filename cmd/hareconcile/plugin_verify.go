package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"time"

	"github.com/hareconcile/hareconcile/plugins/sdk/conformance"
	"github.com/hareconcile/hareconcile/reconcile/planfile"
)

// A verification is what plugin verify -json prints.
type verification struct {
	FormatVersion string                `json:"format_version"`
	Path          string                `json:"path"`
	Passed        bool                  `json:"passed"`
	Tests         []conformance.Outcome `json:"tests"`
}

func pluginVerify(ctx context.Context, e *env, flags *flag.FlagSet, args []string) error {
	agent := agentFlag(flags)
	config := flags.String("config", "{}", "a configuration that the plugin accepts, as a `JSON` object; what it watches may be down")
	plain := flags.Bool("plain", false, "without certificates, as automtls = false in the lock file")
	asJSON := flags.Bool("json", false, "print JSON")
	if err := pluginArgs(e, flags, args, 1); err != nil {
		return err
	}
	r, err := newPluginRunner(e, *agent)
	if err != nil {
		return err
	}
	defer r.close()
	path, _, err := r.find(flags.Arg(0))
	if err != nil {
		return err
	}
	v := verification{planfile.FormatVersion, path, true, nil}
	failed := 0
	for _, t := range conformance.Tests() {
		o := t.Run(ctx, r.options(path, *config, *plain))
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if !o.Passed {
			failed++
			v.Passed = false
		}
		v.Tests = append(v.Tests, o)
		if !*asJSON {
			writeOutcome(e.stdout, o)
		}
	}
	switch {
	case *asJSON:
		err = writeJSON(e.stdout, v)
	case failed == 0:
		_, err = fmt.Fprintf(e.stdout, "\n%s: all %d tests passed.\n", path, len(v.Tests))
	default:
		_, err = fmt.Fprintf(e.stdout, "\n%s: %d of %d tests failed.\n", path, failed, len(v.Tests))
	}
	if err == nil && failed > 0 {
		err = errSaid
	}
	return err
}

func writeOutcome(w io.Writer, o conformance.Outcome) {
	label := "ok  "
	if !o.Passed {
		label = "FAIL"
	}
	fmt.Fprintf(w, "%s  %s (%v)", label, o.Name, o.Took.Round(10*time.Millisecond))
	if o.Note != "" {
		fmt.Fprintf(w, ": %s", clean(o.Note))
	}
	fmt.Fprintln(w)
	for _, p := range o.Problems {
		fmt.Fprintf(w, "      %s\n", clean(p))
	}
}
