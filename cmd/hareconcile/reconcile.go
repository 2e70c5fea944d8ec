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
	w := pushWatch{asked: asked}
	last := news{text: "none", late: exitError}
	// Time alone may end it, too: a rollback may take longer than it may.
	err := watchTicking(ctx, c.Watch, func(s control.Status) error {
		n := w.news(s, time.Now())
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

// A pushWatch is somebody who waits for what comes of a push.
type pushWatch struct {
	asked time.Time // when the agent was asked to look
	tried string    // the commit that was on its way when it was last heard of one
}

// news is what a status says of a push.
type news struct {
	text string
	over bool  // nothing more is to be waited for
	err  error // the end is no good one; it has its exit code
	late int   // the exit code if the time is over now
}

// ended is news of an end that is no good one.
func ended(code int, format string, args ...any) news {
	return news{over: true, err: coded(code, format, args...)}
}

// news reads a status.
func (w *pushWatch) news(s control.Status, now time.Time) news {
	if s.Rollout != nil {
		w.tried = s.Rollout.Revision.Commit
	}
	switch r := s.Rollout; {
	case s.Look.Began.Before(w.asked):
		return news{text: "asking " + s.Source.URL, late: exitError}
	case s.Source.Error != "":
		return ended(exitError, "the source cannot be read, and what is in force stays: %s", clean(s.Source.Error))
	case s.Refused != nil && s.Refused.Stage == "quarantine":
		return ended(exitRolledBack, "%.7s was rolled back: %s", clean(s.Refused.Commit), cleanText(s.Refused.Reason))
	case s.Refused != nil:
		return ended(exitRefused, "%.7s is refused by %s, and what is in force stays: %s", clean(s.Refused.Commit), clean(s.Refused.Stage), cleanText(s.Refused.Reason))
	case r != nil && r.Stage == control.Waiting:
		return news{text: "waiting: " + r.Reason, late: exitLocked}
	case r != nil && r.Stage == control.Reverting && now.After(r.Deadline):
		return ended(exitRollbackDied, "%.7s failed, and so does the way back to %.7s: a person is needed: %s", clean(w.tried), clean(r.Prior), cleanText(r.Reason))
	case r != nil:
		return news{text: string(r.Stage) + " " + describe(r.Revision), late: exitError}
	}
	return w.outcome(s)
}

// outcome is what came of a push that is not on its way any more.
func (w *pushWatch) outcome(s control.Status) news {
	for _, q := range s.Quarantined {
		if q.Commit == w.tried {
			return ended(exitRolledBack, "%.7s was rolled back, and %.7s is in force: %s", clean(q.Commit), clean(s.Revision.Commit), cleanText(q.Reason))
		}
	}
	switch {
	case s.Failed != "":
		return ended(exitError, "%.7s failed and stays in force all the same: %s", clean(s.Revision.Commit), cleanText(s.Failed))
	case s.Phase == control.Converged:
		return news{text: "converged at " + describe(s.Revision), over: true}
	}
	text := string(s.Phase)
	if s.Message != "" {
		text += ": " + s.Message
	}
	return news{text: text, late: exitError}
}

// cleanText is clean for a text of several lines.
func cleanText(s string) string {
	lines := shortened(strings.Split(s, "\n"), 20)
	for i, l := range lines {
		lines[i] = clean(l)
	}
	return strings.Join(lines, "\n")
}
