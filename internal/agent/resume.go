package agent

import (
	"context"
	"fmt"
	"time"

	"github.com/hareconcile/hareconcile/internal/journal"
	"github.com/hareconcile/hareconcile/internal/revision"
	"github.com/hareconcile/hareconcile/internal/spec"
)

// resume goes on where the agent before this one ended: with the last good revision, without
// git and without policies, since it passed them; or with one that was being tried, if there
// is time left for it.
func (a *Agent) resume(ctx context.Context) {
	st := a.cfg.Journal.Load()
	a.quarantined, a.suspension = st.Quarantined, st.Suspension
	for _, err := range st.Damaged {
		a.damaged = append(a.damaged, err.Error())
		a.cfg.Log.Error("the journal is damaged; it counts as empty", "err", err)
	}
	a.good = a.loadGood()
	tried := a.leftover(st.Attempt)
	switch {
	case tried != nil:
		a.attempt = tried
		a.install(ctx, tried.rev, nil)
		a.cfg.Log.Info("a revision is tried on", "revision", tried.rev.Short(), "until", tried.deadline)
	case a.good != nil:
		a.install(ctx, a.good, nil)
		a.cfg.Log.Info("last good revision loaded", "revision", a.good.Short())
	}
	a.publish()
}

// loadGood returns the last good revision, if it is this node's.
func (a *Agent) loadGood() *revision.Revision {
	rev, err := a.cfg.Store.LoadGood()
	switch {
	case err != nil:
		a.message = "last good revision: " + err.Error()
		a.cfg.Log.Error("last good revision cannot be used", "err", err)
	case rev != nil && rev.Cluster.Node != a.cfg.Node:
		a.message = fmt.Sprintf("the last good revision was compiled for node %q and this is %q; waiting for the source", rev.Cluster.Node, a.cfg.Node)
		a.cfg.Log.Warn("last good revision is another node's", "revision", rev.Short())
	default:
		return rev
	}
	return nil
}

// leftover returns the attempt to go on with, of the one that the journal has. Whatever else
// was begun is over: it was verified already, it is undone, or nothing is known of it.
func (a *Agent) leftover(e *journal.Attempt) *attempt {
	if e == nil {
		return nil
	}
	if a.good != nil && a.good.Commit == e.Revision && e.Reverting {
		a.goBack(e)
		return nil
	}
	if a.good != nil && a.good.Commit == e.Revision {
		a.note(func(n *entries) { n.end = true }) // it was verified, and no more was to be written
		return nil
	}
	rev, err := a.cfg.Store.LoadCandidate()
	if err == nil && (rev == nil || rev.Commit != e.Revision || rev.Cluster.Node != a.cfg.Node) {
		err = fmt.Errorf("there is no copy of %.7s", e.Revision)
	}
	now := time.Now()
	switch {
	case a.good != nil && e.Reverting, a.good != nil && err == nil && !now.Before(e.Deadline):
		why := e.Reason
		if !e.Reverting {
			why = "not verified before its deadline, which passed while no agent ran"
		}
		lost := revision.Revision{Commit: e.Revision}
		if err == nil {
			lost = *rev
		}
		if _, known := a.kept(e.Revision); !known {
			a.quarantine(&lost, why)
			a.record(journal.Record{Commit: lost.Commit, Subject: lost.Subject, Outcome: journal.RolledBack, Reason: why})
		}
		a.note(func(n *entries) { n.end = true })
		return nil
	case err != nil:
		a.damaged = append(a.damaged, "the revision that was tried cannot be read: "+err.Error())
		a.cfg.Log.Error("the revision that was tried cannot be read; it is tried again once the source has it", "err", err)
		a.note(func(n *entries) { n.end = true })
		return nil
	}
	// A clock that was set back must not leave it unverified for long.
	deadline := e.Deadline
	if latest := now.Add(healthyDeadline(rev.Cluster)); deadline.After(latest) {
		deadline = latest
	}
	t := &attempt{rev: rev, prior: a.good, began: now, deadline: deadline, installed: true}
	if a.good != nil {
		t.before.quorum = all(a.good.Cluster.VirtualServers)
	}
	return t
}

// goBack takes a good revision back that a person had rolled back when the agent ended.
func (a *Agent) goBack(e *journal.Attempt) {
	prior, err := a.cfg.Store.LoadPrior()
	if err == nil && (prior == nil || prior.Commit != e.Prior || prior.Cluster.Node != a.cfg.Node) {
		err = fmt.Errorf("there is no copy of %.7s", e.Prior)
	}
	if err != nil {
		a.damaged = append(a.damaged, "the revision to go back to cannot be read: "+err.Error())
		a.cfg.Log.Error("rollback failed: a person is needed", "revision", a.good.Short(), "err", err)
		a.note(func(n *entries) { n.end = true })
		return
	}
	if _, known := a.kept(e.Revision); !known {
		a.quarantine(a.good, e.Reason)
	}
	a.good = prior
	a.note(func(n *entries) { n.good, n.back, n.end = prior, true, true })
}

// all is the quorums of a baseline where nobody knows what worked: an agent that ended in the
// midst of an attempt could not hand that on.
func all(vss []spec.VirtualServer) map[string]bool {
	out := map[string]bool{}
	for _, vs := range vss {
		out[vs.Name] = true
	}
	return out
}
