package vrrp

import "slices"

// A Group is routers that are MASTER only together, as the two sides of a firewall have
// to be. They become MASTER when every one of them would; where one leaves, all leave, and
// say so with priority 0; where one is in FAULT, all are. A Group of one is as a Machine by
// itself. A Group is not safe for concurrent use.
type Group struct{ members []*Machine }

// A member is what a Group knows of a Machine.
type member struct {
	held     bool // may not become MASTER by itself
	wants    bool // BACKUP that would be MASTER, were it not held
	blocked  bool // another member's gate is down
	adopting bool // in INIT, to be adopted if all are
}

// NewGroup returns a Group of machines. They may be in any state, so a Group is altered by
// making another one, of which those that run learn by Settle.
func NewGroup(ms ...*Machine) *Group { return &Group{members: slices.Clone(ms)} }

// Step advances m, a member, by one event, and the others by what follows from it. It
// calls do for each of them that has something to do, perhaps more than once; the slice
// is valid during that call. Stop takes m out of the Group, and so does a configuration
// that is not Grouped. Adopt takes effect once every member was told to start, and only if
// all of them can be adopted; else it is a Start.
func (g *Group) Step(m *Machine, e Event, do func(*Machine, []Action)) {
	switch e := e.(type) {
	case Adopt:
		m.member.adopting = m.state == Init
	case Stop:
		m.member = member{}
		g.without(m, e, do)
	case Reconfigured:
		if !e.Config.Grouped {
			g.without(m, e, do)
			break
		}
		g.step(m, e, do)
	default:
		g.step(m, e, do)
	}
	g.adopt(do)
}

// without advances m by the event that takes it out of the Group.
func (g *Group) without(m *Machine, e Event, do func(*Machine, []Action)) {
	g.members = slices.DeleteFunc(g.members, func(o *Machine) bool { return o == m })
	do(m, m.Step(e))
	g.Settle(do)
}

// step advances one member.
func (g *Group) step(m *Machine, e Event, do func(*Machine, []Action)) {
	before := m.state
	g.brief(m)
	actions := m.Step(e)
	announce := slices.Contains(actions, Action{Do: Announce})
	do(m, actions)
	// One that is BACKUP beside MASTERs joined them lately; if it hears a master that it
	// has to accept, the Group cannot be whole here.
	left := m.state == Backup && !m.member.wants && (before == Master || m.master.IsValid())
	for _, o := range g.members {
		if o == m {
			continue
		}
		o.out = o.out[:0]
		switch e := e.(type) {
		case Resign:
			o.resign(e.Hold)
		case Release:
			o.release()
		default:
			o.besides(left, announce)
		}
		tell(o, do)
	}
	g.Settle(do)
}

// besides makes a MASTER do what follows from another member's step.
func (m *Machine) besides(left, announce bool) {
	switch {
	case m.state != Master:
	case left:
		m.leave(GroupLeft)
	case announce: // hosts may believe the other master on every segment
		m.do(Action{Do: Announce})
	}
}

// brief tells m how the others are.
func (g *Group) brief(m *Machine) {
	m.member.held, m.member.blocked = false, false
	for _, o := range g.members {
		if o != m {
			m.member.held = m.member.held || o.state != Master && !o.member.wants
			m.member.blocked = m.member.blocked || o.gated
		}
	}
}

// Settle makes FAULT spread and end, and lets the members be MASTER if all would.
func (g *Group) Settle(do func(*Machine, []Action)) {
	for _, m := range g.members {
		g.brief(m)
		m.out = m.out[:0]
		switch {
		case m.member.blocked:
			m.fault(GroupFault)
		case m.state == Fault && !m.gated:
			m.join(GateUp)
		}
		tell(m, do)
	}
	for _, m := range g.members {
		if m.state != Master && !m.member.wants {
			return
		}
	}
	for _, m := range g.members {
		if m.state != Master {
			m.out = m.out[:0]
			m.member.held = false
			m.toMaster(m.would())
			tell(m, do)
		}
	}
}

// adopt decides on members that wait to be adopted.
func (g *Group) adopt(do func(*Machine, []Action)) {
	waiting, all, started := false, true, false
	for _, m := range g.members {
		waiting = waiting || m.member.adopting
		all = all && m.member.adopting && !m.gated
		started = started || m.state != Init
	}
	unasked := slices.ContainsFunc(g.members, func(m *Machine) bool { return m.state == Init && !m.member.adopting })
	if !waiting || unasked && !started {
		return
	}
	for _, m := range g.members {
		switch {
		case !m.member.adopting:
			continue
		case all:
			m.member = member{}
			do(m, m.Step(Adopt{}))
		default:
			m.member.adopting = false
			g.step(m, Start{}, do)
		}
	}
}

// would is why a member becomes MASTER together with another one.
func (m *Machine) would() Reason {
	if m.cfg.Priority == OwnerPriority {
		return Owner
	}
	return Silence
}

// leaveGroup makes m stand for itself again.
func (m *Machine) leaveGroup() {
	blocked := m.member.blocked
	m.member = member{}
	if blocked && m.state == Fault && !m.gated {
		m.join(GateUp)
	}
}

func tell(m *Machine, do func(*Machine, []Action)) {
	if len(m.out) > 0 {
		do(m, m.out)
	}
}
