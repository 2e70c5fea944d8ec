package rollout

import "fmt"

// A model is a cluster of which every state is searched. Nodes see each other only as they were
// when they looked last, and look one at a time.
type model struct {
	nodes  int
	member []bool // takes part in the virtual router; others are real servers
	// faults bounds how often something breaks on the way: a crash, a cut, a failover, a node in FAULT.
	faults     int
	disruptive bool
	skip       bool // nodes that are gone for good count as absent
	second     bool // a second revision is pushed on the way
	fresh      bool // nobody has a revision yet
	decide     func(View) Decision
}

// What a node is.
type member struct {
	alive, dead bool // dead is never to come back
	verified    int8 // 0 none, 1 the old revision, 2 and 3 the new ones
	candidate   int8
	phase       Phase
	role        string // of the one virtual router; "" for real servers
	bad         int8   // the revision in quarantine, if any
}

// A state is the cluster at one moment, and what each node knows of each other.
type state struct {
	n      [4]member
	seen   [4][4]sight
	cut    [4][4]bool
	pushed int8 // the newest revision
	faults int8
}

type sight struct {
	was   member
	heard bool
	fresh bool
}

func (m *model) first() state {
	var s state
	s.pushed, s.faults = 2, int8(m.faults)
	for i := range m.nodes {
		n := member{alive: true, verified: 1, candidate: 2, phase: Waiting}
		if m.fresh {
			n.verified = 0
		}
		if m.member[i] {
			n.role = backup
			if i == 0 {
				n.role = master
			}
		}
		s.n[i] = n
	}
	for i := range m.nodes {
		for j := range m.nodes {
			if i != j {
				s.seen[i][j] = sight{was: s.n[j], heard: true}
			}
		}
	}
	return s
}

func commit(k int8) string {
	if k == 0 {
		return ""
	}
	return fmt.Sprint(k)
}

func name(i int) string { return string(rune('a' + i)) }

func (m *model) report(i int, n member) Report {
	r := Report{Node: name(i), Verified: commit(n.verified), Stable: true, Phase: n.phase, Candidate: commit(n.candidate)}
	if n.bad != 0 {
		r.Quarantined = []string{commit(n.bad)}
	}
	if n.role != "" {
		r.Instances = []Instance{{Name: "web", State: n.role, Priority: 150 - i}}
	}
	return r
}

func (m *model) view(s *state, i int) View {
	v := View{
		Self: m.report(i, s.n[i]), Candidate: commit(s.n[i].candidate),
		Disruptive: m.disruptive, HandOver: true, Concerns: []string{"web"},
	}
	for j := range m.nodes {
		if j != i {
			o := s.seen[i][j]
			v.Peers = append(v.Peers, Peer{Report: m.report(j, o.was), Heard: o.heard, Fresh: o.fresh, Absent: m.skip && s.n[j].dead && !o.heard})
		}
	}
	return v
}

// A step is one thing that may happen. Those of the protocol happen in the end if they can;
// faults may or may not.
type step struct {
	what  string
	fault bool
	next  state
}

// elect makes the first node that can take the router's addresses master, as VRRP does.
func (m *model) elect(s *state, not int) {
	for i := range m.nodes {
		if s.n[i].alive && s.n[i].role == master {
			return
		}
	}
	for _, again := range []bool{false, true} {
		for i := range m.nodes {
			if s.n[i].alive && s.n[i].role == backup && (i != not || again) {
				s.n[i].role = master
				return
			}
		}
	}
}

// steps returns all that may happen in s. A broken promise is an error.
func (m *model) steps(s *state) (out []step, err error) {
	add := func(fault bool, next state, format string, args ...any) {
		out = append(out, step{fmt.Sprintf(format, args...), fault, next})
	}
	for i := range m.nodes {
		n := s.n[i]
		if !n.alive {
			if !n.dead {
				t := *s
				t.n[i].alive = true
				if n.phase == Claiming || n.phase == HandingOver {
					t.n[i].phase = Waiting // the journal has neither
				}
				for j := range m.nodes {
					t.seen[i][j].heard, t.seen[i][j].fresh = false, false
				}
				add(false, t, "%s starts", name(i))
			}
			continue
		}
		for j := range m.nodes {
			if i == j {
				continue
			}
			t := *s
			o := &t.seen[i][j]
			if s.n[j].alive && !s.cut[i][j] {
				o.was, o.heard, o.fresh = s.n[j], true, n.phase == Claiming
			} else {
				o.heard, o.fresh = false, false
			}
			if t.seen[i][j] != s.seen[i][j] {
				add(false, t, "%s looks at %s", name(i), name(j))
			}
		}
		moves, err := m.moves(s, i)
		if err != nil {
			return nil, err
		}
		out = append(out, moves...)
		out = append(out, m.breaks(s, i)...)
	}
	return out, nil
}

