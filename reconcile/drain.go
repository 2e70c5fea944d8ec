package reconcile

import (
	"slices"
	"time"

	"github.com/hareconcile/hareconcile/reconcile/resource"
)

// grace returns how long the server that is not wanted any more may keep its connections.
func (t Target) grace(server, service resource.ID) time.Duration {
	if t.AtOnce[server] {
		return 0
	}
	if g, ok := t.Grace[server]; ok {
		return g
	}
	return t.Grace[service]
}

// leave returns the step by which a server of a service that stays leaves it: weight 0
// first, and gone once it is drained. ok is false while there is nothing to do but wait.
func (t Target) leave(id, service resource.ID, have resource.IPVSServer) (c Change, ok bool) {
	switch {
	case t.grace(id, service) == 0, t.Drained[id.Name]:
		return Change{Action: Delete, ID: id, Before: have}, true
	case have.Weight == 0:
		return Change{}, false
	}
	after := have
	after.Weight = 0
	return Change{Action: Update, ID: id, Before: have, After: after, Drain: true}, true
}

// A Departure is a server that takes no new connections and is to go.
type Departure struct {
	Since       time.Time // when it was first seen so
	Deadline    time.Time // when it goes with whatever it has
	Connections int
	Drained     bool // it may go
}

// handshake is how long a server stays with weight 0 at least. ip_vs counts a connection as
// active once it is established (ip_vs_proto_tcp.c): one whose SYN came just before is not
// seen, and would hang for good if the server went. It covers one SYN or SYN-ACK sent again,
// which is after 1 s (RFC 6298, section 2.1).
const handshake = 2 * time.Second

// Departures returns the servers in live that are on their way out of t, given those of the
// last look. One that was seen before is drained when no connection is left, also none that
// was being made, or when its time is over.
func Departures(live Live, t Target, last map[resource.ID]Departure, now time.Time) map[resource.ID]Departure {
	out := map[resource.ID]Departure{}
	if slices.Contains(live.Unobserved, resource.KindIPVSServer) {
		for id, d := range last { // their time goes on
			if _, wanted := t.Set[id]; !wanted {
				out[id] = d
			}
		}
		return out
	}
	for id, v := range live.Owned {
		s, ok := v.(resource.IPVSServer)
		if _, wanted := t.Set[id]; !ok || wanted || s.Weight > 0 {
			continue
		}
		service, _ := parent(s)
		_, stays := t.Set[service]
		grace := t.grace(id, service)
		if !stays || grace == 0 {
			continue
		}
		d, seen := last[id]
		if !seen {
			d.Since = now
		}
		d.Deadline = d.Since.Add(grace)
		d.Connections = live.Connections[id]
		idle := d.Connections == 0 && now.Sub(d.Since) >= handshake
		d.Drained = d.Drained || seen && (idle || !now.Before(d.Deadline))
		out[id] = d
	}
	return out
}
