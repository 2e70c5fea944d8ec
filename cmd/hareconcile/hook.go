package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"strings"
	"time"

	"github.com/hareconcile/hareconcile/hcl"
	"github.com/hareconcile/hareconcile/internal/compile"
	"github.com/hareconcile/hareconcile/internal/hook"
	"github.com/hareconcile/hareconcile/internal/revision"
	"github.com/hareconcile/hareconcile/internal/spec"
)

// listFlag is a flag that may be repeated.
type listFlag []string

// String implements flag.Value.
func (l *listFlag) String() string { return strings.Join(*l, ",") }

// Set implements flag.Value.
func (l *listFlag) Set(s string) error {
	*l = append(*l, s)
	return nil
}

var _ flag.Value = (*listFlag)(nil)

// runHook is what a git server's hooks run. Git shows its output to whoever pushes.
func runHook(ctx context.Context, e *env, args []string) int {
	fs := e.flags("hook")
	var folders listFlag
	fs.Var(&folders, "path", "the `FOLDER` of a cluster in the repository; may be repeated; the root if it is absent")
	signers := fs.String("signers", "", "the `FILE` of those who have to have signed every new commit, as allowed_signers_file in agent.hcl")
	timeout := fs.Duration("timeout", time.Minute, "how `LONG` it may take to judge a push")
	if err := e.parse(fs, args, 1); err != nil {
		return e.exit(err)
	}
	if fs.Arg(0) != "pre-receive" {
		return e.exit(fmt.Errorf("hook needs the name of a hook, pre-receive, and got %q", fs.Arg(0)))
	}
	ctx, cancel := context.WithTimeout(ctx, *timeout)
	defer cancel()
	j := hook.Judge{Dir: ".", Folders: orRoot(folders)}
	var err error
	if *signers != "" {
		j.Signers, err = compile.Signers(*signers)
	}
	if err == nil {
		err = e.judgePush(ctx, j)
	}
	if errors.Is(err, context.DeadlineExceeded) {
		err = fmt.Errorf("it took longer than %v: %w", *timeout, err)
	}
	return e.exit(err)
}

// orRoot returns the folders, or else the repository's root.
func orRoot(folders []string) []string {
	if len(folders) == 0 {
		return []string{""}
	}
	return folders
}

func (e *env) judgePush(ctx context.Context, j hook.Judge) error {
	updates, err := hook.Updates(e.stdin)
	if err != nil {
		return err
	}
	vs, err := j.Judge(ctx, updates)
	if err != nil {
		return err
	}
	refused := false
	for _, v := range vs {
		if v.Cluster != nil {
			v.Diagnostics = append(v.Diagnostics, concerns(v.Cluster, "", spec.HAProxyTrust{}, hcl.Warning)...)
		}
		if err := e.writeVerdict(v); err != nil {
			return err
		}
		refused = refused || v.Refuses()
	}
	if refused {
		return &codeError{exitRefused, errSaid}
	}
	return nil
}

// writeVerdict tells the pusher what is said of one cluster.
func (e *env) writeVerdict(v hook.Verdict) error {
	where := strings.TrimPrefix(strings.TrimPrefix(v.Ref, "refs/heads/"), "refs/")
	if v.Folder != "" {
		where = v.Folder + " in " + where
	}
	head := fmt.Sprintf("hareconcile: %s: %.7s ", clean(where), v.New)
	var no *revision.Refused
	var err error
	switch {
	case errors.As(v.Err, &no):
		_, err = fmt.Fprintf(e.stderr, "%sis refused: %s\n", head, clean(no.Reason))
	case v.Err != nil:
		_, err = fmt.Fprintf(e.stderr, "%sis refused: %s\n", head, clean(v.Err.Error()))
	case v.Cluster == nil:
		_, err = fmt.Fprintf(e.stderr, "%sis refused:\n\n", head)
	default:
		_, err = fmt.Fprintf(e.stdout, "%sis a valid cluster %s of %s.\n", head, clean(v.Cluster.Name), count(len(v.Cluster.Nodes), "node"))
	}
	return errors.Join(err, v.Diagnostics.WriteText(e.stderr, false))
}
