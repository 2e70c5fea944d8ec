package main

import (
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/hareconcile/hareconcile/internal/haproxy"
	"github.com/hareconcile/hareconcile/plugins/sdk"
)

// A paused is since when something that should listen does not.
type paused struct{ since, last time.Time }

// forgiven is how long no check may have seen a pause for it to count as a new one.
const forgiven = 10 * time.Second

// pause judges what is not there and may come back within a grace. While a reload fails to
// bind, haproxy pauses what listens for about two seconds, and nothing is gained by leaving for
// that.
func (w *watcher) pause(p sdk.Part, now time.Time, grace time.Duration) sdk.Part {
	w.mu.Lock()
	defer w.mu.Unlock()
	old := w.paused[p.Name]
	if old.since.IsZero() || now.Sub(old.last) > forgiven {
		old.since = now
	}
	w.paused[p.Name] = paused{old.since, now}
	if now.Sub(old.since) < grace {
		p.Status = sdk.Unknown
	}
	return p
}

// resume forgets a pause.
func (w *watcher) resume(p sdk.Part) sdk.Part {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.paused, p.Name)
	return p
}

// frontendParts judges the frontends by what haproxy says.
func (w *watcher) frontendParts(r *report, s *seen, now time.Time) {
	if s.garbled != nil {
		return
	}
	for _, name := range w.frontends {
		label := "listener " + name
		open := 0.0
		f := find(s.stats, name, haproxy.Frontend)
		switch status := f.Status(); {
		case f == nil:
			r.add(part(label, sdk.Fail, "NO_FRONTEND", "there is no frontend %s", name), moves)
		case status == "OPEN", status == "FULL":
			open = 1
			r.add(w.resume(part(label, sdk.Pass, "", "frontend %s is %s", name, status)), moves)
		case status == "PAUSED":
			r.add(w.pause(part(label, sdk.Fail, "PAUSED", "frontend %s is PAUSED", name), now, w.pauseGrace), moves)
		default:
			r.add(part(label, sdk.Fail, "STOPPED", "frontend %s is %s", name, status), moves)
		}
		r.metrics["frontend_open{"+name+"}"] = open
	}
}

// listenParts judges the addresses by what the kernel says.
func (w *watcher) listenParts(r *report, s *seen, now time.Time) {
	for _, a := range w.listen {
		label := "listener " + a.String()
		if s.listenErr != nil {
			r.add(part(label, sdk.Unknown, "ERROR", "%v", s.listenErr), moves)
			continue
		}
		found := false
		for _, l := range s.sockets {
			found = found || l.Serves(a)
		}
		if !found {
			r.add(w.pause(part(label, sdk.Fail, "NOT_LISTENING", "nobody listens on %s", a), now, max(w.pauseGrace, w.restartGrace)), moves)
			continue
		}
		r.add(w.resume(part(label, sdk.Pass, "", "%s listens", a)), moves)
	}
}

// find returns the line about a proxy or nil.
func find(stats []haproxy.Stat, proxy, server string) haproxy.Stat {
	for _, s := range stats {
		if s.Proxy() == proxy && s.Server() == server {
			return s
		}
	}
	return nil
}

// A census counts the servers of a backend.
type census struct {
	up, unknown, all int     // of those that nobody took out on purpose
	unchecked        int     // of up, those that have no check
	weight, total    float64 // of those that are up, and of all
	unknownWeight    float64
}

// share is how much of the weight is up; where there is none, nothing is missing.
func (c census) share() float64 {
	if c.total == 0 {
		return 1
	}
	return c.weight / c.total
}

// count counts. A server in MAINT or DRAIN was taken out on purpose, NOLB took itself out, and
// weight 0 gets nothing either. INI is a server that was not checked since the worker started:
// haproxy takes it for up, dead or not.
func (w *watcher) count(stats []haproxy.Stat, backend string, young bool) census {
	var c census
	for _, s := range stats {
		if s.Proxy() != backend || s.Server() == haproxy.Backend || s.Server() == haproxy.Frontend ||
			s.Number("bck") > 0 && !w.countBackup {
			continue
		}
		status, weight := s["status"], float64(max(0, s.Number("weight")))
		switch s.Status() {
		case "MAINT", "DRAIN", "NOLB":
			continue
		}
		if weight == 0 {
			continue
		}
		c.all++
		c.total += weight
		switch {
		case status == "no check":
			c.unchecked++
		case s.Status() != "UP":
			continue
		case young && strings.TrimPrefix(s["check_status"], "* ") == "INI":
			c.unknown++
			c.unknownWeight += weight
			continue
		}
		c.up++
		c.weight += weight
	}
	return c
}

// backendParts judges the backends.
func (w *watcher) backendParts(r *report, s *seen) {
	if s.garbled != nil {
		return
	}
	young := s.info.Number("Uptime_sec") < int64(w.startupGrace/time.Second)
	for _, name := range w.backends {
		label := "backend " + name
		if find(s.stats, name, haproxy.Backend) == nil {
			r.add(part(label, sdk.Fail, "NO_BACKEND", "there is no backend %s", name), moves)
			continue
		}
		c := w.count(s.stats, name, young)
		want := max(w.minUp, int(math.Ceil(w.minUpRatio*float64(c.all))))
		says := fmt.Sprintf("backend %s has %d servers up", name, c.up)
		switch {
		case c.up >= want && c.unchecked > 0 && c.unchecked == c.up:
			r.add(part(label, sdk.Warn, "NO_CHECK", "%s, which nobody checks", says), moves)
		case c.up >= want && c.share() < w.minWeightRatio && c.weight+c.unknownWeight >= w.minWeightRatio*c.total:
			r.add(part(label, sdk.Unknown, "UNCHECKED_YET", "%s with %.0f %% of the weight, and %d not checked yet, want %.0f %%", says, 100*c.share(), c.unknown, 100*w.minWeightRatio), moves)
		case c.up >= want && c.share() < w.minWeightRatio:
			r.add(part(label, sdk.Fail, "TOO_LIGHT", "%s with %.0f %% of the weight, want %.0f %%", says, 100*c.share(), 100*w.minWeightRatio), moves)
		case c.up >= want:
			r.add(part(label, sdk.Pass, "", "%s", says), moves)
		case c.up+c.unknown >= want:
			r.add(part(label, sdk.Unknown, "UNCHECKED_YET", "%s and %d not checked yet, want %d", says, c.unknown, want), moves)
		default:
			r.add(part(label, sdk.Fail, "DOWN", "%s, want %d", says, want), moves)
		}
		r.metrics["backend_up{"+name+"}"] = float64(c.up)
		if c.total > 0 {
			r.metrics["backend_weight_ratio{"+name+"}"] = c.share()
		}
		if b := find(s.stats, name, haproxy.Backend); b.Number("qcur") >= 0 {
			r.metrics["backend_queue{"+name+"}"] = float64(b.Number("qcur"))
		}
	}
}
