package main

import (
	"context"
	"time"

	"github.com/hareconcile/hareconcile/internal/joint"
	"github.com/hareconcile/hareconcile/internal/listening"
	"github.com/hareconcile/hareconcile/internal/proc"
)

const (
	// orphansEvery is how often all processes are looked through while the master runs.
	orphansEvery = 10 * time.Second
	// fresh is how old a look may be that another watcher has taken; none gets it twice.
	fresh = 250 * time.Millisecond
)

// A desk is what the watchers of this plugin share: a look at all sockets or all processes of
// this host serves every one of them.
type desk struct {
	listening joint.Question[[]listening.Socket]
	processes joint.Question[[]proc.Stat]
}

func newDesk() *desk {
	return &desk{
		listening: joint.Question[[]listening.Socket]{Fresh: fresh},
		processes: joint.Question[[]proc.Stat]{Fresh: orphansEvery / 2},
	}
}

// sockets returns who listens.
func (w *watcher) sockets(ctx context.Context) ([]listening.Socket, error) {
	a := w.desk.listening.Ask(ctx, w.before, func(context.Context) ([]listening.Socket, error) { return listening.TCP() })
	w.listening = a.Asked
	return a.Value, a.Err
}

// lookForOrphans looks through all processes now and then, and at once if the master is gone
// or is another one.
func (w *watcher) lookForOrphans(ctx context.Context, now time.Time, at bool) {
	if !at && now.Sub(w.orphansAt) < orphansEvery {
		return
	}
	since := w.orphansAsked
	if recent := now.Add(-fresh); at && recent.After(since) {
		since = recent
	}
	a := w.desk.processes.Ask(ctx, since, func(context.Context) ([]proc.Stat, error) { return proc.All() })
	w.orphansAt, w.orphansAsked = now, a.Asked
	if a.Err != nil {
		w.orphans = unreadable("orphans", a.Err)
		return
	}
	w.orphans = w.judgeOrphans(ctx, a.Value)
}
