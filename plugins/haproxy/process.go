package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/hareconcile/hareconcile/internal/proc"
	"github.com/hareconcile/hareconcile/plugins/sdk"
)

// maxPids bounds what is read of a file with pids.
const maxPids = 64 << 10

// errNoPid is what the error is where nobody says which process it is.
var errNoPid = errors.New("names no process")

// isHaproxy reports whether a process is a haproxy by name. Of another user's process neither
// the program nor more than the name may be read.
func isHaproxy(s proc.Stat) bool { return strings.HasPrefix(s.Comm, "haproxy") }

// A naming is what the pidfile or the unit said last.
type naming struct {
	pid  int
	err  error
	file fs.FileInfo // of the pidfile then, or nil
	at   time.Time
}

// unitEvery is how often a unit's processes are looked through while its master runs.
const unitEvery = 10 * time.Second

// wanted returns the pid of the process to watch, who named it, and whether it was named as the
// one for good: a worker, which only names itself, ends after a reload. What was held before
// may have ended.
func (w *watcher) wanted(s *seen, ended bool) (pid int, by string, named bool, err error) {
	w.mu.Lock()
	held, heldNamed := w.held, w.held != nil && w.named
	n := w.naming
	w.mu.Unlock()
	switch {
	case w.pidfile != "":
		n = w.readPidfile(n)
		by = w.pidfile
	case w.unit != "":
		if ended || n.pid == 0 || held == nil || held.PID != n.pid || time.Since(n.at) > unitEvery {
			n = naming{at: time.Now()}
			n.pid, n.err = proc.Unit(w.cgroups, w.unit, isHaproxy)
		}
		by = w.unit
	case s.procs != nil:
		return s.procs.Master.PID, "the master's socket", true, nil
	case s.info != nil && !heldNamed: // of a master that is known already, one look less says nothing
		return int(s.info.Number("Pid")), "haproxy itself", false, nil
	case held != nil:
		return held.PID, "an earlier answer", heldNamed, nil
	default:
		return 0, "", false, nil
	}
	w.mu.Lock()
	w.naming = n
	w.mu.Unlock()
	return n.pid, by, true, n.err
}

// readPidfile reads the pidfile, unless it is the one that was read before.
func (w *watcher) readPidfile(before naming) naming {
	now, err := os.Stat(w.pidfile)
	if err == nil && before.err == nil && sameFile(now, before.file) {
		return before
	}
	n := naming{file: now}
	n.pid, n.err = readPidfile(w.pidfile)
	return n
}

func readPidfile(path string) (int, error) {
	f, err := os.Open(path)
	if err != nil {
		return 0, fmt.Errorf("read the pidfile: %w", err)
	}
	defer func() { _ = f.Close() }() // it was only read
	b, err := io.ReadAll(io.LimitReader(f, maxPids))
	if err != nil {
		return 0, fmt.Errorf("read the pidfile: %w", err)
	}
	first, _, _ := strings.Cut(string(b), "\n")
	pid, err := strconv.Atoi(strings.TrimSpace(first))
	if err != nil || pid <= 0 {
		return 0, fmt.Errorf("%s %w", path, errNoPid)
	}
	return pid, nil
}

