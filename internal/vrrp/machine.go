// Package vrrp is the VRRPv3 state machine and packet codec of RFC 9568 with no I/O in
// it: an event goes in, the actions that it calls for come out.
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

// OwnerPriority is the priority of the router that owns the addresses.
const OwnerPriority = 255

// A Config is what the operator chose for one virtual router.
type Config struct {
	Priority uint8
	Interval time.Duration
	Preempt  bool
	Source   netip.Addr // our own address, which breaks ties
}

// A Machine is one virtual router on one node. The zero value is not usable; call New.
// A Machine is not safe for concurrent use: one goroutine owns it.
type Machine struct {
	cfg       Config
	state     State
	interval  time.Duration // what the master last heard announced, else our own
	master    netip.Addr    // the master last heard, while BACKUP
	gated     bool          // a gate is down
	listening bool          // MASTER that woke from a pause and has not sent since
	out       []Action
}

// New returns a Machine in state Init.
func New(cfg Config) *Machine {
	return &Machine{cfg: cfg, interval: cfg.Interval, out: make([]Action, 0, 4)}
}

// State reports where the machine is now.
func (m *Machine) State() State { return m.state }

// Master reports the address of the master last heard; it is not valid unless BACKUP.
func (m *Machine) Master() netip.Addr { return m.master }

// Priority reports the priority that the machine would advertise.
func (m *Machine) Priority() uint8 { return m.cfg.Priority }

// DownInterval reports how much silence makes a BACKUP the MASTER now.
func (m *Machine) DownInterval() time.Duration { return DownInterval(m.interval, m.cfg.Priority) }

// Skew is the time by which a router of that priority waits longer (RFC 9568, section 6.1).
func Skew(interval time.Duration, priority uint8) time.Duration {
	return interval * time.Duration(256-int(priority)) / 256
}

// DownInterval is the silence after which a router of that priority takes over
// (RFC 9568, section 6.1).
func DownInterval(interval time.Duration, priority uint8) time.Duration {
	return 3*interval + Skew(interval, priority)
}

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
	default:
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
	return m.out
}

// stepInit follows RFC 9568, section 6.4.1.
func (m *Machine) stepInit(e Event) {
	_, adopt := e.(Adopt)
	_, start := e.(Start)
	switch {
	case !adopt && !start:
	case m.gated:
		m.move(Fault, GateDown)
	case adopt:
		m.toMaster(Adopted)
	default:
		m.join(Started)
	}
}

// join enters the election from Init or Fault.
func (m *Machine) join(why Reason) {
	if m.cfg.Priority == OwnerPriority {
		m.toMaster(Owner)
		return
	}
	m.toBackup(m.cfg.Interval, netip.Addr{}, why)
}

// stepBackup follows RFC 9568, section 6.4.2.
func (m *Machine) stepBackup(e Event) {
	switch e := e.(type) {
	case TimerFired:
		m.toMaster(Silence)
	case Woke:
		m.do(Action{Do: SetTimer, After: m.DownInterval()})
	case Received:
		switch {
		case e.Priority == 0:
			// Only the master can resign; from anybody else it would be a way to
			// hasten an election.
			if !m.master.IsValid() || m.master == e.Source {
				m.do(Action{Do: SetTimer, After: Skew(m.interval, m.cfg.Priority)})
			}
		case !m.cfg.Preempt || e.Priority >= m.cfg.Priority:
			m.interval, m.master = e.Interval, e.Source
			m.do(Action{Do: SetTimer, After: m.DownInterval()})
		}
	}
}

// stepMaster follows RFC 9568, section 6.4.3.
func (m *Machine) stepMaster(e Event) {
	switch e := e.(type) {
	case TimerFired:
		m.listening = false
		m.advertise()
	case Woke:
		m.listening = true
	case Resign:
		m.do(Action{Do: Advertise, Priority: 0})
		m.toBackup(m.cfg.Interval, netip.Addr{}, Resigned)
	case Received:
		switch {
		case m.listening && e.Priority > 0:
			m.toBackup(e.Interval, e.Source, Paused)
		case m.listening:
		case e.Priority == 0:
			m.advertise()
		case m.outranks(e):
			m.toBackup(e.Interval, e.Source, Outranked)
		default:
			m.do(Action{Do: Advertise, Priority: m.cfg.Priority})
			m.do(Action{Do: Announce})
		}
	}
}

// outranks reports whether e's sender wins over us as master: addresses are compared as
// unsigned numbers (RFC 9568, section 6.4.3, step 725).
func (m *Machine) outranks(e Received) bool {
	return e.Priority > m.cfg.Priority ||
		e.Priority == m.cfg.Priority && m.cfg.Source.Less(e.Source)
}

func (m *Machine) stop() {
	switch m.state {
	case Init:
		return
	case Master:
		m.do(Action{Do: Advertise, Priority: 0})
	}
	m.do(Action{Do: ClearTimer})
	m.move(Init, Stopped)
}

func (m *Machine) gate(up bool) {
	m.gated = !up
	switch {
	case up && m.state == Fault:
		m.join(GateUp)
	case !up && m.state == Master:
		m.do(Action{Do: Advertise, Priority: 0})
		fallthrough
	case !up && m.state == Backup:
		m.do(Action{Do: ClearTimer})
		m.move(Fault, GateDown)
	}
}

// reconfigure shifts a running master-down timer by the difference, rather than starting
// it again, so that repeated changes cannot put an election off.
func (m *Machine) reconfigure(cfg Config) {
	before, old := m.cfg, m.DownInterval()
	m.cfg = cfg
	if !m.master.IsValid() {
		m.interval = cfg.Interval
	}
	switch {
	case m.state == Backup && m.DownInterval() != old:
		m.do(Action{Do: ShiftTimer, After: m.DownInterval() - old})
	case m.state == Master && (before.Priority != cfg.Priority || before.Interval != cfg.Interval):
		m.advertise() // peers learn the new values before the old interval ends
	}
}

func (m *Machine) advertise() {
	m.do(Action{Do: Advertise, Priority: m.cfg.Priority})
	m.do(Action{Do: SetTimer, After: m.cfg.Interval})
}

// toMaster sends the advert before anything slower (RFC 9568, section 6.4.2, step 355).
func (m *Machine) toMaster(why Reason) {
	m.do(Action{Do: Advertise, Priority: m.cfg.Priority})
	m.interval, m.master, m.listening = m.cfg.Interval, netip.Addr{}, false
	m.move(Master, why)
	m.do(Action{Do: SetTimer, After: m.cfg.Interval})
}

func (m *Machine) toBackup(interval time.Duration, master netip.Addr, why Reason) {
	m.interval, m.listening = interval, false
	m.move(Backup, why)
	m.master = master
	m.do(Action{Do: SetTimer, After: m.DownInterval()})
}

func (m *Machine) move(to State, why Reason) {
	m.do(Action{Do: Move, From: m.state, To: to, Why: why})
	m.state, m.master = to, netip.Addr{}
}

func (m *Machine) do(a Action) { m.out = append(m.out, a) }
