package reconcile

import (
	"fmt"
	"slices"
	"time"

	"github.com/hareconcile/hareconcile/internal/spec"
)

// A member is one server of a pool and what becomes of it in the table.
type member struct {
	spec.Server
	verdict  Verdict
	weight   int
	draining bool
	grace    time.Duration // of a draining one
	absent   bool          // has no entry
	runtime  Runtime       // where facts are not known
}

// up reports whether checks let m take connections.
func (m member) up() bool { return m.verdict.Serves() }

// DrainDefault is how long a server that is told to drain may keep its connections where
// neither its pool nor the command says.
const DrainDefault = 5 * time.Minute

// members returns the servers of vs: those of its pool, and after them those of the sorry
// pool. Without facts all of them are there, and Diff accepts what it finds.
func (b *builder) members(vs spec.VirtualServer, pool spec.Pool) []member {
	list := b.judged(pool)
	sorry := b.judged(b.pools[vs.Sorry])
	if b.facts == nil {
		for k := range list {
			list[k].runtime = runtimeOf(vs, pool)
		}
		for k := range sorry {
			sorry[k].runtime = RuntimeSorry
		}
		return append(list, sorry...)
	}
	standIn := false
	for _, m := range sorry {
		standIn = standIn || m.up() && !m.draining && m.Weight > 0
	}
	if b.panics(vs, pool, list, standIn) {
		for k := range list {
			list[k].verdict = Up
		}
	}
	helped := !b.quorum(vs, list, standIn) && standIn
	for k := range list {
		m := &list[k]
		m.weight = b.worth(pool, *m)
		if !m.up() || helped {
			m.weight = 0
			m.absent = !m.up() && pool.OnFail == "remove"
		}
	}
	for k := range sorry {
		m := &sorry[k]
		m.weight = b.worth(b.pools[vs.Sorry], *m)
		m.absent = !m.up() || b.t.Quorum[vs.Name]
	}
	return append(list, sorry...)
}

// judged returns the servers of a pool with their verdicts and written weights.
func (b *builder) judged(p spec.Pool) []member {
	list := make([]member, 0, len(p.Servers))
	for _, s := range p.Servers {
		m := member{Server: s, verdict: Up, weight: s.Weight, draining: s.Draining, grace: p.Drain}
		if b.facts != nil {
			ref := NewServerRef(p.Name, s.Name)
			m.verdict = b.facts.Verdict(p, s)
			if grace, ok := b.facts.Drains[ref]; ok {
				m.draining, m.grace = true, grace
			}
			if w, ok := b.facts.Weights[ref]; ok && m.up() {
				m.Weight = w
			}
		}
		if m.draining && m.grace == 0 {
			m.grace = DrainDefault
		}
		list = append(list, m)
	}
	return list
}

// runtimeOf says what facts decide on in a pool.
func runtimeOf(vs spec.VirtualServer, p spec.Pool) Runtime {
	if len(p.Checks) == 0 && vs.Sorry == "" {
		return 0
	}
	r := RuntimeWeight
	if len(p.Checks) > 0 && p.OnFail == "remove" {
		r |= RuntimePresence
	}
	if p.SlowStart > 0 || p.DegradedPercent > 0 || slices.ContainsFunc(p.Checks, func(c spec.Check) bool { return c.Dynamic }) {
		r |= RuntimeAnyWeight
	}
	return r
}

// worth returns the weight of a server that is up: its own, or less while it starts slowly
// or is degraded. A server that has a weight keeps at least 1.
func (b *builder) worth(p spec.Pool, m member) int {
	w := m.Weight
	if share, ok := b.facts.Shares[NewServerRef(p.Name, m.Name)]; ok {
		w = w * share / 100
	}
	if m.verdict == Degraded && p.DegradedPercent > 0 {
		w = w * p.DegradedPercent / 100
	}
	if m.Weight > 0 {
		w = max(w, 1)
	}
	return w
}

// panics reports whether so many of a pool's servers are down that the checks are more
// likely wrong than the servers. With nobody left, a stand-in is better than a guess.
func (b *builder) panics(vs spec.VirtualServer, p spec.Pool, list []member, standIn bool) bool {
	down, up := 0, 0
	for _, m := range list {
		switch {
		case m.up():
			up++
		case m.verdict == Down:
			down++
		}
	}
	if p.PanicPercent == 0 || (len(list)-down)*100 >= p.PanicPercent*len(list) || up == 0 && standIn {
		return false
	}
	b.raise(vs, Alarm{p.Origin.Address, "panic", fmt.Sprintf("%d of %d servers are down; as fewer than %d %% are left, all of them are served, whatever their checks say", down, len(list), p.PanicPercent)})
	return true
}

// quorum decides whether the servers that are up are enough, and remembers it in the target.
// If they are not, an alarm says who answers: the stand-in, those that are left, or nobody.
func (b *builder) quorum(vs spec.VirtualServer, list []member, standIn bool) bool {
	sum, measured := 0, true
	for _, m := range list {
		if m.up() && !m.draining {
			sum += m.Weight
		}
		measured = measured && m.verdict != Unknown
	}
	need := max(vs.Quorum, 1)
	held, known := b.facts.Quorum[vs.Name]
	switch {
	case sum >= need+vs.Hysteresis:
		held = true
	case sum == 0, sum < need-vs.Hysteresis:
		held = false
	case !known:
		held = sum >= need
	}
	b.t.Quorum[vs.Name] = held
	if !held && measured {
		who := "those that are left answer"
		switch {
		case standIn:
			who = "the sorry pool answers"
		case sum == 0:
			who = "nobody answers"
		}
		b.raise(vs, Alarm{vs.Origin.Address, "no_quorum", fmt.Sprintf("the servers in service have a weight of %d together, and the quorum is %d: %s", sum, need, who)})
	}
	return held
}

// raise adds an alarm of vs.
func (b *builder) raise(vs spec.VirtualServer, a Alarm) {
	b.t.Raised[vs.Name] = append(b.t.Raised[vs.Name], a)
}
