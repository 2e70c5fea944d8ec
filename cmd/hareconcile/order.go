package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/hareconcile/hareconcile/internal/control"
	"github.com/hareconcile/hareconcile/internal/journal"
)

// runRollback has the agent go back to the good revision before the one in force.
func runRollback(ctx context.Context, e *env, args []string) int {
	fs := e.flags("rollback")
	config := configFlag(fs)
	approved := fs.Bool("auto-approve", false, "do not ask")
	if err := e.parse(fs, args, 1); err != nil {
		return e.exit(err)
	}
	client, node, err := e.agentOf(*config)
	if err != nil {
		return e.exit(err)
	}
	if !*approved {
		what := "the good revision before the one in force"
		if fs.NArg() > 0 {
			what = clean(fs.Arg(0))
		}
		question := fmt.Sprintf("\nDo you want to take %s back to %s?\n  The revision in force is quarantined: only a new push or hareconcile retry brings it again.\n", clean(node), what)
		if err := e.approve(ctx, "rollback", question); err != nil {
			return e.exit(err)
		}
	}
	return e.exit(e.order(ctx, client, node, control.Order{Rollback: &control.RollbackOrder{To: fs.Arg(0)}}))
}

// runRetry lifts the quarantine of a revision.
func runRetry(ctx context.Context, e *env, args []string) int {
	fs := e.flags("retry")
	config := configFlag(fs)
	ignore := fs.String("ignore", "", "do not wait for `NODE`, which cannot be reached, with the revision that waits")
	if err := e.parse(fs, args, 1); err != nil {
		return e.exit(err)
	}
	if *ignore != "" {
		return e.orderOf(ctx, *config, control.Order{Ignore: *ignore})
	}
	if fs.NArg() == 0 {
		return e.exit(errors.New("name the commit, by at least 7 digits; hareconcile status shows those in quarantine"))
	}
	return e.orderOf(ctx, *config, control.Order{Retry: fs.Arg(0)})
}

// runSuspend keeps the agent from new revisions and from correcting drift.
func runSuspend(ctx context.Context, e *env, args []string) int {
	fs := e.flags("suspend")
	config := configFlag(fs)
	reason := fs.String("reason", "", "`WHY`, for whoever comes next; needed")
	long := fs.Duration("for", 0, "how `LONG`; until hareconcile resume unless it is given")
	if err := e.parse(fs, args, 0); err != nil {
		return e.exit(err)
	}
	switch {
	case *reason == "":
		return e.exit(errors.New(`say why, such as -reason "new switch in rack 3": whoever comes next reads it in hareconcile status`))
	case *long < 0:
		return e.exit(fmt.Errorf("a suspension of %v is none: give a time, such as 2h", *long))
	}
	return e.orderOf(ctx, *config, control.Order{Suspend: &control.SuspendOrder{Reason: *reason, For: *long}})
}

// runResume ends a suspension.
func runResume(ctx context.Context, e *env, args []string) int {
	fs := e.flags("resume")
	config := configFlag(fs)
	if err := e.parse(fs, args, 0); err != nil {
		return e.exit(err)
	}
	return e.orderOf(ctx, *config, control.Order{Resume: true})
}

// runHistory prints what became of revisions on this node.
func runHistory(ctx context.Context, e *env, args []string) int {
	fs := e.flags("history")
	config := configFlag(fs)
	asJSON := fs.Bool("json", false, "print JSON")
	last := fs.Int("n", 20, "at most so `MANY` lines, the newest; 0 prints all")
	if err := e.parse(fs, args, 0); err != nil {
		return e.exit(err)
	}
	client, _, err := e.agentOf(*config)
	if err != nil {
		return e.exit(err)
	}
	rs, err := client.History(ctx)
	if err != nil {
		return e.exit(err)
	}
	if *last > 0 {
		rs = rs[max(0, len(rs)-*last):]
	}
	if *asJSON {
		enc := json.NewEncoder(e.stdout)
		enc.SetIndent("", "  ")
		return e.exit(enc.Encode(control.HistoryResult{Records: append([]journal.Record{}, rs...)}))
	}
	return e.exit(writeHistory(e.stdout, rs))
}

// writeHistory writes records as a table, newest first: that is what people look for.
func writeHistory(w io.Writer, rs []journal.Record) error {
	if len(rs) == 0 {
		_, err := fmt.Fprintln(w, "Nothing has happened to revisions on this node yet.")
		return err
	}
	t := newTable(w)
	t.row("TIME", "COMMIT", "OUTCOME", "BY", "SUBJECT", "REASON")
	for k := len(rs) - 1; k >= 0; k-- {
		r := rs[k]
		t.row(r.Time.Format(time.RFC3339), fmt.Sprintf("%.7s", r.Commit), r.Outcome, r.By, r.Subject, r.Reason)
	}
	return t.Flush()
}

// agentOf returns a client of the agent of this host, and its node's name.
func (e *env) agentOf(config string) (*control.Client, string, error) {
	h, err := openHost(e, config)
	if err != nil {
		return nil, "", err
	}
	client, err := h.agent()
	if err == nil && client == nil {
		err = fmt.Errorf("no agent runs on this host: nobody listens on %s", h.cfg.Socket)
	}
	return client, h.cfg.NodeName, err
}

func (e *env) orderOf(ctx context.Context, config string, o control.Order) int {
	client, node, err := e.agentOf(config)
	if err != nil {
		return e.exit(err)
	}
	return e.exit(e.order(ctx, client, node, o))
}

func (e *env) order(ctx context.Context, c *control.Client, node string, o control.Order) error {
	res, err := c.Order(ctx, o)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(e.stdout, "%s: %s.\n", clean(node), clean(res.Message))
	return err
}
