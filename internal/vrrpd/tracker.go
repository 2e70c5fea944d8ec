package vrrpd

import (
	"time"

	"github.com/hareconcile/hareconcile/internal/channel"
	"github.com/hareconcile/hareconcile/reconcile/resource"
)

// The types of trackers, and what is said of them.
const (
	trackInterface = "interface"
	trackPlugin    = "plugin"

	up   = "up"
	down = "down"
)

// A tracker is what vrrpd knows of one tracker. For plugins that is the agent's word,
// which counts for a while after the agent, or the plugin, fell silent.
type tracker struct {
	cfg     resource.VRRPTracker
	word    string        // the last up or down; "" before the first
	silent  time.Duration // since when nobody can confirm it; never while somebody does
	expired bool          // it was silent for longer than it may be
}

// expires is when the last word stops to count.
func (t *tracker) expires() time.Duration {
	if t.word == "" || t.silent == never || t.expired {
		return never
	}
	return t.silent + time.Duration(t.cfg.Hold)
}

// state is the word that counts now: up, down, or "" for unknown.
func (t *tracker) state() string {
	if t.expired {
		return ""
	}
	return t.word
}

// down says why a plugin tracker is down; "" if it is not.
func (t *tracker) down() string {
	switch s := t.state(); {
	case s == down:
		return "is down"
	case s == "" && t.cfg.OnUnknown != up:
		return "is unknown"
	}
	return ""
}

// hear takes the agent's word: up, down, or "" for could not be measured.
func (t *tracker) hear(word string, now time.Duration) {
	switch {
	case word == up || word == down:
		t.word, t.silent, t.expired = word, never, false
	case t.silent == never:
		t.silent = now
	}
}

// track takes the agent's word on plugin trackers.
func (l *loop) track(w channel.Track) {
	for key, word := range w.States {
		if t, ok := l.trackers[key]; ok && t.cfg.Type == trackPlugin {
			before := t.state()
			t.hear(word, l.t)
			l.changed = l.changed || t.state() != before
		}
	}
	if l.present == 0 { // a word without a connection that stays
		l.agentSilent()
	}
	l.regate()
}

// agentSilent starts the hold of every word that only the agent could renew.
func (l *loop) agentSilent() {
	for _, t := range l.trackers {
		if t.silent == never {
			t.silent = l.t
		}
	}
	l.changed = true
}

// setTrackers replaces the trackers and keeps what is known of those that stay.
func (l *loop) setTrackers(cfgs []resource.VRRPTracker) {
	old := l.trackers
	l.trackers = make(map[string]*tracker, len(cfgs))
	for _, cfg := range cfgs {
		t := old[cfg.Key()]
		if t == nil {
			t = &tracker{silent: l.t}
		}
		t.cfg = cfg
		t.expired = t.expired && t.silent+time.Duration(cfg.Hold) <= l.t // not by a longer hold
		l.trackers[cfg.Key()] = t
	}
}
