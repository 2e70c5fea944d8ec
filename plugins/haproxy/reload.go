package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"syscall"
	"time"

	"github.com/hareconcile/hareconcile/internal/haproxy"
	"github.com/hareconcile/hareconcile/internal/haproxy/socket"
	"github.com/hareconcile/hareconcile/plugins/sdk"
)

// reloadPart warns of reloads that failed and of workers that do not end.
func (w *watcher) reloadPart(r *report, s *seen) {
	switch p := s.procs; {
	case w.master == nil:
	case errors.Is(s.procsErr, syscall.EACCES), errors.Is(s.procsErr, syscall.EPERM):
		r.add(part("reload", sdk.Unknown, "NO_PERMISSION", "this user may not connect to %s", w.master.path), warns)
	case s.procsErr != nil:
		r.add(part("reload", sdk.Unknown, "NO_MASTER", "%s: %v", w.master.path, s.procsErr), warns)
	case p.Master.Failed > 0:
		r.add(part("reload", sdk.Warn, "RELOAD_FAILED", "the last %d reloads failed; the configuration before them is in force", p.Master.Failed), warns)
	case len(p.Old) > w.maxOld:
		r.add(part("reload", sdk.Warn, "OLD_WORKERS", "%d workers of earlier configurations still run", len(p.Old)), warns)
	case oldest(p) > w.maxOldAge:
		r.add(part("reload", sdk.Warn, "OLD_WORKERS", "a worker of an earlier configuration still runs %v after it was replaced: see hard-stop-after", oldest(p)), warns)
	default:
		r.add(part("reload", sdk.Pass, "", "%d workers of earlier configurations still run", len(p.Old)), warns)
	}
}

// oldest returns how long ago the oldest of the old workers was replaced.
func oldest(p *haproxy.Procs) time.Duration {
	var out time.Duration
	for _, old := range p.Old {
		out = max(out, p.Replaced(old))
	}
	return out
}

// A structure is what was found out about the managed file: it is looked at again when there is
// another file or another worker, and now and then.
type structure struct {
	worker string
	file   fs.FileInfo
	at     time.Time
	part   sdk.Part
}

const (
	structureEvery = time.Minute
	// maxManaged bounds what is read of the file, at whose head the fingerprint is.
	maxManaged = 64 << 10
)

var errNoFingerprint = errors.New("it says no fingerprint of its structure, so it is none that hareconcile manages")

// lookAtStructure compares the fingerprint that the managed file has with what the worker says
// of the one that it has loaded (`show env`).
func (w *watcher) lookAtStructure(ctx context.Context, s *seen) sdk.Part {
	const name = "structure"
	file, err := os.Stat(w.managed)
	if err != nil {
		return part(name, sdk.Unknown, "NO_FILE", "%v", err)
	}
	w.mu.Lock()
	known := w.loaded
	w.mu.Unlock()
	if s.info == nil {
		return part(name, sdk.Unknown, "NOT_ASKED", "haproxy did not say what it has loaded")
	}
	if known.worker == s.info["Pid"] && sameFile(file, known.file) && time.Since(known.at) < structureEvery {
		return known.part
	}
	ctx, cancel := context.WithTimeout(ctx, left(ctx)*9/10)
	defer cancel()
	fresh := structure{worker: s.info["Pid"], file: file, at: time.Now()}
	want, err := fingerprint(w.managed)
	got, err2 := "", error(nil)
	if err == nil {
		got, err2 = w.askFingerprint(ctx)
	}
	switch {
	case errors.Is(err, fs.ErrPermission), errors.Is(err2, haproxy.ErrLevel):
		fresh.part = part(name, sdk.Unknown, "NO_PERMISSION", "%v", errors.Join(err, err2))
	case err != nil:
		fresh.part = part(name, sdk.Unknown, "NO_FILE", "%v", err)
	case err2 != nil:
		return part(name, sdk.Unknown, "NOT_ASKED", "%v", err2) // and the next check asks again
	case want != got:
		fresh.part = part(name, sdk.Warn, "NOT_LOADED", "worker %s has not loaded the structure that %s has", s.info["Pid"], w.managed)
	default:
		fresh.part = part(name, sdk.Pass, "", "worker %s has loaded %s", s.info["Pid"], w.managed)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.loaded = fresh
	return fresh.part
}

// askFingerprint asks the worker, by the master's socket if there is one: that always may.
func (w *watcher) askFingerprint(ctx context.Context) (string, error) {
	path, command := w.socket.path, "show env "+haproxy.StructureVariable
	if w.master != nil {
		path, command = w.master.path, "@1 "+command
	}
	reply, err := socket.Ask(ctx, path, command)
	switch {
	case err != nil:
		return "", fmt.Errorf("ask %s what is loaded: %w", path, err)
	case strings.HasPrefix(reply, "Permission denied"):
		return "", haproxy.ErrLevel
	}
	return haproxy.ParseEnv(reply)[haproxy.StructureVariable], nil
}

// fingerprint reads the fingerprint out of a managed file.
func fingerprint(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer func() { _ = f.Close() }() // it was only read
	b, err := io.ReadAll(io.LimitReader(f, maxManaged))
	if err != nil {
		return "", fmt.Errorf("read %s: %w", path, err)
	}
	for line := range strings.Lines(string(b)) {
		if w := strings.Fields(line); len(w) == 3 && w[0] == "setenv" && w[1] == haproxy.StructureVariable {
			return w[2], nil
		}
	}
	return "", fmt.Errorf("read %s: %w", path, errNoFingerprint)
}

// sameFile reports whether a file is as it was.
func sameFile(now, before fs.FileInfo) bool {
	return before != nil && os.SameFile(now, before) && now.ModTime().Equal(before.ModTime()) && now.Size() == before.Size()
}
