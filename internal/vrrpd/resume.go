package vrrpd

import (
	"github.com/hareconcile/hareconcile/internal/channel"
	"github.com/hareconcile/hareconcile/internal/vrrp"
)

// saved is the document for a successor.
func (l *loop) saved() saved {
	doc := saved{Sessions: l.watchers.saved(), Config: l.config(), Repairs: l.repairs, Pauses: l.pauses, Overruns: l.overruns, Upgrades: l.upgrades}
	for _, r := range l.routers {
		i := savedInstance{
			Name: r.name, State: r.m.State().String(), Reason: r.reason, Since: r.since,
			Transitions: r.transitions, Slot: r.slot, Held: l.table.Held(r.name),
		}
		if r.startAt != never {
			i.StartAt = r.startAt
		}
		if at := r.timers[vrrp.PreemptTimer]; at != never {
			i.PreemptAt = at
		}
		if at := r.timers[vrrp.HoldTimer]; at != never {
			i.HoldAt = at
		}
		if r.auth != nil {
			s := r.auth.State()
			i.Auth = &s
		}
		doc.Instances = append(doc.Instances, i)
	}
	for _, key := range l.trackerKeys() {
		t := l.trackers[key]
		silent := t.silent
		if silent == never {
			silent = -1
		}
		doc.Trackers = append(doc.Trackers, savedTracker{Key: key, Word: t.state(), Value: t.value, Silent: silent})
	}
	return doc
}

// resume brings up what a predecessor ran. A router that was MASTER stays MASTER if its
// silence, counted from the last advert that it sent, is too short for any peer to have
// noticed; otherwise it starts as BACKUP, and what it held is withdrawn first.
func (l *loop) resume(doc saved, secrets map[string]string) {
	l.t = l.lan.now()
	l.repairs, l.pauses, l.overruns, l.upgrades = doc.Repairs, doc.Pauses, doc.Overruns, doc.Upgrades
	l.secrets, l.virtual = secrets, virtualLinkLocals(doc.Config.Instances)
	l.setTrackers(doc.Config.Trackers)
	l.recall(doc.Trackers)
	before := map[string]savedInstance{}
	for _, i := range doc.Instances {
		before[i.Name] = i
	}
	for _, cfg := range doc.Config.Instances { // in the order of their names, as they were saved
		l.routers = append(l.routers, newRouter(cfg.ID().Name, cfg))
	}
	l.queue.fill(l.routers)
	l.refresh()
	adopt := map[*router]bool{}
	for _, r := range l.routers {
		l.alter(r, r.cfg)
		adopt[r] = l.inherit(r, before[r.name])
	}
	l.regroup()
	l.attach()
	l.drain() // machines in INIT ignore adverts, and start notes rivals
	for _, r := range l.routers {
		r.gate = l.closedGate(r)
	}
	for _, r := range l.routers {
		if rest := before[r.name].HoldAt - l.t; rest > 0 { // before the start: no owner is to take over at once
			l.step(r, vrrp.Resign{Hold: min(rest, channel.MaxHold)})
		}
		l.start(r, adopt[r] && l.allOf(r, adopt))
	}
	l.table.Recheck()
	l.changed = true
	l.settle()
}

// recall gives trackers what was known of them.
func (l *loop) recall(list []savedTracker) {
	for _, t := range list {
		own, ok := l.trackers[t.Key]
		if !ok {
			continue
		}
		if t.Word == up || t.Word == down {
			own.word, own.value = t.Word, t.Value
		}
		if t.Silent >= 0 && t.Silent <= l.t {
			own.silent = t.Silent
		}
	}
}

// allOf reports whether r's whole group can stay MASTER.
func (l *loop) allOf(r *router, adopt map[*router]bool) bool {
	if r.group == nil {
		return true
	}
	for _, o := range r.group.members {
		if !adopt[o] || o.rival {
			return false
		}
	}
	return true
}

// inherit gives r its past and reports whether it may stay MASTER.
func (l *loop) inherit(r *router, i savedInstance) bool {
	r.reason, r.since, r.transitions = i.Reason, i.Since, i.Transitions
	r.was = i.State
	if i.StartAt > 0 {
		r.startAt = i.StartAt
	}
	r.preemptAt = i.PreemptAt
	if i.Auth != nil && r.auth != nil {
		r.auth.Restore(*i.Auth)
	}
	adopt := false
	if i.Name != "" && l.store.reclaim(i.Slot) {
		r.slot = i.Slot
		sent := l.store.sent(i.Slot)
		adopt = i.State == vrrp.Master.String() && sent > 0 && sent <= l.t &&
			l.t-sent < r.machineConfig(vrrp.OwnerPriority).DownInterval()
	}
	if adopt || !l.kernel.Marks() { // otherwise what is marked and not held is withdrawn
		l.table.Adopt(r.name, i.Held)
	}
	return adopt
}
