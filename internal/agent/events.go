package agent

import (
	"maps"
	"slices"
	"time"

	"github.com/hareconcile/hareconcile/internal/control"
	"github.com/hareconcile/hareconcile/internal/event"
	"github.com/hareconcile/hareconcile/internal/journal"
	"github.com/hareconcile/hareconcile/reconcile"
)

// A reporter makes events of what differs from one status to the next. A thing that comes and
// goes between two of them is not told: a status is taken after every pass.
type reporter struct {
	states   map[string]string // of VRRP instances
	servers  map[reconcile.ServerRef]reconcile.Verdict
	trackers map[string]reconcile.Verdict
	quorum   map[string]bool
	alarms   map[string]reconcile.Alarm // by kind and subject
	inTheWay map[string]string
	last     control.Status
	out      []event.Event
}

func newReporter() *reporter {
	return &reporter{
		states: map[string]string{}, servers: map[reconcile.ServerRef]reconcile.Verdict{}, trackers: map[string]reconcile.Verdict{},
		quorum: map[string]bool{}, alarms: map[string]reconcile.Alarm{}, inTheWay: map[string]string{},
	}
}

// Events returns what happened on this node.
func (a *Agent) Events() *event.Log { return a.events }

// tellEvents adds to the log what differs in next from the status before it.
func (a *Agent) tellEvents(next control.Status) {
	a.events.Add(a.reporter.between(next, a.facts.Servers, time.Now())...)
}

// between returns the events of one step. Those of servers come first: a storm of them may push
// others of their kind out of the log, but nothing else.
func (r *reporter) between(next control.Status, servers map[reconcile.ServerRef]reconcile.Verdict, now time.Time) []event.Event {
	r.out = nil
	r.ofServers(servers)
	r.ofServices(next)
	r.ofTrackers(next)
	r.ofTroubles(next)
	r.ofRevisions(next)
	r.ofInstances(next)
	for k := range r.out {
		e := &r.out[k]
		e.Time, e.Node, e.Cluster = now.UTC(), next.Node, next.Cluster
		if e.Revision == "" {
			e.Revision = next.Revision.Commit
		}
	}
	r.last = next
	return r.out
}

func (r *reporter) add(e event.Event) { r.out = append(r.out, e) }

// ofServers tells of verdicts. That a server is found to be up at first is no news.
func (r *reporter) ofServers(now map[reconcile.ServerRef]reconcile.Verdict) {
	for _, ref := range slices.Sorted(maps.Keys(now)) {
		was, is := r.servers[ref], now[ref]
		if was == is || is != reconcile.Up && is != reconcile.Down {
			continue
		}
		r.servers[ref] = is
		switch {
		case is == reconcile.Down:
			r.add(event.Event{Kind: event.ServerDown, Subject: string(ref), From: string(was), To: string(is)})
		case was == reconcile.Down:
			r.add(event.Event{Kind: event.ServerUp, Subject: string(ref), From: string(was), To: string(is)})
		}
	}
	maps.DeleteFunc(r.servers, func(ref reconcile.ServerRef, _ reconcile.Verdict) bool { _, there := now[ref]; return !there })
}

func (r *reporter) ofServices(next control.Status) {
	seen := map[string]bool{}
	for _, s := range next.Services {
		seen[s.Name] = true
		was, known := r.quorum[s.Name]
		r.quorum[s.Name] = s.Quorum
		switch {
		case s.Quorum && known && !was:
			r.add(event.Event{Kind: event.QuorumGained, Subject: "virtual_server." + s.Name})
		case !s.Quorum && (was || !known):
			r.add(event.Event{Kind: event.QuorumLost, Subject: "virtual_server." + s.Name})
		}
	}
	maps.DeleteFunc(r.quorum, func(name string, _ bool) bool { return !seen[name] })
}

func (r *reporter) ofTrackers(next control.Status) {
	kinds := map[reconcile.Verdict]event.Kind{reconcile.Up: event.TrackerUp, reconcile.Down: event.TrackerDown}
	seen := map[string]bool{}
	for _, t := range next.Trackers {
		seen[t.Name] = true
		was, known := r.trackers[t.Name]
		r.trackers[t.Name] = t.Verdict
		if was == t.Verdict || !known && t.Verdict != reconcile.Down {
			continue
		}
		kind, ok := kinds[t.Verdict]
		if !ok {
			kind = event.TrackerUnknown
		}
		r.add(event.Event{Kind: kind, Subject: "tracker." + t.Name, From: string(was), To: string(t.Verdict), Reason: t.Message})
	}
	maps.DeleteFunc(r.trackers, func(name string, _ reconcile.Verdict) bool { return !seen[name] })
}

