// Package pluginhost runs plugins and checks trackers through them.
package pluginhost

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/hareconcile/hareconcile/internal/check"
	"github.com/hareconcile/hareconcile/internal/check/watch"
	"github.com/hareconcile/hareconcile/internal/rota"
	"github.com/hareconcile/hareconcile/internal/spec"
	"github.com/hareconcile/hareconcile/reconcile"
)

// A Result is a tracker's verdict: sent when it changes, and when it was first measured.
// What cannot be measured holds the last verdict for the tracker's hold, and then counts
// as its on_unknown.
type Result struct {
	Tracker string
	Verdict reconcile.Verdict
	Message string // at most 1 KiB, one line
}

// concurrency bounds the checks under way over all plugins.
const concurrency = 64

// A Host runs one process for each plugin that a tracker names, and replaces it when it dies.
type Host struct {
	cfg     spec.Plugins
	sockets string // folder of the plugins' sockets
	log     *slog.Logger
	loop    *rota.Loop[spec.Tracker]
	results chan Result // never closed; unbuffered: the loop keeps what waits
	wake    chan struct{}
	timing  timing
	key     func() (*hostKey, error) // made when the first plugin starts

	mu       sync.Mutex
	lock     *spec.Lock
	trackers map[string][]spec.Tracker // by plugin
	plugins  map[string]*supervisor    // those that Run has started
	reports  map[string]Report         // by tracker
	starts   bucket
}

// timing is how patient the host is.
type timing struct {
	start      time.Duration // until a process answers, while it can run
	again      time.Duration // after a process ended, doubling
	againLimit time.Duration
	hung       time.Duration // without any answer until a process is replaced
	look       time.Duration // how often a binary is looked at for a change
}

var patience = timing{
	start: 5 * time.Second, again: time.Second, againLimit: time.Minute,
	hung: 10 * time.Second, look: 5 * time.Second,
}

// defaultMemory is a plugin's bound where agent.hcl was not read.
const defaultMemory = 128 << 20

// New returns a Host whose plugins put their sockets below runDir.
func New(cfg spec.Plugins, runDir string, log *slog.Logger) *Host {
	cfg.MemoryLimit = cmp.Or(cfg.MemoryLimit, defaultMemory)
	h := &Host{
		cfg:      cfg,
		sockets:  filepath.Join(runDir, "plugins"),
		log:      log,
		results:  make(chan Result),
		wake:     make(chan struct{}, 1), // one pending wake-up says all there is to say
		timing:   patience,
		key:      sync.OnceValues(newHostKey),
		reports:  map[string]Report{},
		starts:   newBucket(startRate, startBurst),
		trackers: map[string][]spec.Tracker{},
		plugins:  map[string]*supervisor{},
	}
	h.loop = rota.New(concurrency, h.look)
	return h
}

// Results returns the channel of verdicts. A reader that is late misses intermediate
// verdicts of a tracker, never its last one.
func (h *Host) Results() <-chan Result { return h.results }

// Set replaces the trackers; those without a plugin are none of the host's business.
// A tracker keeps its verdict through every change but that of its plugin's name. lock says
// which binaries may run; nil is any. Set never blocks and may be called from any goroutine.
func (h *Host) Set(ts []spec.Tracker, lock *spec.Lock) {
	byPlugin := map[string][]spec.Tracker{}
	var targets []watch.Target[spec.Tracker]
	for _, t := range ts {
		if t.Plugin == "" {
			continue
		}
		byPlugin[t.Plugin] = append(byPlugin[t.Plugin], t)
		targets = append(targets, watch.Target[spec.Tracker]{
			Key:     t.Name,
			Subject: t.Plugin,
			Checks: []watch.Check[spec.Tracker]{{
				Fingerprint: fingerprint(t),
				Interval:    t.Interval,
				Rules: check.Rules{
					Rise: t.Rise, Fall: t.Fall, Hold: t.Hold, OnUnknown: check.State(t.OnUnknown),
				},
				Together: t.Plugin + " " + t.Timeout.String(), // so that one call can ask of all
				Probe:    t,
			}},
		})
	}
	h.mu.Lock()
	h.trackers, h.lock = byPlugin, lock
	maps.DeleteFunc(h.reports, func(name string, _ Report) bool {
		return !slices.ContainsFunc(ts, func(t spec.Tracker) bool { return t.Name == name })
	})
	h.mu.Unlock()
	h.loop.Set(targets)
	select {
	case h.wake <- struct{}{}:
	default:
	}
}

// locked returns a plugin's entry in the lock file. One without an entry runs as it is.
func (h *Host) locked(plugin string) (p spec.LockedPlugin, ok bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.lock == nil {
		return p, false
	}
	p, ok = h.lock.Plugins[plugin]
	return p, ok
}

// trackersOf returns the trackers of a plugin.
func (h *Host) trackersOf(plugin string) []spec.Tracker {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.trackers[plugin]
}

// Run runs plugins and checks until ctx ends; then no process of a plugin is left.
func (h *Host) Run(ctx context.Context) error {
	if err := h.sweep(); err != nil {
		return fmt.Errorf("prepare the plugins' sockets: %w", err)
	}
	sp := newSpawner()
	thread := make(chan struct{})
	go func() { defer close(thread); sp.run() }()
	defer func() { close(sp.requests); <-thread }()

	var wg sync.WaitGroup
	defer wg.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	wg.Go(func() { h.supervise(ctx, sp) })
	wg.Go(func() { h.forward(ctx) })
	return h.loop.Run(ctx)
}

// sweep makes the folder for sockets and removes what an earlier host left there and running.
func (h *Host) sweep() error {
	endLeftovers(h.sockets)
	// Everybody may pass, nobody else may list: each plugin has a folder of its own inside.
	if err := os.MkdirAll(h.sockets, 0o711); err != nil {
		return err
	}
	if err := os.Chmod(h.sockets, 0o711); err != nil {
		return err
	}
	old, err := os.ReadDir(h.sockets)
	if err != nil {
		return err
	}
	for _, e := range old {
		if err := os.RemoveAll(filepath.Join(h.sockets, e.Name())); err != nil {
			return err
		}
	}
	return nil
}

// supervise starts and ends supervisors as the trackers ask.
func (h *Host) supervise(ctx context.Context, sp *spawner) {
	var wg sync.WaitGroup
	defer wg.Wait()
	for {
		h.mu.Lock()
		for name, s := range h.plugins {
			ts, used := h.trackers[name]
			if used {
				wg.Go(func() { s.forgetOthers(ctx, ts) })
				select {
				case s.look <- struct{}{}: // the lock file may have changed
				default:
				}
				continue
			}
			s.stop()
			delete(h.plugins, name)
		}
		for name := range h.trackers {
			if h.plugins[name] != nil {
				continue
			}
			life, stop := context.WithCancel(ctx)
			s := &supervisor{name: name, host: h, spawner: sp, stop: stop, look: make(chan struct{}, 1), sink: newSink(h.log.With("plugin", name)), reason: "is starting"}
			h.plugins[name] = s
			wg.Go(func() { defer stop(); s.run(life) })
		}
		h.mu.Unlock()
		select {
		case <-ctx.Done():
			return
		case <-h.wake:
		}
	}
}
