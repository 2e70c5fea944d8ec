package vrrpd

import (
	"fmt"
	"io"
	"time"
)

// simEpoch is the time since boot at which a plan begins.
const simEpoch = time.Hour

// strike makes a fault happen; heal ends it.
func (f *simFault) strike(w *simWorld, heal bool) {
	h := w.hosts[f.node]
	w.tell("%s: %v", map[bool]string{false: "begins", true: "ends"}[heal], f)
	switch f.kind {
	case simCut:
		f.cut(w, heal)
	case simLossy:
		w.loss = f.loss
		if heal {
			w.loss = 0
		}
	case simPause:
		if !heal {
			h.afterCalls(f.fuse, func() { h.pause(f.last) })
		}
	case simKill, simReboot, simQuit:
		f.end(h, heal)
	case simReprioritize:
		if !heal {
			old := w.check.down(f.node, f.router, w.plan.longest(f.router))
			for r := range h.config {
				if w.plan.groupOf(r) == w.plan.groupOf(f.router) {
					h.config[r].priority = f.priority
				}
			}
			for r := range h.config {
				if w.plan.groupOf(r) == w.plan.groupOf(f.router) {
					w.check.reconfigured(h, r, old)
				}
			}
			h.order(simInput{order: simConfigure})
		}
	case simResigns:
		if !heal {
			h.order(simInput{order: simResign, router: f.router})
		}
	case simGate:
		if h.gates[f.router]++; heal {
			h.gates[f.router] -= 2
		}
		h.order(simInput{order: simTrack})
	case simUnplug:
		if h.unplugged[f.segment]++; heal {
			h.unplugged[f.segment] -= 2
		}
		w.check.disturbed(h)
		h.order(simInput{order: simCarrier, segment: f.segment})
	case simStrip:
		if had := h.addrs; !heal {
			h.addrs &^= 1 << f.router
			if h.addrs != had {
				h.order(simInput{order: simStripped, router: f.router})
			}
		}
	}
}

func (f *simFault) cut(w *simWorld, heal bool) {
	for n := range w.hosts {
		if n == f.node || f.peers>>n&1 == 0 {
			continue
		}
		for _, way := range [2][2]int{{f.node, n}, {n, f.node}} {
			if way[0] == f.node && f.way == 2 || way[0] == n && f.way == 1 {
				continue
			}
			if w.cuts[f.segment][way[0]][way[1]]++; heal {
				w.cuts[f.segment][way[0]][way[1]] -= 2
			}
			for r := range w.plan.routers {
				if w.plan.routers[r].segment == f.segment {
					w.check.lost(r, way[0], way[1])
				}
			}
		}
	}
}

// end ends a process one way or another, and starts the next one when it heals.
func (f *simFault) end(h *simHost, heal bool) {
	switch {
	case heal && h.engine == nil:
		h.boot()
	case heal:
	case f.kind == simQuit:
		h.order(simInput{order: simStop})
	case f.kind == simKill:
		h.afterCalls(f.fuse, nil)
	default:
		h.kill()
		h.disk, h.addrs = nil, 0
		h.w.check.forget(h)
	}
}

// afterCalls does something to the process, at once or when it made that many calls of
// the kernel; nil kills it.
func (h *simHost) afterCalls(n int, do func()) {
	switch {
	case h.engine == nil || h.paused && do != nil:
	case n > 0:
		h.fuse = n
		if h.blow = do; do == nil {
			h.blow = func() { panic(simKilled{}) }
		}
	case do == nil:
		h.kill()
	default:
		do()
	}
}

// mend ends everything that is wrong.
func (w *simWorld) mend() {
	w.loss, w.mended = 0, true
	clear(w.cuts[:])
	for _, h := range w.hosts {
		h.fuse = 0
		clear(h.gates)
		clear(h.unplugged)
		w.check.disturbed(h)
		switch {
		case h.engine == nil:
			h.boot()
		case h.paused:
			h.paused = false
			h.until = w.t
			h.turn++
			w.push(simEvent{at: w.t, class: simResumes, node: h.id, turn: h.turn})
		}
		h.order(simInput{order: simTrack})
		for segment := range h.unplugged {
			h.order(simInput{order: simCarrier, segment: segment})
		}
	}
}

// tell writes to the trace.
func (w *simWorld) tell(format string, args ...any) {
	if w.trace != nil {
		fmt.Fprintf(w.trace, "%v "+format+"\n", append([]any{w.t - simEpoch}, args...)...)
	}
}

// newSimWorld builds what p says.
func newSimWorld(p *simPlan, trace io.Writer) *simWorld {
	w := &simWorld{plan: p, t: simEpoch}
	w.trace = trace
	w.check = newSimCheck(w)
	segments := 0
	for _, r := range p.routers {
		segments = max(segments, r.segment+1)
	}
	for n, row := range p.configs {
		w.hosts = append(w.hosts, &simHost{w: w, id: n, config: append([]simConfig(nil), row...), gates: make([]int, len(row)), unplugged: make([]int, segments)})
	}
	for n, at := range p.starts {
		w.push(simEvent{at: w.t + at, class: simStarts, node: n})
	}
	for i, f := range p.faults {
		w.push(simEvent{at: w.t + f.at, class: simFaults, turn: uint64(2 * i)})
		w.push(simEvent{at: w.t + f.at + f.last, class: simFaults, turn: uint64(2*i + 1)})
	}
	return w
}

// run lives through the whole plan; it returns what went wrong, or "".
func (p *simPlan) run(trace io.Writer) string {
	w := newSimWorld(p, trace)
	defer func() {
		for _, h := range w.hosts {
			h.kill()
		}
	}()
	end, longest, delay := time.Duration(0), time.Duration(0), time.Duration(0)
	for _, f := range p.faults {
		end = max(end, f.at+f.last)
	}
	for r := range p.routers {
		longest = max(longest, p.longest(r))
	}
	for _, row := range p.configs {
		for _, c := range row {
			delay = max(delay, c.delay)
		}
	}
	for _, at := range p.starts {
		end = max(end, at)
	}
	w.run(simEpoch + end)
	w.mend()
	w.run(w.t + 12*longest + delay)
	w.check.settled()
	p.moves = w.check.moves
	w.run(w.t + 6*longest)
	w.check.settled()
	if w.check.moves != p.moves {
		w.check.fail("there were transitions long after everything was mended")
	}
	p.lived = w.t - simEpoch
	return w.check.failed
}
