package vrrpd

import (
	"time"

	"github.com/hareconcile/hareconcile/internal/channel"
	"github.com/hareconcile/hareconcile/reconcile/resource"
)

// What is said of trackers; "" is unknown.
const (
	up   = "up"
	down = "down"
)

// A tracker is what vrrpd knows of one tracker: somebody's word, which counts once it has
// lasted, and for a while after nobody renews it.
type tracker struct {
	cfg     resource.VRRPTracker
	word    string        // the last up or down; "" before the first
	value   int           // of a file
	message string        // why
	pending string        // the word that does not count yet
	settles time.Duration // when it will
	silent  time.Duration // since when nobody can confirm the word; never while somebody does
	expired bool          // it was silent for longer than it may be
}

// next is when time alone changes the tracker.
func (t *tracker) next() time.Duration {
	if t.word == "" || t.silent == never || t.expired {
		return t.settles
	}
	return min(t.settles, t.silent+t.hold())
}

// sessionGrace is how long the word on a BFD session outlives this process: what a
// session takes to come up again.
const sessionGrace = 5 * time.Second

// hold is how long the last word counts when nobody renews it.
func (t *tracker) hold() time.Duration {
	if t.cfg.Type == resource.TrackBFD {
		return sessionGrace
	}
	return time.Duration(t.cfg.Hold)
}

// pass lets time change the tracker; it reports whether it did.
func (t *tracker) pass(now time.Duration) bool {
	changed := false
	if t.settles <= now {
		t.word, t.settles, changed = t.pending, never, true
	}
	if t.word != "" && t.silent != never && !t.expired && t.silent+t.hold() <= now {
		t.expired, changed = true, true
	}
	return changed
}

// state is the word that counts now: up, down, or "" for unknown.
func (t *tracker) state() string {
	if t.expired {
		return ""
	}
	return t.word
}

// bad reports whether the tracker counts as down.
func (t *tracker) bad() bool {
	s := t.state()
	return s == down || s == "" && t.cfg.OnUnknown != up
}

// down says how a tracker is down; "" if it is not.
func (t *tracker) down() string {
	switch {
	case !t.bad():
		return ""
	case t.state() == down:
		return "is down"
	}
	return "is unknown"
}

// points are what the tracker adds to a priority.
func (t *tracker) points(p resource.Points) int {
	n := p.Scale * t.value
	if t.expired {
		n = 0
	}
	if t.bad() {
		return n - p.Lose
	}
	return n + p.Gain
}

// hear takes a word: up, down, or "" for could not be measured. A first word counts at once.
func (t *tracker) hear(word string, now time.Duration) {
	if word != up && word != down {
		if t.silent == never {
			t.silent = now
		}
		t.settles = never
		return
	}
	t.silent, t.expired = never, false
	delay := time.Duration(t.cfg.UpDelay)
	if word == down {
		delay = time.Duration(t.cfg.DownDelay)
	}
	switch {
	case t.word == "" || word == t.word || delay <= 0:
		t.word, t.settles = word, never
	case t.settles == never || t.pending != word:
		t.pending, t.settles = word, now+delay
	}
}

// tick lets time change trackers; it reports whether it did.
func (l *loop) tick() bool {
	changed := false
	for _, t := range l.trackers {
		if t.next() <= l.t {
			changed = t.pass(l.t) || changed
		}
	}
	l.changed = l.changed || changed
	return changed
}

// tell gives a tracker a word; it reports whether what counts changed.
func (l *loop) tell(t *tracker, word string, value int, message string) bool {
	state, before, why := t.state(), t.value, t.message
	if t.message = message; word == up || word == down { // else the last one counts, as long as its word does
		t.value = value
	}
	t.hear(word, l.t)
	changed := t.state() != state || t.value != before
	l.changed = l.changed || changed || t.message != why
	return changed
}

// track takes the agent's word on plugin trackers.
func (l *loop) track(w channel.Track) {
	for key, word := range w.States {
		if t, ok := l.trackers[key]; ok && t.cfg.Type == resource.TrackPlugin {
			l.tell(t, word, 0, "")
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
		if t.cfg.Type == resource.TrackPlugin && t.silent == never {
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
			t = &tracker{silent: l.t, settles: never}
		}
		t.cfg = cfg
		t.expired = t.expired && t.silent+t.hold() <= l.t // not by a longer hold
		l.trackers[cfg.Key()] = t
	}
	l.watchers.set(cfgs)
}
