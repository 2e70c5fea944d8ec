package agent

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/hareconcile/hareconcile/internal/control"
	"github.com/hareconcile/hareconcile/internal/journal"
	"github.com/hareconcile/hareconcile/internal/revision"
	"github.com/hareconcile/hareconcile/reconcile"
	"github.com/hareconcile/hareconcile/reconcile/planfile"
)

// A Journal is what is told of attempts, and known after a crash.
type Journal interface {
	Load() journal.State
	Begin(journal.Attempt) error
	End() error
	Quarantine([]journal.Quarantined) error
	Suspend(*journal.Suspension) error
	Record(...journal.Record) error
}

// A candidate is a revision that passed every judgement and waits to be tried.
type candidate struct {
	rev      *revision.Revision
	findings []reconcile.Finding
	since    time.Time
	waits    string // for what; empty until it was asked
}

// An attempt is a revision that is being tried, or undone.
type attempt struct {
	rev      *revision.Revision // that is tried
	prior    *revision.Revision // the last good one; nil if there is none
	began    time.Time
	deadline time.Time
	before   baseline
	// installed says that the journal has it and it is in force.
	installed bool
	healthy   time.Time // since when all is well without a break; zero while it is not
	reason    string    // why not
	reverting bool
	stuck     bool // going back takes longer than it may
}

// journalRetry is the wait before an attempt is begun again whose journal could not be written.
const journalRetry = 30 * time.Second

// offer makes a revision that was judged the one to try next. It replaces one that waits.
func (a *Agent) offer(c candidate) {
	if old := a.candidate; old != nil && old.rev.Commit != c.rev.Commit {
		a.record(journal.Record{Commit: old.rev.Commit, Subject: old.rev.Subject, Outcome: journal.Superseded, Reason: "while it waited"})
	}
	c.since = time.Now()
	a.candidate = &c
}

// advanceAttempt takes what is under way a step further, if it can go one. It returns how long
// until it has to be asked again at the latest; 0 if something else will.
func (a *Agent) advanceAttempt(ctx context.Context) time.Duration {
	wait := a.verify(ctx)
	a.consider(ctx)
	a.comeBack(ctx)
	if a.candidate != nil {
		wait = cmp.Or(min(wait, time.Second), time.Second) // its turn may come with nothing but time
	}
	return wait
}

// consider begins to try the candidate, if it may be. It is called whenever something happened.
func (a *Agent) consider(ctx context.Context) {
	c := a.candidate
	switch {
	case c != nil && a.cfg.PlanOnly:
		a.candidate, a.attempt = nil, &attempt{rev: c.rev, began: time.Now(), installed: true}
		a.install(ctx, c.rev, c.findings)
		a.pass(ctx)
		return
	case c == nil || a.work != nil || a.attempt != nil && !a.attempt.installed:
		return
	case a.suspension != nil:
		c.waits = "suspended: " + a.suspension.Reason
		return
	case time.Now().Before(a.journalAgain):
		return
	}
	mine, waits := a.takeTurn(ctx, c)
	if c.waits = waits; !mine || a.candidate != c {
		return
	}
	a.candidate = nil
	a.try(ctx, c)
}

// try writes the journal, and then puts the revision in force. Disks block, so the loop goes
// on meanwhile.
func (a *Agent) try(ctx context.Context, c *candidate) {
	t := &attempt{rev: c.rev, began: time.Now(), before: a.worked()}
	t.deadline = t.began.Add(healthyDeadline(c.rev.Cluster))
	switch old := a.attempt; {
	case old != nil: // it is superseded, and what was good before it still is
		t.prior, t.before = old.prior, old.before
		a.record(journal.Record{Commit: old.rev.Commit, Subject: old.rev.Subject, Outcome: journal.Superseded, Reason: "while it was verified"})
	default:
		t.prior = a.good
	}
	a.attempt = t
	entry := journal.Attempt{Revision: t.rev.Commit, Deadline: t.deadline, BootID: a.cfg.BootID}
	if t.prior != nil {
		entry.Prior = t.prior.Commit
	}
	a.works.Go(func() {
		err := a.book.begin(func() error {
			if err := a.cfg.Store.SaveCandidate(t.rev); err != nil {
				return err
			}
			return a.cfg.Journal.Begin(entry)
		})
		_ = a.doIdle(ctx, func(ctx context.Context) { a.begun(ctx, c, t, err) }) // but for an agent that stops
	})
}

// begun puts t in force once the journal has it. Without a journal nothing is tried: a crash
// could not be told from a success.
func (a *Agent) begun(ctx context.Context, c *candidate, t *attempt, err error) {
	if a.attempt != t {
		return
	}
	if err != nil {
		a.attempt = nil
		a.journalAgain = time.Now().Add(journalRetry)
		if a.candidate == nil {
			c.waits = "the journal cannot be written: " + err.Error()
			a.candidate = c
		}
		a.cfg.Log.Error("revision is not tried; the one in force stays", "revision", c.rev.Short(), "err", err)
		return
	}
	a.install(ctx, t.rev, c.findings)
	t.installed = true
	a.pass(ctx)
}