// moves returns what node i does next by itself.
func (m *model) moves(s *state, i int) (out []step, err error) {
	n := s.n[i]
	add := func(what string, f func(*state)) {
		t := *s
		f(&t)
		out = append(out, step{name(i) + " " + what, false, t})
	}
	if n.candidate < s.pushed && n.phase != Reverting && n.bad != s.pushed {
		add("gets the newest revision", func(t *state) {
			t.n[i].candidate = s.pushed
			if n.phase == Idle || n.phase == Claiming {
				t.n[i].phase = Waiting
				m.stale(t, i)
			}
		})
	}
	if n.phase == Idle {
		return out, nil
	}
	switch n.phase {
	case Applying:
		add("has applied", func(t *state) { t.n[i].phase = Verifying })
	case Verifying:
		add("has verified", func(t *state) { t.n[i].phase, t.n[i].verified = Idle, n.candidate })
		add("fails", func(t *state) { t.n[i].phase, t.n[i].bad = Reverting, n.candidate })
	case Reverting:
		add("is back", func(t *state) { t.n[i].phase, t.n[i].candidate = Idle, n.verified })
	case Waiting, Claiming, HandingOver:
		v := m.view(s, i)
		d := m.decide(v)
		switch d.Do {
		case Claim:
			if n.phase != Claiming {
				add("claims", func(t *state) { t.n[i].phase = Claiming; m.stale(t, i) })
			}
		case Withdraw:
			add("withdraws", func(t *state) { t.n[i].phase = Waiting; m.stale(t, i) })
		case Never:
			add("gives up", func(t *state) { t.n[i].phase, t.n[i].candidate = Idle, n.verified; t.n[i].bad = n.candidate })
		case Yield:
			add("hands over", func(t *state) {
				t.n[i].phase, t.n[i].role = HandingOver, backup
				m.elect(t, i)
			})
		case Go:
			if err := m.may(s, i); err != nil {
				return nil, err
			}
			add("goes", func(t *state) { t.n[i].phase = Applying; m.stale(t, i) })
		}
	}
	return out, nil
}

// stale takes back what was fresh: it was so for one claim.
func (m *model) stale(t *state, i int) {
	for j := range m.nodes {
		t.seen[i][j].fresh = false
	}
}

// may is what is promised of a node that goes.
func (m *model) may(s *state, i int) error {
	if s.n[i].verified == 0 {
		return nil
	}
	able := false
	for j := range m.nodes {
		o := s.n[j]
		switch {
		case s.seen[i][j].was.bad == s.n[i].candidate:
			return fmt.Errorf("%s goes though it heard that %s has quarantined the revision", name(i), name(j))
		case j == i || o.verified == 0 || o.dead && m.skip:
			continue
		case o.phase.InFlight():
			return fmt.Errorf("%s goes while %s is %s", name(i), name(j), o.phase)
		case o.bad == s.n[i].candidate:
			return fmt.Errorf("%s goes though %s has quarantined the revision", name(i), name(j))
		}
		able = able || o.alive && o.role == backup && !s.cut[i][j]
	}
	if m.disruptive && s.n[i].role == master && able {
		return fmt.Errorf("%s goes as master, and could have handed over", name(i))
	}
	return nil
}

// breaks returns the faults that may happen to node i.
func (m *model) breaks(s *state, i int) (out []step) {
	if s.faults == 0 {
		return nil
	}
	add := func(what string, f func(*state)) {
		t := *s
		t.faults--
		f(&t)
		out = append(out, step{name(i) + " " + what, true, t})
	}
	gone := func(t *state) {
		t.n[i].alive = false
		if t.n[i].role != "" {
			t.n[i].role = backup
			m.elect(t, i)
		}
	}
	add("crashes", gone)
	if m.skip {
		add("is gone for good", func(t *state) { gone(t); t.n[i].dead = true })
	}
	if s.n[i].role == master {
		add("loses mastership", func(t *state) { t.n[i].role = backup; m.elect(t, i) })
	}
	if s.n[i].role == master || s.n[i].role == backup {
		add("is in FAULT", func(t *state) { t.n[i].role = fault; m.elect(t, i) })
	} else if s.n[i].role == fault {
		add("recovers", func(t *state) { t.n[i].role = backup; m.elect(t, i) })
	}
	for j := range i {
		add("is cut from "+name(j), func(t *state) { t.cut[i][j], t.cut[j][i] = true, true })
	}
	if m.second && s.pushed == 2 {
		add("sees another push", func(t *state) { t.pushed = 3 })
	}
	return out
}

// over reports whether nothing is left to do: every node that can has the newest revision, or
// somebody has it in quarantine.
func (m *model) over(s *state) bool {
	for i := range m.nodes {
		if s.n[i].bad == s.pushed {
			return true
		}
	}
	for i := range m.nodes {
		if n := s.n[i]; !n.dead && (n.verified != s.pushed || n.phase != Idle) {
			return false
		}
	}
	return true
}

// whole reports whether nothing is broken now, so that the rollout has to come to an end.
func (m *model) whole(s *state) bool {
	for i := range m.nodes {
		for j := range m.nodes {
			if s.cut[i][j] {
				return false
			}
		}
		if s.n[i].dead && !m.skip || m.disruptive && s.n[i].role == fault { // nobody could take over from its peer
			return false
		}
	}
	return true
}
