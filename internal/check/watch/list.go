package watch

import (
	"time"

	"github.com/hareconcile/hareconcile/internal/check"
	"github.com/hareconcile/hareconcile/internal/check/due"
)

// A List is a set of Targets. Its durations count from one fixed moment of the owner's choice.
type List[P any] struct {
	targets map[string]*target[P]
	queue   due.Queue[*Entry[P]]
	grids   map[time.Duration]*check.Grid // by interval
	common  map[common]*shared
	skipped uint64
}

// A common is what checks have that share their beats.
type common struct {
	together string
	interval time.Duration
}

// A shared is a beat in a grid that several entries have.
type shared struct {
	beat check.Schedule
	n    int
}

// New returns a List without Targets.
func New[P any]() *List[P] {
	return &List[P]{targets: map[string]*target[P]{}, grids: map[time.Duration]*check.Grid{}, common: map[common]*shared{}}
}

// Skipped returns how many samples were passed over since they were far too late.
func (l *List[P]) Skipped() uint64 { return l.skipped }

// Len returns how many Targets there are.
func (l *List[P]) Len() int { return len(l.targets) }

// Has reports whether the List has a Target of that key.
func (l *List[P]) Has(key string) bool { return l.targets[key] != nil }

// Set replaces the Targets. Checks that stayed the same keep their state and schedule. It
// returns the entries that are gone, whose samples under way may be given up, and what
// became of verdicts.
func (l *List[P]) Set(ts []Target[P], now time.Duration, at time.Time) (gone []*Entry[P], news []Result) {
	old := l.targets
	l.targets = make(map[string]*target[P], len(ts))
	for _, t := range ts {
		if l.targets[t.Key] != nil {
			continue // the first of its key counts
		}
		next, dropped, message := renew(old[t.Key], t)
		delete(old, t.Key)
		l.targets[t.Key] = next
		gone = append(gone, dropped...)
		if message != "" {
			if r, ok := next.report(message, at); ok {
				news = append(news, r)
			}
		}
	}
	for _, t := range old {
		gone = append(gone, t.entries...)
	}
	for _, e := range gone { // before others come, who may have their slots
		e.gone = true
		l.queue.Remove(&e.mark)
		l.giveBeat(e)
	}
	for _, t := range ts { // in their order, on which slots depend
		for _, e := range l.targets[t.Key].entries {
			l.place(e, now)
		}
	}
	return gone, news
}

// renew returns the target for t. have, if not nil, is its predecessor. A message is what to
// say if the change itself makes another verdict.
func renew[P any](have *target[P], t Target[P]) (next *target[P], gone []*Entry[P], message string) {
	switch {
	case have == nil:
		return start(t, t.Initial), nil, ""
	case have.Subject != t.Subject:
		next = start(t, check.Unknown)
		next.sent = have.sent
		return next, have.entries, "not checked yet"
	case !unchanged(have, t):
		next, gone = follow(have, t)
		return next, gone, "the checks changed"
	}
	return have, nil, ""
}

// place lets an entry wait for its first sample.
func (l *List[P]) place(e *Entry[P], now time.Duration) {
	if !e.Pushed && !e.placed {
		e.placed = true
		l.takeBeat(e)
		l.queue.Add(&e.mark, e.first.Next(now))
	}
}

// takeBeat lays the beats of an entry into the grid of its interval.
func (l *List[P]) takeBeat(e *Entry[P]) {
	key := e.target.Key + " " + e.Fingerprint
	if e.Together != "" {
		key = e.Together
	}
	e.beat = l.share(e, key).Wandering(e.Jitter)
	e.first = e.beat
	if e.offBeat = e.Interval > soon; e.offBeat {
		e.first = check.NewSchedule(key, soon)
	}
}

// share returns the beat of an entry in the grid of its interval: one of its own, or the one
// that others have already.
func (l *List[P]) share(e *Entry[P], key string) check.Schedule {
	g := l.grids[e.Interval]
	if g == nil {
		g = check.NewGrid(e.Interval)
		l.grids[e.Interval] = g
	}
	if e.Together == "" {
		return g.Take(key)
	}
	s := l.common[common{e.Together, e.Interval}]
	if s == nil {
		s = &shared{beat: g.Take(key)}
		l.common[common{e.Together, e.Interval}] = s
	}
	s.n++
	return s.beat
}

// giveBeat takes them out, if they are nobody else's.
func (l *List[P]) giveBeat(e *Entry[P]) {
	if !e.placed {
		return
	}
	if e.Together != "" {
		c := common{e.Together, e.Interval}
		if l.common[c].n--; l.common[c].n > 0 {
			return
		}
		delete(l.common, c)
	}
	g := l.grids[e.Interval]
	if g.Give(e.beat); g.Len() == 0 {
		delete(l.grids, e.Interval)
	}
}

// Wait returns how long there is nothing to start, at most limit.
func (l *List[P]) Wait(now, limit time.Duration) time.Duration {
	if m := l.queue.First(); m != nil {
		return min(max(m.At-now, 0), limit)
	}
	return limit
}

// Next returns an entry whose sample is due, or nil. The entry is not due again before its
// sample is given to Finish, so that one that outlasts its interval takes the place of the
// next.
func (l *List[P]) Next(now time.Duration) *Entry[P] {
	for {
		m := l.queue.First()
		if m == nil || m.At > now {
			return nil
		}
		e := m.Value
		if now-m.At > overdue && !e.skipped {
			e.skipped, e.offBeat = true, e.Interval > soon
			l.skipped++
			l.queue.Add(m, e.first.Next(now))
			continue
		}
		l.queue.Remove(m)
		e.Due, e.skipped = m.At, false
		return e
	}
}

// Finish takes the sample of an entry that Next returned.
func (l *List[P]) Finish(e *Entry[P], s Sample, now time.Duration, at time.Time) (news Result, ok bool) {
	if e.gone {
		return Result{}, false
	}
	e.observe(s, at)
	l.queue.Add(&e.mark, e.next(now))
	return e.target.report(s.Message, at)
}

// Report takes a sample of a target's check, by its place among the target's Checks, that
// is Pushed; others take none.
func (l *List[P]) Report(key string, place int, s Sample, at time.Time) (news Result, ok bool) {
	t := l.targets[key]
	if t == nil || place < 0 || place >= len(t.entries) || !t.entries[place].Pushed {
		return Result{}, false
	}
	t.entries[place].observe(s, at)
	return t.report(s.Message, at)
}

// Tell takes what was seen to happen to a target's check with that fingerprint, between its
// samples. A fall that was seen is no sample that may have been unlucky: it counts as enough of
// them. Whatever else is told counts as one.
func (l *List[P]) Tell(key, fingerprint string, s Sample, at time.Time) (news Result, ok bool) {
	t := l.targets[key]
	if t == nil {
		return Result{}, false
	}
	for _, e := range t.entries {
		if e.Fingerprint != fingerprint {
			continue
		}
		times := 1
		if s.State == check.Down {
			times = max(1, e.Rules.Fall)
		}
		for range times {
			e.observe(s, at)
		}
	}
	return t.report(s.Message, at)
}

// Probe returns how the check in that place among a target's Checks is looked at.
func (l *List[P]) Probe(key string, place int) (probe P, ok bool) {
	t := l.targets[key]
	if t == nil || place < 0 || place >= len(t.entries) {
		return probe, false
	}
	return t.entries[place].Check.Probe, true
}

// Verdict returns what counts for a key now.
func (l *List[P]) Verdict(key string) check.State {
	if t := l.targets[key]; t != nil {
		v, _ := t.verdict()
		return v
	}
	return check.Unknown
}
