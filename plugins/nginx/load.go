package main

import (
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/hareconcile/hareconcile/plugins/sdk"
)

// dropsStay is how long connections that nginx dropped stay a warning.
const dropsStay = time.Minute

// A stub is what stub_status says (ngx_http_stub_status_module.c).
type stub struct {
	active, accepts, handled, requests int64
	reading, writing, waiting          int64
}

// parseStub reads an answer of stub_status.
func parseStub(text string) (stub, bool) {
	var s stub
	f := strings.Fields(text)
	const words = 16
	if len(f) != words || f[0] != "Active" || f[10] != "Reading:" || f[12] != "Writing:" || f[14] != "Waiting:" {
		return s, false
	}
	for _, n := range []struct {
		at int
		to *int64
	}{{2, &s.active}, {7, &s.accepts}, {8, &s.handled}, {9, &s.requests}, {11, &s.reading}, {13, &s.writing}, {15, &s.waiting}} {
		if _, err := fmt.Sscanf(f[n.at], "%d", n.to); err != nil || *n.to < 0 {
			return stub{}, false
		}
	}
	return s, true
}

// A load is what was seen of stub_status over time.
type load struct {
	last    stub
	dropped int64 // that were accepted and not handled, when it was last seen to grow
	at      time.Time
}

// judgeLoad adds the part of stub_status.
func (w *watcher) judgeLoad(a answers, r *report) {
	if w.stub == "" {
		return
	}
	const name = "stub_status"
	s, ok := parseStub(string(a.stub.body))
	switch {
	case a.stubErr != nil:
		r.add(part(name, sdk.Unknown, "STUB_STATUS_UNKNOWN", "GET %s: %v", w.stub, a.stubErr))
	case a.stub.status != http.StatusOK || !ok:
		r.add(part(name, sdk.Unknown, "STUB_STATUS_UNKNOWN", "GET %s: status %d, and no answer of stub_status", w.stub, a.stub.status))
	default:
		r.add(w.load.judge(&w.config, s, time.Now(), r))
	}
}

func (l *load) judge(c *config, s stub, now time.Time, r *report) sdk.Part {
	const name = "stub_status"
	for metric, v := range map[string]int64{
		"connections_active": s.active, "connections_reading": s.reading, "connections_writing": s.writing, "connections_waiting": s.waiting,
		"connections_accepted": s.accepts, "connections_handled": s.handled, "requests": s.requests,
	} {
		r.metrics[metric] = float64(v)
	}
	// nginx that was started anew counts from 0, and what is dropped before anybody looks
	// for the first time is told too.
	old := l.last.accepts - l.last.handled
	if s.accepts < l.last.accepts {
		old = 0
	}
	if n := s.accepts - s.handled - old; n > 0 {
		l.dropped, l.at = n, now
	}
	l.last = s
	switch {
	case l.dropped > 0 && now.Sub(l.at) < dropsStay:
		return part(name, sdk.Warn, "DROPPED", "nginx dropped %d connections: worker_connections is too small for what comes", l.dropped)
	case c.maxActive > 0 && float64(s.active) >= c.warnRatio*c.maxActive:
		return part(name, sdk.Warn, "NEARLY_FULL", "%d connections of at most %.0f", s.active, c.maxActive)
	}
	return part(name, sdk.Pass, "", "%d connections", s.active)
}
