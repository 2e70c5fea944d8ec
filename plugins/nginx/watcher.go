package main

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"sync"
	"time"

	"github.com/hareconcile/hareconcile/internal/proc"
	"github.com/hareconcile/hareconcile/plugins/sdk"
)

// A watcher watches one nginx.
type watcher struct {
	config
	desk   *desk
	syntax *syntax // nil without config_test

	mu           sync.Mutex // of what Check and Watch share
	closed       bool
	held         *proc.Process // the master of the last look
	heldBy       fs.FileInfo   // the pid file that named it, if one did
	history      history
	orphans      sdk.Part
	orphansAt    time.Time
	orphansAsked time.Time // since when orphans is known
	before       time.Time // before which a look at the sockets is no news
	listening    time.Time // when the last look at them was

	// Only Check uses these, and of one instance one runs at a time.
	certs certs
	load  load
}

var _ sdk.Watcher = (*watcher)(nil)

func newWatcher(c config, d *desk) *watcher {
	w := &watcher{config: c, desk: d}
	if c.configTest {
		w.syntax = newSyntax(c.binaries, c.configFile)
	}
	return w
}

// Close implements io.Closer.
func (w *watcher) Close() error {
	if w.syntax != nil {
		w.syntax.close()
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.closed = true
	w.release()
	return nil
}

// Check implements sdk.Instance.
func (w *watcher) Check(ctx context.Context) (sdk.Result, error) {
	asked := w.ask(ctx) // while the processes are looked at
	r := newReport()
	w.processes(ctx, r)
	answers := <-asked
	if w.web.url != "" {
		r.addWeb(answers)
	}
	w.judgeLoad(answers, r)
	w.judgeCerts(answers, r)
	if w.syntax != nil {
		r.add(w.syntax.look())
	}
	return r.result(), nil
}

// processes adds the parts that come from looking at processes and sockets.
func (w *watcher) processes(ctx context.Context, r *report) {
	w.mu.Lock()
	defer w.mu.Unlock()
	now := time.Now()
	m, p := w.master()
	r.add(p)
	pid, changed := 0, m == nil
	if m != nil {
		pid = m.PID
		r.facts["pid"] = strconv.Itoa(pid)
		changed = w.family(m, now, r)
	}
	w.before = w.listening
	if changed {
		w.before = now
	}
	w.lookForOrphans(ctx, now, changed)
	r.add(w.orphans)
	if len(w.listen) > 0 {
		r.add(w.judgeListeners(ctx, pid, r))
	}
	if w.closed { // and nobody would let go of it
		w.release()
	}
}

// master returns the master, which stays the same as long as it runs and the pid file, if that
// named it, is the same. It belongs to the watcher.
func (w *watcher) master() (*proc.Process, sdk.Part) {
	var file fs.FileInfo
	if w.unit == "" {
		file, _ = os.Stat(w.pidfile) // what is wrong with it is told by open
	}
	if w.held != nil && !w.held.Ended() && (w.unit != "" || sameFile(file, w.heldBy)) {
		if s, err := proc.Look(w.held.PID); err == nil && s.Start == w.held.Start && !s.Gone() {
			w.held.Stat = s
			return w.held, runs(s)
		}
	}
	w.release()
	m, p := w.open()
	w.held, w.heldBy = m, file
	return m, p
}

func (w *watcher) release() {
	if w.held != nil {
		_ = w.held.Close()
		w.held = nil
	}
}

// sameFile reports whether a file is as it was.
func sameFile(now, before fs.FileInfo) bool {
	return now != nil && before != nil && os.SameFile(now, before) && now.ModTime().Equal(before.ModTime()) && now.Size() == before.Size()
}

// family adds the parts of the workers, and reports whether they have another master than the
// last time.
func (w *watcher) family(m *proc.Process, now time.Time, r *report) (changed bool) {
	f, err := lookAtFamily(m.Stat)
	switch {
	case m.Ended():
		r.add(part("workers", sdk.Fail, "DEAD", "master %d has just ended", m.PID))
		return true
	case err != nil:
		r.add(part("workers", sdk.Unknown, "UNREADABLE", "%v", err))
		return false
	}
	changed = f.master.PID != w.history.master.PID || f.master.Start != w.history.master.Start
	w.history.see(f, now)
	r.metrics["workers"] = float64(len(f.workers))
	r.facts["worker_generation"] = fmt.Sprintf("%d.%d", m.PID, w.history.generation)
	r.add(w.judgeWorkers(f))
	r.add(w.judgeRespawn(&w.history, now, r))
	r.add(w.judgeDrain(&w.history, now, r))
	return changed
}

// Watch implements sdk.Watcher: it tells of the end of the master at once. After a binary
// upgrade the pid file names the new master, and nothing has happened.
func (w *watcher) Watch(ctx context.Context, changed func(sdk.Result)) error {
	for {
		m, p := w.open()
		if m == nil {
			if p.Status == sdk.Fail {
				r := newReport()
				w.processes(ctx, r)
				changed(r.result())
			}
			return fmt.Errorf("there is no master to watch: %s", p.Detail)
		}
		err := m.Wait(ctx)
		_ = m.Close()
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return err
		}
	}
}
