package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/hareconcile/hareconcile/internal/control"
)

// runReconcile has the agent look at its source now, and with -wait tells what came of it.
func runReconcile(ctx context.Context, e *env, args []string) int {
	fs := e.flags("reconcile")
	config := configFlag(fs)
	wait := fs.Bool("wait", false, "wait until the newest commit is in force or refused")
	timeout := fs.Duration("timeout", 5*time.Minute, "how `LONG` to wait")
	if err := e.parse(fs, args, 0); err != nil {
		return e.exit(err)
	}
	if *timeout <= 0 {
		return e.exit(fmt.Errorf("a timeout of %v is none: give a time, such as 5m", *timeout))
	}
	h, err := openHost(e, *config)
	if err != nil {
		return e.exit(err)
	}
	client, err := h.agent()
	if err == nil && client == nil {
		err = fmt.Errorf("there is no agent to look at the source: nobody listens on %s", h.cfg.Socket)
	}
	if err != nil {
		return e.exit(err)
	}
	asked, err := client.Reconcile(ctx)
	if err == nil && !*wait {
		_, err = fmt.Fprintf(e.stdout, "The agent of %s looks at its source now; hareconcile status tells what came of it.\n", clean(h.cfg.NodeName))
	}
	if err != nil || !*wait {
		return e.exit(err)
	}
	return e.exit(e.awaitPush(ctx, client, asked, *timeout))
}

// awaitPush follows the agent's status until what was there when it was asked is decided.
func (e *env) awaitPush(ctx context.Context, c *control.Client, asked time.Time, timeout time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	last := news{text: "none", late: exitError}
	err := c.Watch(ctx, func(s control.Status) error {
		n := newsOf(s, asked)
		if n.err == nil && n.text != last.text {
			fmt.Fprintln(e.stdout, clean(n.text))
		}
		last = n
		if n.over {
			return errors.Join(errDone, n.err)
		}
		return nil
	})
	switch {
	case last.over:
		return last.err
	case err != nil:
		return err
	case context.Cause(ctx) == context.DeadlineExceeded:
		return coded(last.late, "after %v it is not decided; the last word is: %s", timeout, clean(last.text))
	}
	return errors.New("interrupted; the agent goes on")
}

// news is what a status says of a push.
type news struct {
	text string
	over bool  // nothing more is to be waited for
	err  error // the end is no good one; it has its exit code
	late int   // the exit code if the time is over now
}

// cleanText is clean for a text of several lines.
func cleanText(s string) string {
	lines := shortened(strings.Split(s, "\n"), 20)
	for i, l := range lines {
		lines[i] = clean(l)
	}
	return strings.Join(lines, "\n")
}

// newsOf reads a status for somebody who asked for a look at the source.
func newsOf(s control.Status, asked time.Time) news {
	switch {
	case s.Look.Began.Before(asked):
		return news{text: "asking " + s.Source.URL, late: exitError}
	case s.Source.Error != "":
		err := fmt.Errorf("the source cannot be read, and what is in force stays: %s", clean(s.Source.Error))
		return news{text: "the source cannot be read", over: true, err: err}
	case s.Refused != nil && s.Refused.Stage == "quarantine":
		err := coded(exitRolledBack, "%.7s was rolled back: %s", clean(s.Refused.Commit), cleanText(s.Refused.Reason))
		return news{text: "rolled back", over: true, err: err}
	case s.Refused != nil:
		err := coded(exitRefused, "%.7s is refused by %s, and what is in force stays: %s", clean(s.Refused.Commit), clean(s.Refused.Stage), cleanText(s.Refused.Reason))
		return news{text: "refused", over: true, err: err}
	case s.Rollout != nil && s.Rollout.Stage == control.Waiting:
		text := "waiting: " + s.Rollout.Reason
		return news{text: text, late: exitLocked}
	case s.Rollout != nil:
		return news{text: string(s.Rollout.Stage) + " " + describe(s.Rollout.Revision), late: exitError}
	case s.Phase == control.Converged:
		return news{text: "converged at " + describe(s.Revision), over: true}
	}
	text := string(s.Phase)
	if s.Message != "" {
		text += ": " + s.Message
	}
	return news{text: text, late: exitError}
}
