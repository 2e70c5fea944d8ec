// Package vrrp is the state machine and packet codec of VRRP, versions 3 (RFC 9568) and 2
// (RFC 3768), with no I/O in it: an event goes in, the actions that it calls for come out.
package vrrp

import (
	"net/netip"
	"time"
)

// A State is where a virtual router is (RFC 9568, section 6.4).
type State uint8

// The states. Master is what RFC 9568 calls Active; Fault, for a router that something
// it depends on keeps out of the election, is not in the RFC.
const (
	Init State = iota
	Backup
	Master
	Fault
)

var states = [...]string{"INIT", "BACKUP", "MASTER", "FAULT"}

// String returns the state in capitals.
func (s State) String() string {
	if int(s) < len(states) {
		return states[s]
	}
	return "UNKNOWN"
}

// A Machine is one virtual router on one node. The zero value is not usable; call New.
// A Machine is not safe for concurrent use: one goroutine owns it.
type Machine struct {
	cfg        Config
	state      State
	interval   time.Duration // what the master last heard announced, else our own
	master     netip.Addr    // the master last heard, while BACKUP
	gated      bool          // a gate is down
	listening  bool          // MASTER that woke from a pause and has not sent since
	restrained bool          // not MASTER, and leaves any master alone while HoldTimer runs
	patience   patience      // BACKUP that leaves a master of lower priority alone for a while
	rival      rival         // MASTER that hears another owner of its addresses
	member     member        // what its Group knows of it
	out        []Action
}

// New returns a Machine in state Init.
func New(cfg Config) *Machine {
	return &Machine{cfg: cfg, interval: cfg.Interval, member: member{held: cfg.Grouped}, out: make([]Action, 0, 8)}
}

// State reports where the machine is now.
func (m *Machine) State() State { return m.state }

// Master reports the address of the master last heard; it is not valid unless BACKUP.
func (m *Machine) Master() netip.Addr { return m.master }

// Priority reports the priority that the machine would advertise.
func (m *Machine) Priority() uint8 { return m.cfg.Priority }

// DownInterval reports how much silence makes a BACKUP the MASTER now.
func (m *Machine) DownInterval() time.Duration { return m.cfg.downInterval(m.interval) }

// Step advances the machine by one event. The result is valid until the next Step.
func (m *Machine) Step(e Event) []Action {
	m.out = m.out[:0]
	switch e := e.(type) {
	case Reprioritized:
		cfg := m.cfg
		cfg.Priority = e.Priority
		m.reconfigure(cfg)
	case Reconfigured:
		m.reconfigure(e.Config)
	case Gate:
		m.gate(e.Up)
	case Stop:
		m.stop()
	case Resign:
		m.resign(e.Hold)
	case Release:
		m.release()
	case TimerFired:
		m.fired(e)
	default:
		m.stepState(e)
	}
	return m.out
}

// fired acts on a timer: that of a hold runs in every state but MASTER, the others belong to one.
func (m *Machine) fired(e TimerFired) {
	if e.Timer == HoldTimer {
		m.restrained = false
		return
	}
	m.stepState(e)
}

// stepState is for what means something else in each state.
func (m *Machine) stepState(e Event) {
	switch m.state {
	case Init:
		m.stepInit(e)
	case Backup:
		m.stepBackup(e)
	case Master:
		m.stepMaster(e)
	case Fault: // out of the election: nothing but a gate or a stop counts
	}
}

// stepInit follows RFC 9568, section 6.4.1.
func (m *Machine) stepInit(e Event) {
	_, adopt := e.(Adopt)
	_, start := e.(Start)
	switch {
	case !adopt && !start:
	case m.gated:
		m.move(Fault, GateDown)
	case m.member.blocked:
		m.move(Fault, GroupFault)
	case adopt:
		m.toMaster(Adopted)
	default:
		m.join(Started)
	}
}

// join enters the election from Init or Fault.
func (m *Machine) join(why Reason) {
	owner := m.cfg.Priority == OwnerPriority && !m.restrained
	if owner && !m.member.held {
		m.toMaster(Owner)
		return
	}
	m.toBackup(m.cfg.Interval, netip.Addr{}, why)
	m.member.wants = owner
}

// stepBackup follows RFC 9568, section 6.4.2.
func (m *Machine) stepBackup(e Event) {
	switch e := e.(type) {
	case TimerFired:
		switch {
		case e.Timer == PreemptTimer:
			m.patience.expire()
		case m.member.held:
			m.member.wants = true
			m.wait()
		default:
			m.toMaster(Silence)
		}
	case Woke:
		m.wait()
		m.member.wants = false
	case Received:
		m.hearAsBackup(e)
	}
}

func (m *Machine) hearAsBackup(e Received) {
	switch {
	case e.Priority == 0:
		// Only the master can resign; from anybody else it would be a way to hasten an
		// election.
		if !m.master.IsValid() || m.master == e.Source {
			m.do(Action{Do: SetTimer, After: m.cfg.skew(m.interval)})
		}
		return
	case e.Priority >= m.cfg.Priority:
		m.forget()
	case m.restrained: // it is followed, as any other
	case m.cfg.preempts() && !m.tolerates():
		return // the timer runs on: nothing that is discarded puts preemption off
	}
	m.follow(e.Interval, e.Source)
	m.member.wants = false
	m.wait()
}

