package vrrp

import "time"

// resign gives mastership away, and for as long as hold takes no master's place but that of
// one who falls silent: availability goes before the wish to stay away.
func (m *Machine) resign(hold time.Duration) {
	if m.state == Master {
		m.leave(Resigned)
	}
	m.restrain(hold)
}

// restrain starts a hold, or starts one that runs anew. None at all leaves it as it is.
func (m *Machine) restrain(hold time.Duration) {
	if hold <= 0 {
		return
	}
	m.forget()
	m.restrained = true
	m.do(Action{Do: SetTimer, Timer: HoldTimer, After: hold})
}

// release ends a hold: from now on a master of lower priority is replaced as configured.
func (m *Machine) release() {
	if m.restrained {
		m.restrained = false
		m.do(Action{Do: ClearTimer, Timer: HoldTimer})
	}
}