// lookAtProcess finds the process, holds on to it, and judges it. Unknown stands for what
// settle decides.
func (w *watcher) lookAtProcess(s *seen) sdk.Part {
	w.mu.Lock()
	over := w.held != nil && w.held.Ended()
	w.mu.Unlock()
	pid, by, named, err := w.wanted(s, over)
	w.mu.Lock()
	defer w.mu.Unlock()
	if s.info != nil && s.info.Number("Pid") > 0 {
		w.worker = int(s.info.Number("Pid"))
	}
	if err != nil {
		return part("process", sdk.Unknown, "NO_PID", "%v", err)
	}
	if pid == 0 {
		return sdk.Part{}
	}
	if w.held != nil && w.held.PID == pid {
		if !w.held.Ended() {
			return part("process", sdk.Pass, "", "process %d runs", pid)
		}
		p, err := proc.Look(pid)
		switch {
		case err == nil && p.Start == w.held.Start:
			return part("process", sdk.Fail, "ZOMBIE", "process %d has ended, and its parent did not notice", pid)
		case err != nil:
			return ended(w.named, pid)
		}
	}
	p, err := proc.Open(pid)
	if err == nil && !isHaproxy(p.Stat) {
		comm := p.Comm
		_ = p.Close()
		if !named {
			return elsewhere(pid, by)
		}
		return part("process", sdk.Unknown, "OTHER_PROCESS", "process %d, which %s names, is %s", pid, by, comm)
	}
	if err != nil {
		return strange(pid, by, named, err)
	}
	if w.held != nil {
		_ = w.held.Close()
	}
	if w.closed { // and nobody would let go of it
		_ = p.Close()
		return part("process", sdk.Pass, "", "process %d runs", pid)
	}
	w.held, w.named = p, named
	select {
	case w.retarget <- struct{}{}:
	default: // one word waits already
	}
	return part("process", sdk.Pass, "", "process %d runs", pid)
}

// ended judges a process that was held and has ended: the one for good is missed, while a
// worker may have been replaced.
func ended(named bool, pid int) sdk.Part {
	if named {
		return part("process", sdk.Fail, "GONE", "process %d has ended", pid)
	}
	return part("process", sdk.Unknown, "GONE", "process %d has ended", pid)
}

// strange judges a process that could not be held.
func strange(pid int, by string, named bool, err error) sdk.Part {
	switch z, look := proc.Look(pid); {
	case !errors.Is(err, proc.ErrGone):
		return part("process", sdk.Unknown, "HIDDEN", "%v", err)
	case look == nil && z.Gone() && isHaproxy(z):
		return part("process", sdk.Fail, "ZOMBIE", "process %d has ended, and its parent did not notice", pid)
	case !named:
		return elsewhere(pid, by)
	}
	return part("process", sdk.Unknown, "GONE", "process %d, which %s names, is gone", pid, by)
}

// elsewhere judges a pid that haproxy says of itself and that is not haproxy's here: in a
// container, processes have other numbers.
func elsewhere(pid int, by string) sdk.Part {
	return part("process", sdk.Pass, "ELSEWHERE", "process %d, which %s names, is not in this namespace", pid, by)
}

// settle decides on a process of which nobody knows, or that was never seen alive: whoever
// answers runs, so the pidfile is wrong, and if nobody answers it is right.
func settle(p, runtime sdk.Part) sdk.Part {
	if p.Status != sdk.Unknown {
		return p
	}
	switch runtime.Status {
	case sdk.Pass, sdk.Warn:
		p.Status = sdk.Warn
	case sdk.Fail:
		if p.Code != "HIDDEN" {
			p.Status = sdk.Fail
		}
	}
	return p
}

// restart makes unknown what is gone and may come back within restart_grace, as when the
// service manager starts it again. Its pidfile is gone for a moment, too, while it starts.
func (w *watcher) restart(process, runtime sdk.Part, now time.Time) (sdk.Part, sdk.Part) {
	if w.restartGrace == 0 {
		return process, runtime
	}
	gone := func(p sdk.Part) bool {
		return p.Status == sdk.Fail && slices.Contains([]string{"GONE", "NO_PID", "ZOMBIE", "REFUSED", "NO_SOCKET", "EMPTY_REPLY"}, p.Code)
	}
	if !gone(process) && !gone(runtime) {
		w.resume(part("restart", sdk.Pass, "", ""))
		return process, runtime
	}
	status := w.pause(part("restart", sdk.Fail, "", ""), now, w.restartGrace).Status
	for _, p := range []*sdk.Part{&process, &runtime} {
		if gone(*p) {
			p.Status = status
		}
	}
	return process, runtime
}
