package main

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/hareconcile/hareconcile/internal/proc"
	"github.com/hareconcile/hareconcile/plugins/sdk"
)

// What nginx's processes call themselves (ngx_process_cycle.c). Cache manager, cache loader
// and whatever modules start have other titles.
const (
	masterTitle = "nginx: master process"
	workerTitle = "nginx: worker process"
	oldTitle    = "nginx: worker process is shutting down"
)

// maxPidfile bounds what is read of the pid file.
const maxPidfile = 64

// A family is nginx's processes at one moment.
type family struct {
	master  proc.Stat
	workers []proc.Stat // that take connections
	old     []proc.Stat // that end once their connections have
}

// open takes hold of the process that the pid file or the unit names, if it is nginx's master. The part
// says what was found; without a process it is a Fail or Unknown.
func (c *config) open() (*proc.Process, sdk.Part) {
	const name = "process"
	pid, p := c.named()
	if pid == 0 {
		return nil, p
	}
	m, err := proc.Open(pid)
	if errors.Is(err, proc.ErrGone) {
		if s, err := proc.Look(pid); err == nil && s.Gone() {
			return nil, part(name, sdk.Fail, "ZOMBIE", "master %d has ended and is a zombie", pid)
		}
		return nil, part(name, sdk.Fail, "DEAD", "there is no process %d, which %s names", pid, c.namedBy())
	}
	if err != nil {
		return nil, part(name, sdk.Unknown, "UNREADABLE", "%v", err)
	}
	if p := c.verify(m); p.Status != sdk.Pass {
		_ = m.Close()
		return nil, p
	}
	return m, runs(m.Stat)
}

// runs makes the part of a master that was found.
func runs(s proc.Stat) sdk.Part {
	if s.Stopped() {
		return part("process", sdk.Warn, "MASTER_STOPPED", "master %d is stopped: it cannot reload or replace a worker", s.PID)
	}
	return part("process", sdk.Pass, "", "master %d", s.PID)
}

// unreadable makes a part of what could not be looked at.
func unreadable(name string, err error) sdk.Part {
	return part(name, sdk.Unknown, "UNREADABLE", "%v", err)
}

// named returns the pid that the pid file or the unit names, or 0 and what is wrong.
func (c *config) named() (int, sdk.Part) {
	if c.unit == "" {
		return c.readPidfile()
	}
	pid, err := proc.Unit(c.cgroups, c.unit, func(s proc.Stat) bool { return s.Comm == "nginx" })
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, proc.ErrNone):
		return 0, part("process", sdk.Fail, "NO_UNIT", "%s has no process that is nginx", c.unit)
	case err != nil:
		return 0, unreadable("process", err)
	}
	return pid, sdk.Part{}
}

// verify tells nginx's master from whoever got its pid after it.
func (c *config) verify(m *proc.Process) sdk.Part {
	const name = "process"
	title, err := proc.Title(m.PID)
	exe, err2 := proc.Exe(m.PID)
	switch {
	case m.Ended(), err == nil && title == "": // a process that ends loses its title first
		return part(name, sdk.Fail, "DEAD", "process %d has just ended", m.PID)
	case err != nil:
		return part(name, sdk.Unknown, "UNREADABLE", "%v", err)
	case !strings.HasPrefix(title, masterTitle):
		return part(name, sdk.Fail, "STALE_PIDFILE", "%s names process %d, which is %.80q and no master of nginx", c.namedBy(), m.PID, title)
	case err2 == nil && !strings.HasPrefix(filepath.Base(exe), "nginx"): // nginx-debug is one
		return part(name, sdk.Fail, "STALE_PIDFILE", "%s names process %d, which runs %.80q and not nginx", c.namedBy(), m.PID, exe)
	}
	return sdk.Part{Status: sdk.Pass} // without rights for exe, the title has to do
}

func (c *config) namedBy() string { return cmp.Or(c.unit, c.pidfile) }

// readPidfile returns a pid, or 0 and what is wrong.
func (c *config) readPidfile() (int, sdk.Part) {
	const name = "process"
	f, err := os.Open(c.pidfile)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, part(name, sdk.Fail, "NO_PIDFILE", "there is no %s: nginx does not run", c.pidfile)
	}
	if err != nil {
		return 0, part(name, sdk.Unknown, "UNREADABLE", "cannot read the pid file: %v", err)
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxPidfile))
	if err != nil {
		return 0, part(name, sdk.Unknown, "UNREADABLE", "cannot read the pid file: %v", err)
	}
	pid, err := strconv.ParseInt(strings.TrimSpace(string(b)), 10, 32)
	if err != nil || pid <= 0 {
		return 0, part(name, sdk.Fail, "BAD_PIDFILE", "%s holds %q and no pid", c.pidfile, b)
	}
	return int(pid), sdk.Part{}
}

// lookAtFamily finds the workers of a master.
func lookAtFamily(m proc.Stat) (family, error) {
	f := family{master: m}
	pids, err := proc.Children(m.PID)
	if err != nil {
		return f, fmt.Errorf("look at the workers: %w", err)
	}
	for _, pid := range pids {
		s, err := proc.Look(pid)
		if err != nil || s.Gone() || s.Parent != m.PID {
			continue
		}
		title, err := proc.Title(pid)
		switch {
		case err != nil:
		case strings.HasPrefix(title, oldTitle):
			f.old = append(f.old, s)
		case title == workerTitle:
			f.workers = append(f.workers, s)
		}
	}
	return f, nil
}

// judgeWorkers makes the part of the workers.
func (c *config) judgeWorkers(f family) sdk.Part {
	const name = "workers"
	stopped := 0
	for _, w := range f.workers {
		if w.Stopped() {
			stopped++
		}
	}
	n := len(f.workers)
	switch {
	case n == 0 && len(f.old) > 0:
		return part(name, sdk.Fail, "STOPPING", "nginx is shutting down: %d workers finish and none takes connections", len(f.old))
	case n == 0:
		return part(name, sdk.Fail, "NO_WORKERS", "master %d has no workers", f.master.PID)
	case stopped == n:
		return part(name, sdk.Fail, "WORKERS_STOPPED", "all %d workers are stopped", n)
	case stopped > 0:
		return part(name, sdk.Warn, "WORKERS_STOPPED", "%d of %d workers are stopped", stopped, n)
	case n < c.workersMin:
		return part(name, sdk.Warn, "FEW_WORKERS", "%d workers, want %d", n, c.workersMin)
	}
	return part(name, sdk.Pass, "", "%d workers", n)
}
