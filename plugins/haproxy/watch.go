package main

import (
	"context"
	"sync"
	"time"

	"github.com/hareconcile/hareconcile/internal/proc"
	"github.com/hareconcile/hareconcile/plugins/sdk"
)

// afterEnd bounds the look at what is left when the process has ended.
const afterEnd = 300 * time.Millisecond

// Watch implements sdk.Watcher: it tells at once when the process ends. Until a check has
// found the process, and after its end until one finds the next, it waits for that check.
func (w *watcher) Watch(ctx context.Context, changed func(sdk.Result)) error {
	var last proc.Stat // the one whose end was told
	for {
		next, p := w.target(last)
		if next.PID == 0 {
			select {
			case <-ctx.Done():
				return nil
			case <-w.retarget:
				continue
			}
		}
		if p != nil {
			over := w.waitFor(ctx, p)
			_ = p.Close()
			switch {
			case ctx.Err() != nil:
				return nil
			case !over:
				continue
			}
		}
		last = next
		if r, ok := w.atEnd(ctx, last); ok {
			changed(r)
		}
	}
}

// target takes hold of the process that the checks hold, unless that is last. Each holds on by
// itself, since one may let go while the other waits. Without a Process it has ended already.
func (w *watcher) target(last proc.Stat) (proc.Stat, *proc.Process) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.held == nil || w.held.PID == last.PID && w.held.Start == last.Start {
		return proc.Stat{}, nil
	}
	p, err := proc.Open(w.held.PID)
	switch {
	case err == nil && p.Start == w.held.Start:
		return p.Stat, p
	case err == nil: // another has the pid by now
		_ = p.Close()
	}
	if w.held.Ended() {
		return w.held.Stat, nil
	}
	return proc.Stat{}, nil // without a pidfd, checks have to do
}

// waitFor reports whether p ended; it also returns when the checks hold another process.
func (w *watcher) waitFor(ctx context.Context, p *proc.Process) bool {
	ctx, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	wg.Go(func() {
		select {
		case <-w.retarget:
			cancel()
		case <-ctx.Done():
		}
	})
	return p.Wait(ctx) == nil
}

// atEnd returns what is to be said of the end of a process. That of the process that was
// named for good needs no more looking, unless another is named by now, or may come back.
func (w *watcher) atEnd(ctx context.Context, p proc.Stat) (sdk.Result, bool) {
	w.mu.Lock()
	named := w.restartGrace == 0 && w.named && w.held != nil && w.held.PID == p.PID && w.held.Start == p.Start
	w.mu.Unlock()
	if named {
		if pid, _, _, err := w.wanted(&seen{}, true); err == nil && pid == p.PID {
			gone := ended(true, p.PID)
			return sdk.Result{
				Status: gone.Status, Code: gone.Code, Detail: gone.Detail, Parts: []sdk.Part{gone},
				Metrics: map[string]float64{"up": 0},
			}, true
		}
	}
	ctx, cancel := context.WithTimeout(ctx, afterEnd)
	defer cancel()
	r, err := w.Check(ctx)
	return r, err == nil
}
