package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/hareconcile/hareconcile/internal/proc"
	"github.com/hareconcile/hareconcile/plugins/sdk"
)

// cgroups is where the kernel shows control groups; anybody may read who is in one.
const cgroups = "/sys/fs/cgroup"

// maxPids bounds what is read of a file with pids.
const maxPids = 64 << 10

// errNoPid is what the error is where nobody says which process it is.
var errNoPid = errors.New("names no process")

// isHaproxy reports whether a process is a haproxy by name. Of another user's process neither
// the program nor more than the name may be read.
func isHaproxy(s proc.Stat) bool { return strings.HasPrefix(s.Comm, "haproxy") }

// wanted returns the pid of the process to watch, who named it, and whether it was named as the
// one for good: a worker, which only names itself, ends after a reload.
func (w *watcher) wanted(s *seen) (pid int, by string, named bool, err error) {
	w.mu.Lock()
	held, heldNamed := w.held, w.held != nil && w.named
	w.mu.Unlock()
	switch {
	case w.pidfile != "":
		pid, err = readPidfile(w.pidfile)
		return pid, w.pidfile, true, err
	case w.unit != "":
		pid, err = w.readUnit()
		return pid, w.unit, true, err
	case s.procs != nil:
		return s.procs.Master.PID, "the master's socket", true, nil
	case s.info != nil && !heldNamed: // of a master that is known already, one look less says nothing
		return int(s.info.Number("Pid")), "haproxy itself", false, nil
	case held != nil:
		return held.PID, "an earlier answer", heldNamed, nil
	}
	return 0, "", false, nil
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

// readUnit finds the master in the unit's control group: the haproxy whose parent is not in
// it too. That takes neither D-Bus nor privileges.
func (w *watcher) readUnit() (int, error) {
	var b []byte
	err := fs.ErrNotExist
	for _, hierarchy := range []string{"", "unified", "systemd"} {
		if b, err = os.ReadFile(filepath.Join(w.cgroups, hierarchy, "system.slice", w.unit, "cgroup.procs")); err == nil {
			break
		}
	}
	if err != nil {
		return 0, fmt.Errorf("read the processes of %s: %w", w.unit, err)
	}
	pids := strings.Fields(string(b[:min(len(b), maxPids)]))
	for _, text := range pids {
		pid, err := strconv.Atoi(text)
		if err != nil || pid <= 0 {
			continue
		}
		p, err := proc.Look(pid)
		if err == nil && isHaproxy(p) && !slices.Contains(pids, strconv.Itoa(p.Parent)) {
			return pid, nil
		}
	}
	return 0, fmt.Errorf("%s %w that is haproxy", w.unit, errNoPid)
}

// lookAtProcess finds the process, holds on to it, and judges it. Unknown stands for what
// settle decides.
func (w *watcher) lookAtProcess(s *seen) sdk.Part {
	pid, by, named, err := w.wanted(s)
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
