package main

import (
	"context"
	"errors"
	"io/fs"
	"net/netip"
	"strings"

	"github.com/hareconcile/hareconcile/internal/proc"
	"github.com/hareconcile/hareconcile/plugins/sdk"
)

// judgeListeners makes the part of the listeners. master is 0 if it does not run.
func (w *watcher) judgeListeners(ctx context.Context, master int, r *report) sdk.Part {
	const name = "listener"
	all, err := w.sockets(ctx)
	if err != nil {
		return part(name, sdk.Unknown, "UNREADABLE", "%v", err)
	}
	var held map[uint32]bool
	if master != 0 {
		held, err = proc.Sockets(master)
		if err != nil && !errors.Is(err, fs.ErrPermission) {
			return part(name, sdk.Unknown, "UNREADABLE", "%v", err)
		}
	}
	full := netip.AddrPort{}
	for _, want := range w.listen {
		found, ours := false, held == nil // without the rights to tell, whoever listens will do
		for _, l := range all {
			if !l.Serves(want) {
				continue
			}
			found, ours = true, ours || held[l.Inode]
			r.metrics["listen_queued{"+want.String()+"}"] += float64(l.Queue)
			if l.Queue > l.Limit { // sk_acceptq_is_full
				full = want
			}
		}
		switch {
		case !found:
			return part(name, sdk.Fail, "NOT_LISTENING", "nobody listens on %s", want)
		case !ours:
			return part(name, sdk.Fail, "FOREIGN_LISTENER", "%s is not nginx's: another process listens there", want)
		}
	}
	if full.IsValid() {
		return part(name, sdk.Warn, "QUEUE_FULL", "%s takes no more connections until nginx accepts those that wait", full)
	}
	return part(name, sdk.Pass, "", "listens on %d of %d addresses", len(w.listen), len(w.listen))
}

// judgeOrphans makes the part of the orphans: workers that outlived their master. They go on
// serving an old configuration, cannot be reloaded, and keep the ports from a new nginx. Those
// that were seen under a master of this pid file are known for ours.
//
// Workers of the old and the new master of a binary upgrade have a master, and are none.
func (w *watcher) judgeOrphans(ctx context.Context, all []proc.Stat) sdk.Part {
	const name = "orphans"
	known := w.history.known()
	var ours, others int
	for _, s := range all {
		if s.Comm != "nginx" || s.Gone() || !titled(s.PID, workerTitle) || titled(s.Parent, masterTitle) {
			continue
		}
		switch {
		case known[s.PID] == s.Start && s.Start != 0:
			ours++
		default:
			mine, certain := w.holdsListener(ctx, s.PID)
			if mine {
				ours++
			} else if !certain {
				others++
			}
		}
	}
	switch {
	case ours > 0:
		return part(name, sdk.Fail, "ORPHANS", "%d workers have lost their master: they serve and cannot be managed", ours)
	case others > 0:
		return part(name, sdk.Warn, "ORPHANS", "%d workers of some nginx have lost their master", others)
	}
	return part(name, sdk.Pass, "", "no orphans")
}

func titled(pid int, prefix string) bool {
	title, err := proc.Title(pid)
	return err == nil && strings.HasPrefix(title, prefix)
}

// holdsListener reports whether a process has one of the addresses that nginx must listen
// on, and whether that could be told.
func (w *watcher) holdsListener(ctx context.Context, pid int) (holds, certain bool) {
	if len(w.listen) == 0 {
		return false, false
	}
	held, err := proc.Sockets(pid)
	if errors.Is(err, proc.ErrGone) {
		return false, true
	}
	all, err2 := w.sockets(ctx)
	if err != nil || err2 != nil {
		return false, false
	}
	for _, want := range w.listen {
		for _, l := range all {
			if held[l.Inode] && l.Serves(want) {
				return true, true
			}
		}
	}
	return false, true
}
