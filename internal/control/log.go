package control

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/hareconcile/hareconcile/internal/event"
)

// A LogEntry is one line of the stream of GET /v1/log.
type LogEntry struct {
	// Missed is how many events before this one are no longer known.
	Missed uint64 `json:"missed,omitempty"`
	event.Event
}

// happened writes what happened after the event that ?after names, a line each, and with ?follow=1
// what happens from then on. A reader that is slow misses events and is told how many.
func (s *server) happened(w http.ResponseWriter, r *http.Request) {
	after, err := strconv.ParseUint(r.FormValue("after"), 10, 64)
	if err != nil && r.FormValue("after") != "" {
		refuse(w, &APIError{"invalid", fmt.Sprintf("%.40q is no number of an event", r.FormValue("after"))})
		return
	}
	follow := r.FormValue("follow") == "1"
	select {
	case s.streams <- struct{}{}:
		defer func() { <-s.streams }()
	default:
		refuse(w, &APIError{"not_ready", fmt.Sprintf("%d clients follow the events already", maxStreams)})
		return
	}
	rc := http.NewResponseController(w)
	w.Header().Set("Content-Type", "application/x-ndjson")
	for {
		events, missed, more := s.b.Events().After(after)
		if rc.SetWriteDeadline(time.Now().Add(writeWait)) != nil {
			return
		}
		enc := json.NewEncoder(w)
		for _, e := range events {
			if enc.Encode(LogEntry{Missed: missed, Event: e}) != nil {
				return
			}
			after, missed = e.Seq, 0
		}
		if rc.Flush() != nil || !follow {
			return
		}
		select {
		case <-more:
		case <-r.Context().Done():
			return
		}
	}
}

// Log calls f with what happened since the agent's start, as far as it is known, and where
// follow is set with what happens until f fails, ctx ends (then it returns nil) or the agent
// goes away.
func (c *Client) Log(ctx context.Context, follow bool, f func(LogEntry) error) error {
	if follow {
		return watch(ctx, c, "log?follow=1", f)
	}
	return watchOnce(ctx, c, "log", f)
}
