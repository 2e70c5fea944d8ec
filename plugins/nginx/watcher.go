package main

import (
	"context"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/hareconcile/hareconcile/internal/proc"
	"github.com/hareconcile/hareconcile/plugins/sdk"
)

// orphansEvery is how often all processes are looked through while the master runs.
const orphansEvery = 10 * time.Second

// A watcher watches one nginx.
type watcher struct {
	config
	syntax *syntax // nil without config_test

	mu        sync.Mutex // of what Check and Watch share
	history   history
	orphans   sdk.Part
	orphansAt time.Time

	// Only Check uses these, and of one instance one runs at a time.
	certs certs
	load  load
}

var _ sdk.Watcher = (*watcher)(nil)

func newWatcher(c config) *watcher {
	w := &watcher{config: c}
	if c.configTest {
		w.syntax = newSyntax(c.bin, c.configFile)
	}
	return w
}

// Close implements io.Closer.
func (w *watcher) Close() error {
	if w.syntax != nil {
		w.syntax.close()
	}
	return nil
}

// Check implements sdk.Instance.
func (w *watcher) Check(ctx context.Context) (sdk.Result, error) {
	asked := w.ask(ctx) // while the processes are looked at
	r := newReport()
	w.processes(r)
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
func (w *watcher) processes(r *report) {
	w.mu.Lock()
	defer w.mu.Unlock()
	now := time.Now()
	m, p := w.open()
	r.add(p)
	pid := 0
	if m != nil {
		defer m.Close()
		pid = m.PID
		r.facts["pid"] = strconv.Itoa(pid)
		w.family(m, now, r)
	}
	if m == nil || now.Sub(w.orphansAt) >= orphansEvery {
		w.orphans, w.orphansAt = w.judgeOrphans(w.history.known()), now
	}
	r.add(w.orphans)
	if len(w.listen) > 0 {
		r.add(w.judgeListeners(pid, r))
	}
}

// family adds the parts of the workers.
func (w *watcher) family(m *proc.Process, now time.Time, r *report) {
	f, err := lookAtFamily(m.Stat)
	switch {
	case m.Ended():
		r.add(part("workers", sdk.Fail, "DEAD", "master %d has just ended", m.PID))
		return
	case err != nil:
		r.add(part("workers", sdk.Unknown, "UNREADABLE", "%v", err))
		return
	}
	if f.master.PID != w.history.master.PID || f.master.Start != w.history.master.Start {
		w.orphansAt = time.Time{}
	}
	w.history.see(f, now)
	r.metrics["workers"] = float64(len(f.workers))
	r.facts["worker_generation"] = fmt.Sprintf("%d.%d", m.PID, w.history.generation)
	r.add(w.judgeWorkers(f))
	r.add(w.judgeRespawn(&w.history, now, r))
	r.add(w.judgeDrain(&w.history, now, r))
}

// Watch implements sdk.Watcher: it tells of the end of the master at once. After a binary
// upgrade the pid file names the new master, and nothing has happened.
func (w *watcher) Watch(ctx context.Context, changed func(sdk.Result)) error {
	for {
		m, p := w.open()
		if m == nil {
			if p.Status == sdk.Fail {
				r := newReport()
				w.processes(r)
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
