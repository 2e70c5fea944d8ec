package agent

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/hareconcile/hareconcile/internal/control"
	"github.com/hareconcile/hareconcile/internal/journal"
	"github.com/hareconcile/hareconcile/internal/revision"
	"github.com/hareconcile/hareconcile/reconcile"
)

// Order does what a person wants of revisions on this node.
func (a *Agent) Order(ctx context.Context, o control.Order) (control.OrderResult, error) {
	var message string
	var err error
	act := func(ctx context.Context) {
		switch {
		case o.Rollback != nil:
			message, err = a.rollBack(ctx, o.Rollback.To, o.By)
		case o.Retry != "":
			message, err = a.retryAgain(o.Retry, o.By)
		case o.Ignore != "":
			message, err = a.ignore(o.Ignore, o.By)
		case o.Suspend != nil:
			message = a.suspend(*o.Suspend, o.By)
		default:
			message, err = a.resumeWork(o.By)
		}
	}
	if e := a.doIdle(ctx, act); e != nil {
		return control.OrderResult{}, e
	}
	if err == nil && o.Retry != "" {
		a.FetchNow()
	}
	return control.OrderResult{Message: message}, err
}

// History returns what became of revisions, oldest first.
func (a *Agent) History(context.Context) (control.HistoryResult, error) {
	a.book.disk.Lock()
	st := a.cfg.Journal.Load()
	a.book.disk.Unlock()
	a.book.mu.Lock()
	defer a.book.mu.Unlock()
	return control.HistoryResult{Records: append(st.History, a.book.notes.records...)}, nil
}

func refused(format string, args ...any) error {
	return &control.APIError{Code: "invalid", Message: fmt.Sprintf(format, args...)}
}

// named reports whether a person means a commit by these digits.
func named(commit, digits string) bool {
	return len(digits) >= 7 && strings.HasPrefix(commit, strings.ToLower(digits))
}

// rollBack goes to the good revision before the one in force, and quarantines that one.
func (a *Agent) rollBack(ctx context.Context, to, by string) (string, error) {
	if a.rev == nil {
		return "", errNotReady
	}
	if a.attempt != nil && !a.attempt.installed || a.attempt != nil && a.attempt.reverting {
		return "", &control.APIError{Code: "not_ready", Message: "a revision is on its way; see hareconcile status"}
	}
	t := attempt{rev: a.rev, began: time.Now(), before: a.worked(), installed: true}
	if a.attempt != nil {
		t.prior = a.attempt.prior
	} else {
		a.book.disk.Lock()
		prior, err := a.cfg.Store.LoadPrior()
		a.book.disk.Unlock()
		if err != nil {
			return "", fmt.Errorf("read the revision before this one: %w", err)
		}
		t.prior = prior
	}
	switch {
	case t.prior == nil || t.prior.Commit == a.rev.Commit:
		return "", refused("there is no good revision before %s on this node", a.rev.Short())
	case to != "" && !named(t.prior.Commit, to):
		return "", refused("this node keeps one revision to go back to, and that is %s, not %s; to go further back, push a commit that reverts", t.prior.Short(), to)
	}
	if problem := a.impossibleNow(ctx, t.prior); problem != nil {
		return "", refused("%s cannot be in force on this host any more: %v", t.prior.Short(), problem)
	}
	a.candidate = nil
	from := a.rev.Short()
	a.revert(ctx, &t, "rolled back by a person", by)
	if a.good != t.prior {
		a.good = t.prior
		a.note(func(e *entries) { e.good, e.back = t.prior, true })
	}
	return fmt.Sprintf("goes back from %s to %s; %s is quarantined", from, t.prior.Short(), from), nil
}

// impossibleNow returns why a revision that was good once could not be put in force.
func (a *Agent) impossibleNow(ctx context.Context, r *revision.Revision) error {
	_, _, err := a.preview(ctx, r)
	return err
}

// retryAgain lifts the quarantine of the commits that digits mean.
func (a *Agent) retryAgain(digits, by string) (string, error) {
	var found []journal.Quarantined
	for _, q := range a.quarantined {
		if named(q.Commit, digits) {
			found = append(found, q)
		}
	}
	if len(found) != 1 {
		return "", refused("%d revisions in quarantine begin with %q; give at least 7 digits of one that status shows", len(found), digits)
	}
	a.lift(found[0].Commit)
	a.record(journal.Record{Commit: found[0].Commit, Subject: found[0].Subject, Outcome: journal.Retried, By: by})
	return fmt.Sprintf("%.7s may be tried again, if it is still what the source has", found[0].Commit), nil
}

// ignore has nobody wait for a node until the revision that waits is verified.
func (a *Agent) ignore(node, by string) (string, error) {
	if a.neighbours[node] == nil {
		return "", refused("%s is no other node of the cluster that takes turns with this one", node)
	}
	if a.candidate == nil {
		return "", refused("no revision waits on this node")
	}
	if a.ignored == nil {
		a.ignored = map[string]bool{}
	}
	a.ignored[node] = true
	a.record(journal.Record{Commit: a.candidate.rev.Commit, Subject: a.candidate.rev.Subject, Outcome: journal.Ignored, Reason: "does not wait for " + node, By: by})
	return fmt.Sprintf("%s does not wait for %s", a.candidate.rev.Short(), node), nil
}

func (a *Agent) suspend(o control.SuspendOrder, by string) string {
	s := &journal.Suspension{Reason: o.Reason, By: by, Since: time.Now().UTC()}
	until := "until resume"
	if o.For > 0 {
		s.Until = s.Since.Add(o.For)
		until = "until " + s.Until.Format(time.RFC3339)
	}
	a.suspension = s
	a.note(func(e *entries) { e.suspended = &suspended{s} })
	a.record(journal.Record{Outcome: journal.Suspended, Reason: o.Reason, By: by})
	return "suspended " + until + ": no new revision and no correction; VRRP, checks and what follows from them go on"
}

func (a *Agent) resumeWork(by string) (string, error) {
	if a.suspension == nil {
		return "", refused("nothing is suspended on this node")
	}
	a.endSuspension(by)
	return "resumed", nil
}

func (a *Agent) endSuspension(by string) {
	a.suspension = nil
	a.note(func(e *entries) { e.suspended = &suspended{} })
	a.record(journal.Record{Outcome: journal.Resumed, By: by})
}

// expireSuspension ends a suspension whose time is over.
func (a *Agent) expireSuspension() {
	if s := a.suspension; s != nil && !s.Until.IsZero() && !time.Now().Before(s.Until) {
		a.endSuspension("its end")
	}
}

// withheld returns p without what only corrects others, while that is suspended. What follows
// from verdicts, roles and drains is made all the same.
func (a *Agent) withheld(p reconcile.Plan) reconcile.Plan {
	if a.suspension == nil || a.attempt != nil {
		return p
	}
	p, _ = without(p, a.isDrift)
	return p
}
