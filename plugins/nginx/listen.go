package main

import (
	"errors"
	"io/fs"
	"strings"

	"github.com/hareconcile/hareconcile/internal/proc"
	"github.com/hareconcile/hareconcile/plugins/sdk"
)

// judgeListeners makes the part of the listeners. master is 0 if it does not run.
func (c *config) judgeListeners(master int, r *report) sdk.Part {
	const name = "listener"
	all, err := proc.Listeners()
	if err != nil {
		return part(name, sdk.Unknown, "UNREADABLE", "%v", err)
	}
	var held map[uint64]bool
	if master != 0 {
		held, err = proc.Sockets(master)
		if err != nil && !errors.Is(err, fs.ErrPermission) {
			return part(name, sdk.Unknown, "UNREADABLE", "%v", err)
		}
	}
	for _, want := range c.listen {
		found, ours := false, held == nil // without the rights to tell, whoever listens will do
		for _, l := range all {
			if !l.Accepts(want) {
				continue
			}
			found, ours = true, ours || held[l.Inode]
			r.metrics["listen_queued{"+want.String()+"}"] += float64(l.Queued)
		}
		switch {
		case !found:
			return part(name, sdk.Fail, "NOT_LISTENING", "nobody listens on %s", want)
		case !ours:
			return part(name, sdk.Fail, "FOREIGN_LISTENER", "%s is not nginx's: another process listens there", want)
		}
	}
	return part(name, sdk.Pass, "", "listens on %d of %d addresses", len(c.listen), len(c.listen))
}

// judgeOrphans makes the part of the orphans: workers that outlived their master. They go on
// serving an old configuration, cannot be reloaded, and keep the ports from a new nginx.
// known are workers that were seen under a master of this pid file.
//
// Workers of the old and the new master of a binary upgrade have a master, and are none.
func (c *config) judgeOrphans(known map[int]uint64) sdk.Part {
	const name = "orphans"
	all, err := proc.All()
	if err != nil {
		return part(name, sdk.Unknown, "UNREADABLE", "%v", err)
	}
	var ours, others int
	for _, s := range all {
		if s.Comm != "nginx" || s.Gone() || !titled(s.PID, workerTitle) || titled(s.Parent, masterTitle) {
			continue
		}
		switch {
		case known[s.PID] == s.Start && s.Start != 0:
			ours++
		default:
			mine, certain := c.holdsListener(s.PID)
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
func (c *config) holdsListener(pid int) (holds, certain bool) {
	if len(c.listen) == 0 {
		return false, false
	}
	held, err := proc.Sockets(pid)
	if errors.Is(err, proc.ErrGone) {
		return false, true
	}
	all, err2 := proc.Listeners()
	if err != nil || err2 != nil {
		return false, false
	}
	for _, want := range c.listen {
		for _, l := range all {
			if held[l.Inode] && l.Accepts(want) {
				return true, true
			}
		}
	}
	return false, true
}