// verify looks whether the attempt has come to its end, and returns how long until it has to
// be asked again; 0 if it need not.
func (a *Agent) verify(ctx context.Context) time.Duration {
	t := a.attempt
	if t == nil || !t.installed {
		return 0
	}
	now := time.Now()
	bad := a.unhealthy(t.before)
	switch {
	case len(bad) > 0:
		t.healthy, t.reason = time.Time{}, strings.Join(bad[:min(len(bad), maxReasons)], "; ")
	case t.healthy.IsZero():
		t.healthy, t.reason = now, ""
	}
	if t.prior == nil || t.reverting { // nothing to go back to: what counts is that it is in force
		switch {
		case !a.converged.IsZero() && a.work == nil:
			a.finished()
		case now.Before(t.deadline):
			return t.deadline.Sub(now)
		case t.reverting && !t.stuck:
			t.stuck = true
			a.cfg.Log.Error("rollback failed: a person is needed", "revision", t.rev.Short(), "to", t.prior.Short(), "err", t.reason)
		}
		return 0
	}
	need := healthyTime(t.prior.Cluster, t.rev.Cluster)
	switch {
	case !t.healthy.IsZero() && now.Sub(t.healthy) >= need:
		a.finished()
		return 0
	case !now.Before(t.deadline):
		a.undo(ctx)
		return 0
	case t.healthy.IsZero():
		return t.deadline.Sub(now)
	}
	return min(t.deadline.Sub(now), t.healthy.Add(need).Sub(now))
}

// finished makes the revision in force the good one, on disk as well.
func (a *Agent) finished() {
	t := a.attempt
	a.attempt = nil
	if t.reverting {
		a.note(func(e *entries) { e.end = true })
		a.cfg.Log.Warn("rolled back", "revision", t.rev.Short(), "to", a.rev.Short())
		return
	}
	a.good, a.failed, a.ignored = t.rev, "", nil
	a.note(func(e *entries) { e.good, e.back, e.end = t.rev, false, true })
	a.record(journal.Record{Commit: t.rev.Commit, Subject: t.rev.Subject, Outcome: journal.Verified})
	a.cfg.Log.Info("verified", "revision", t.rev.Short())
}

// undo goes back to the last good revision, and keeps the one that was tried from being tried
// again. Going back is nothing but having another revision in force.
func (a *Agent) undo(ctx context.Context) {
	t := a.attempt
	why := fmt.Sprintf("not verified within %s: %s", healthyDeadline(t.rev.Cluster), t.reason)
	if t.rev.Cluster.Rollout.KeepFailed {
		a.attempt, a.good, a.failed = nil, t.rev, why
		a.note(func(e *entries) { e.good, e.back, e.end = t.rev, false, true })
		a.record(journal.Record{Commit: t.rev.Commit, Subject: t.rev.Subject, Outcome: journal.Failed, Reason: why + " (auto_revert = false)"})
		a.cfg.Log.Error("revision failed, and stays in force (auto_revert = false)", "revision", t.rev.Short(), "err", why)
		return
	}
	a.revert(ctx, t, why, "")
}

// revert puts the revision before t in force again, quarantines t's, and says who ordered it.
func (a *Agent) revert(ctx context.Context, t *attempt, why, by string) {
	a.cfg.Log.Error("rolling back", "revision", t.rev.Short(), "to", t.prior.Short(), "err", why)
	a.quarantine(t.rev, why)
	a.record(journal.Record{Commit: t.rev.Commit, Subject: t.rev.Subject, Outcome: journal.RolledBack, Reason: why, By: by})
	back := *t
	back.reverting, back.reason, back.healthy = true, why, time.Time{}
	back.deadline = time.Now().Add(healthyDeadline(t.prior.Cluster))
	a.attempt = &back
	a.note(func(e *entries) {
		e.reverting = &journal.Attempt{
			Revision: t.rev.Commit, Prior: t.prior.Commit, Deadline: back.deadline, BootID: a.cfg.BootID, Reverting: true, Reason: why,
		}
	})
	a.install(ctx, t.prior, nil)
	a.pass(ctx)
}

// quarantine keeps a revision from being tried again.
func (a *Agent) quarantine(r *revision.Revision, why string) {
	a.lift(r.Commit)
	a.quarantined = append(a.quarantined, journal.Quarantined{Commit: r.Commit, Subject: r.Subject, Reason: why, Time: time.Now().UTC()})
	list := slices.Clone(a.quarantined)
	a.note(func(e *entries) { e.quarantined = &list })
}

// lift takes a commit out of the quarantine, and reports whether it was there.
func (a *Agent) lift(commit string) bool {
	n := len(a.quarantined)
	a.quarantined = slices.DeleteFunc(slices.Clone(a.quarantined), func(q journal.Quarantined) bool { return q.Commit == commit })
	list := slices.Clone(a.quarantined)
	a.note(func(e *entries) { e.quarantined = &list })
	return len(a.quarantined) < n
}

// kept returns why a commit is in quarantine.
func (a *Agent) kept(commit string) (journal.Quarantined, bool) {
	k := slices.IndexFunc(a.quarantined, func(q journal.Quarantined) bool { return q.Commit == commit })
	if k < 0 {
		return journal.Quarantined{}, false
	}
	return a.quarantined[k], true
}

// rollout returns what status shows of the revision on its way.
func (a *Agent) rollout() *control.Rollout {
	if t := a.attempt; t != nil && (t.prior != nil || !t.installed) {
		r := &control.Rollout{
			Stage: control.Verifying, Revision: planfile.Revision{Ref: t.rev.Ref, Commit: t.rev.Commit, Subject: t.rev.Subject},
			Since: t.began, Reason: t.reason, HealthySince: t.healthy, Deadline: t.deadline,
		}
		if t.prior != nil {
			r.Prior, r.Needed = t.prior.Commit, healthyTime(t.prior.Cluster, t.rev.Cluster)
		}
		switch {
		case t.reverting:
			r.Stage = control.Reverting
		case !t.installed || a.converged.IsZero():
			r.Stage = control.Trying
		}
		return r
	}
	if c := a.candidate; c != nil {
		return &control.Rollout{
			Stage: control.Waiting, Revision: planfile.Revision{Ref: c.rev.Ref, Commit: c.rev.Commit, Subject: c.rev.Subject},
			Since: c.since, Reason: c.waits, Deadline: a.stallsAt(c),
		}
	}
	return nil
}