// stepMaster follows RFC 9568, section 6.4.3.
func (m *Machine) stepMaster(e Event) {
	switch e := e.(type) {
	case TimerFired:
		if e.Timer == Deadline {
			m.listening = false
			m.rival.tick()
			m.advertise()
		}
	case Woke:
		m.listening = true
	case Received:
		m.hearAsMaster(e)
	}
}

func (m *Machine) hearAsMaster(e Received) {
	switch {
	case m.listening && e.Priority > 0:
		m.toBackup(e.Interval, e.Source, Paused)
	case m.listening:
	case e.Priority == 0:
		m.advertise()
	case m.outranks(e):
		m.toBackup(e.Interval, e.Source, Outranked)
	case e.Priority == OwnerPriority && m.rival.insists(e.Interval, m.cfg.Interval):
		m.toBackup(e.Interval, e.Source, Insisted)
	default:
		m.do(Action{Do: Advertise, Priority: m.cfg.Priority})
		m.do(Action{Do: Announce})
	}
}

// outranks reports whether e's sender wins over us as master: addresses are compared as
// unsigned numbers (RFC 9568, section 6.4.3, step 725), whatever zone an IPv6 one is in.
func (m *Machine) outranks(e Received) bool {
	return e.Priority > m.cfg.Priority ||
		e.Priority == m.cfg.Priority && m.cfg.Source.WithZone("").Less(e.Source.WithZone(""))
}

func (m *Machine) stop() {
	switch m.state {
	case Init:
		return
	case Master:
		m.do(Action{Do: Advertise, Priority: 0})
	}
	m.release()
	m.quiet(Init, Stopped)
}

func (m *Machine) gate(up bool) {
	m.gated = !up
	switch {
	case up && m.state == Fault && !m.member.blocked:
		m.join(GateUp)
	case !up:
		m.fault(GateDown)
	}
}

// fault takes the machine out of the election; a MASTER resigns, so that its peers need
// not wait for its silence.
func (m *Machine) fault(why Reason) {
	switch m.state {
	case Master:
		m.do(Action{Do: Advertise, Priority: 0})
		fallthrough
	case Backup:
		m.quiet(Fault, why)
	}
}

// leave makes a MASTER resign and stay in the election. After a pause it does so without
// a word: it may have been replaced long ago.
func (m *Machine) leave(why Reason) {
	if !m.listening || why == Resigned {
		m.do(Action{Do: Advertise, Priority: 0})
	}
	m.toBackup(m.cfg.Interval, netip.Addr{}, why)
}

// quiet ends what timers run and moves to a state that has none.
func (m *Machine) quiet(to State, why Reason) {
	m.forget()
	m.do(Action{Do: ClearTimer})
	m.move(to, why)
}

// reconfigure shifts running timers by the difference, rather than starting them again,
// so that repeated changes cannot put an election off.
func (m *Machine) reconfigure(cfg Config) {
	before, old := m.cfg, m.DownInterval()
	m.cfg = cfg
	if !m.master.IsValid() || cfg.Version == 2 {
		m.interval = cfg.Interval
	}
	switch {
	case m.state == Backup:
		if d := m.DownInterval() - old; d != 0 {
			m.do(Action{Do: ShiftTimer, After: d})
		}
		m.adjust(before.PreemptDelay)
	case m.state == Master && !m.listening && (before.Priority != cfg.Priority || before.Interval != cfg.Interval):
		m.advertise() // peers learn the new values before the old interval ends
	}
	if !cfg.Grouped {
		m.leaveGroup()
	}
}

func (m *Machine) advertise() {
	m.do(Action{Do: Advertise, Priority: m.cfg.Priority})
	m.do(Action{Do: SetTimer, After: m.cfg.Interval})
}

// wait starts the master-down timer anew.
func (m *Machine) wait() { m.do(Action{Do: SetTimer, After: m.DownInterval()}) }

// follow notes the master; version 3 takes over its interval, too (RFC 9568, section
// 6.4.2, step 450). In version 2 all intervals are equal (RFC 3768, section 7.1).
func (m *Machine) follow(interval time.Duration, master netip.Addr) {
	m.master = master
	if m.cfg.Version != 2 {
		m.interval = interval
	}
}

// toMaster sends the advert before anything slower (RFC 9568, section 6.4.2, step 355).
func (m *Machine) toMaster(why Reason) {
	m.do(Action{Do: Advertise, Priority: m.cfg.Priority})
	m.forget()
	m.release()
	m.interval, m.listening, m.rival = m.cfg.Interval, false, rival{}
	m.move(Master, why)
	m.do(Action{Do: SetTimer, After: m.cfg.Interval})
}

func (m *Machine) toBackup(interval time.Duration, master netip.Addr, why Reason) {
	m.interval, m.listening = m.cfg.Interval, false
	m.move(Backup, why)
	m.follow(interval, master)
	m.wait()
}

func (m *Machine) move(to State, why Reason) {
	m.do(Action{Do: Move, From: m.state, To: to, Why: why})
	m.state, m.master, m.member.wants = to, netip.Addr{}, false
}

func (m *Machine) do(a Action) { m.out = append(m.out, a) }
