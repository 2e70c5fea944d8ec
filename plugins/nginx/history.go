package main

import (
	"maps"
	"slices"
	"time"

	"github.com/hareconcile/hareconcile/internal/proc"
	"github.com/hareconcile/hareconcile/plugins/sdk"
)

// haste is how soon after one another all workers are replaced by crashes, not by reloads.
const haste = 10 * time.Second

// A history is what was seen of one nginx over time.
type history struct {
	master     proc.Stat
	workers    map[int]uint64    // those of the last look: pid to start
	former     map[int]uint64    // those of the master before
	old        map[int]time.Time // when a worker was first seen shutting down
	respawns   []time.Time
	reloaded   time.Time
	generation int // reloads that were seen
}

// see takes over what a look found.
func (h *history) see(f family, now time.Time) {
	seen := map[int]uint64{}
	for _, w := range f.workers {
		seen[w.PID] = w.Start
	}
	if f.master.PID != h.master.PID || f.master.Start != h.master.Start {
		*h = history{master: f.master, former: h.workers, generation: h.generation}
	} else {
		h.compare(seen, f, now)
	}
	h.workers = seen
	old := map[int]time.Time{}
	for _, w := range f.old {
		old[w.PID] = now
		if since, ok := h.old[w.PID]; ok {
			old[w.PID] = since
		}
	}
	h.old = old
}

// compare tells a reload from crashes. A reload starts all new workers, a tenth of a second
// later ends all old ones (ngx_master_process_cycle), and leaves those with connections
// shutting down. A worker that ends by itself is replaced alone.
func (h *history) compare(seen map[int]uint64, f family, now time.Time) {
	ending := map[int]bool{}
	for _, w := range f.old {
		ending[w.PID] = true
	}
	var gone, fresh, kept int
	told := false // a worker of the last look is shutting down now
	for pid, start := range h.workers {
		switch {
		case seen[pid] == start:
			kept++
		case ending[pid]:
			told = true
		default:
			gone++
		}
	}
	for pid, start := range seen {
		if h.workers[pid] != start {
			fresh++
		}
	}
	switch {
	case fresh == 0: // nothing new, or the second half of a reload
	case told || fresh > gone || kept == 0 && len(h.workers) > 1:
		quick := now.Sub(h.reloaded) < haste && !told && gone > 0
		h.reloaded = now
		if quick {
			h.count(fresh, now)
			return
		}
		h.generation++
	default:
		h.count(fresh, now)
	}
}

// maxRespawns bounds how many are remembered.
const maxRespawns = 4096

func (h *history) count(n int, now time.Time) {
	for range n {
		h.respawns = append(h.respawns, now)
	}
	h.respawns = h.respawns[max(0, len(h.respawns)-maxRespawns):]
}

// known returns the workers that were seen under this master and the one before.
func (h *history) known() map[int]uint64 {
	out := maps.Clone(h.former)
	if out == nil {
		out = map[int]uint64{}
	}
	maps.Copy(out, h.workers)
	return out
}

// judgeRespawn makes the part of workers that end by themselves.
func (c *config) judgeRespawn(h *history, now time.Time, r *report) sdk.Part {
	const name = "respawn"
	most := c.respawnMax
	if most == 0 {
		most = 3 * max(1, len(h.workers))
	}
	h.respawns = slices.DeleteFunc(h.respawns, func(t time.Time) bool { return now.Sub(t) >= 2*c.respawnWindow })
	last, before := 0, 0
	for _, t := range h.respawns {
		if now.Sub(t) < c.respawnWindow {
			last++
		} else {
			before++
		}
	}
	r.metrics["respawns"] = float64(last)
	switch {
	case last > most && before > most:
		return part(name, sdk.Fail, "RESPAWN_STORM", "%d workers were replaced within %v, and %d in as long before", last, c.respawnWindow, before)
	case last > most:
		return part(name, sdk.Warn, "RESPAWNING", "%d workers were replaced within %v", last, c.respawnWindow)
	}
	return part(name, sdk.Pass, "", "%d workers replaced within %v", last, c.respawnWindow)
}

// judgeDrain makes the part of workers that are shutting down. Without
// worker_shutdown_timeout they wait for their connections as long as those last.
func (c *config) judgeDrain(h *history, now time.Time, r *report) sdk.Part {
	const name = "drain"
	most := c.maxOld
	if most == 0 {
		most = 2 * max(1, len(h.workers))
	}
	age := time.Duration(0)
	for _, since := range h.old {
		age = max(age, now.Sub(since))
	}
	r.metrics["old_workers"] = float64(len(h.old))
	r.metrics["old_worker_age_seconds"] = age.Seconds()
	if len(h.old) > most {
		return part(name, sdk.Warn, "OLD_WORKERS", "%d workers are shutting down, the oldest for %v: see worker_shutdown_timeout", len(h.old), age.Round(time.Second))
	}
	if age > c.maxOldAge {
		return part(name, sdk.Warn, "OLD_WORKERS", "a worker has been shutting down for %v: see worker_shutdown_timeout", age.Round(time.Second))
	}
	return part(name, sdk.Pass, "", "%d workers shutting down", len(h.old))
}
