package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/hareconcile/hareconcile/plugins/proto"
	"github.com/hareconcile/hareconcile/plugins/sdk"
	"github.com/hareconcile/hareconcile/plugins/sdk/conformance"
)

func pluginCheck(ctx context.Context, e *env, flags *flag.FlagSet, args []string) error {
	agent := agentFlag(flags)
	config := flags.String("config", "{}", "the plugin's configuration, as a `JSON` object")
	timeout := flags.Duration("timeout", 5*time.Second, "how long the check may take")
	plain := flags.Bool("plain", false, "without certificates, as automtls = false in the lock file")
	reattach := flags.Bool("reattach", false, "ask the plugin that runs with -debug, which "+proto.ReattachKey+" names")
	asJSON := flags.Bool("json", false, "print JSON")
	if err := pluginArgs(e, flags, args, 1); err != nil {
		return err
	}
	var p *conformance.Process
	if *reattach {
		name := strings.TrimPrefix(filepath.Base(flags.Arg(0)), proto.BinaryPrefix)
		found, err := conformance.Attach(os.Getenv(proto.ReattachKey), name)
		if err != nil {
			return coded(exitUnknown, "%w", err)
		}
		p = found
	} else {
		r, err := newPluginRunner(e, *agent)
		if err != nil {
			return err
		}
		defer r.close()
		path, _, err := r.find(flags.Arg(0))
		if err != nil {
			return coded(exitUnknown, "%w", err)
		}
		if p, err = conformance.Start(r.options(path, "", *plain)); err != nil {
			return coded(exitUnknown, "%w", err)
		}
	}
	defer p.Close()
	ctx, cancel := context.WithTimeout(ctx, *timeout)
	defer cancel()
	res, err := oneCheck(ctx, e, p.Client, *config)
	if err != nil {
		return err
	}
	if *asJSON {
		err = writeJSON(e.stdout, res)
	} else {
		_, err = fmt.Fprint(e.stdout, printable(res.Text()))
	}
	switch {
	case err != nil:
		return err
	case res.Status == sdk.Fail:
		return errSaid
	case res.Status == sdk.Unknown:
		return &codeError{exitUnknown, errSaid}
	}
	return nil
}

// oneCheck configures an instance and checks it, and prints mistakes in the configuration.
func oneCheck(ctx context.Context, e *env, c *conformance.Client, config string) (sdk.Result, error) {
	name := fmt.Sprintf("plugin check, process %d", os.Getpid())
	mistakes, err := c.Configure(ctx, name, config)
	if err != nil {
		return sdk.Result{}, coded(exitUnknown, "%w", err)
	}
	for _, m := range mistakes {
		fmt.Fprintln(e.stderr, clean(strings.TrimPrefix(m.Attribute+": "+m.Message, ": ")))
	}
	if len(mistakes) > 0 {
		return sdk.Result{}, &codeError{exitUnknown, errSaid}
	}
	res, err := c.Check(ctx, name)
	if err != nil {
		return res, coded(exitUnknown, "%w", err)
	}
	// A plugin that runs on would keep it; one that is about to end does not mind.
	return res, errors.Join(c.Forget(ctx, name))
}

// printable is clean for a text of several lines.
func printable(s string) string {
	lines := strings.Split(s, "\n")
	for k := range lines {
		lines[k] = clean(lines[k])
	}
	return strings.Join(lines, "\n")
}
