package vrrp

import "time"

// A patience is where a BACKUP stands with a master of lower priority that it could
// replace, if it has a PreemptDelay.
type patience uint8

const (
	unprovoked patience = iota // none was heard
	waiting                    // one was, and PreemptTimer runs: it is followed
	lost                       // the wait is over: its adverts are discarded
)

// expire notes that PreemptTimer ran out.
func (p *patience) expire() {
	if *p == waiting {
		*p = lost
	}
}

// tolerates reports whether the advert of a master of lower priority counts, as that of
// any master does. The first one starts the delay.
func (m *Machine) tolerates() bool {
	if !m.cfg.delays() {
		return false
	}
	if m.patience == unprovoked {
		m.patience = waiting
		m.do(Action{Do: SetTimer, Timer: PreemptTimer, After: m.cfg.PreemptDelay})
	}
	return m.patience == waiting
}

// forget ends the delay: a master that is at least ours was heard, or we left BACKUP.
func (m *Machine) forget() {
	if m.patience == waiting {
		m.do(Action{Do: ClearTimer, Timer: PreemptTimer})
	}
	m.patience = unprovoked
}

// adjust makes a running delay be what is configured now; before is what it was.
func (m *Machine) adjust(before time.Duration) {
	switch {
	case !m.cfg.delays():
		m.forget()
	case m.patience == waiting && m.cfg.PreemptDelay != before:
		m.do(Action{Do: ShiftTimer, Timer: PreemptTimer, After: m.cfg.PreemptDelay - before})
	}
}