// ofTroubles tells of alarms, conflicts, drift, the source and vrrpd.
func (r *reporter) ofTroubles(next control.Status) {
	alarms := map[string]reconcile.Alarm{}
	for _, a := range next.Alarms {
		alarms[a.Kind+" "+a.Subject] = a
	}
	for _, key := range newKeys(alarms, r.alarms) {
		r.add(event.Event{Kind: event.Alarm, Subject: alarms[key].Subject, Reason: alarms[key].Message})
	}
	for _, key := range newKeys(r.alarms, alarms) {
		r.add(event.Event{Kind: event.AlarmOver, Subject: r.alarms[key].Subject, Reason: r.alarms[key].Message})
	}
	r.alarms = alarms
	conflicts := map[string]string{}
	for _, c := range next.Conflicts {
		conflicts[c.Resource] = c.Detail
	}
	for _, key := range newKeys(conflicts, r.inTheWay) {
		r.add(event.Event{Kind: event.Conflict, Subject: key, Reason: conflicts[key]})
	}
	r.inTheWay = conflicts
	var seen time.Time
	if len(r.last.Drift.Last) > 0 {
		seen = r.last.Drift.Last[0].Time
	}
	for _, d := range slices.Backward(next.Drift.Last) {
		if d.Time.After(seen) {
			r.add(event.Event{Kind: event.DriftRepaired, Subject: d.Resource, Reason: d.Action})
		}
	}
	r.flips(r.last.Source.Error, next.Source.Error, event.SourceFailed, event.SourceRecovered)
	if r.last.VRRPD != "" && r.last.VRRPD != "not asked yet" {
		r.flips(troubleOf(r.last.VRRPD), troubleOf(next.VRRPD), event.VRRPDDown, event.VRRPDUp)
	}
}

// troubleOf is empty where vrrpd is up.
func troubleOf(vrrpd string) string {
	if vrrpd == "up" {
		return ""
	}
	return vrrpd
}

// flips tells that a trouble came, or went.
func (r *reporter) flips(was, is string, begin, over event.Kind) {
	switch {
	case was == "" && is != "":
		r.add(event.Event{Kind: begin, Reason: is})
	case was != "" && is == "":
		r.add(event.Event{Kind: over})
	}
}

// newKeys returns the keys of now that were not there, in order.
func newKeys[V any](now, was map[string]V) []string {
	var out []string
	for _, key := range slices.Sorted(maps.Keys(now)) {
		if _, there := was[key]; !there {
			out = append(out, key)
		}
	}
	return out
}

// ofRevisions tells how a revision goes on; what becomes of it is in the history.
func (r *reporter) ofRevisions(next control.Status) {
	kinds := map[control.Stage]event.Kind{control.Waiting: event.Waiting, control.Trying: event.Applying, control.Reverting: event.Reverting}
	if now := next.Rollout; now != nil {
		was := r.last.Rollout
		kind, told := kinds[now.Stage]
		if told && (was == nil || was.Stage != now.Stage || was.Revision.Commit != now.Revision.Commit) {
			r.add(event.Event{Kind: kind, Revision: now.Revision.Commit, Subject: now.Revision.Subject, Reason: now.Reason})
		}
	}
	if now, was := next.Refused, r.last.Refused; now != nil && (was == nil || was.Commit != now.Commit || was.Reason != now.Reason) {
		r.add(event.Event{Kind: event.RevisionRefused, Revision: now.Commit, Subject: now.Subject, Reason: now.Stage + ": " + now.Reason})
	}
	for _, q := range next.Quarantined {
		if !slices.ContainsFunc(r.last.Quarantined, func(o journal.Quarantined) bool { return o.Commit == q.Commit && o.Time.Equal(q.Time) }) && r.last.Node != "" {
			r.add(event.Event{Kind: event.Quarantined, Revision: q.Commit, Subject: q.Subject, Reason: q.Reason})
		}
	}
}

// ofInstances tells of VRRP. The state that is seen first is told, too, without a From.
func (r *reporter) ofInstances(next control.Status) {
	seen := map[string]bool{}
	for _, i := range next.Instances {
		seen[i.Name] = true
		was := r.states[i.Name]
		if i.State == unknownState || i.State == was || i.State == "" {
			continue // what it was before vrrpd fell silent counts
		}
		r.states[i.Name] = i.State
		r.add(event.Event{Kind: event.VRRPTransition, Subject: "vrrp_instance." + i.Name, From: was, To: i.State, Priority: int(i.Priority), Reason: i.Reason})
	}
	maps.DeleteFunc(r.states, func(name string, _ string) bool { return !seen[name] })
}

// outcomes are what records of the history are as events. What was refused is in the status.
var outcomes = map[journal.Outcome]event.Kind{
	journal.Verified: event.Verified, journal.RolledBack: event.RolledBack,
	journal.Superseded: event.Superseded, journal.Failed: event.RevisionFailed, journal.Suspended: event.Suspended,
	journal.Resumed: event.Resumed, journal.Retried: event.Retried, journal.Ignored: event.Ignored,
}

// tellRecord adds what became of a revision to the log.
func (a *Agent) tellRecord(rec journal.Record) {
	kind, ok := outcomes[rec.Outcome]
	if !ok {
		return
	}
	e := event.Event{Time: rec.Time, Kind: kind, Node: a.cfg.Node, Revision: rec.Commit, Subject: rec.Subject, Reason: rec.Reason}
	if a.rev != nil {
		e.Cluster = a.rev.Cluster.Name
	}
	a.events.Add(e)
}
