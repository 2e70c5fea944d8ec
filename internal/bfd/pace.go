package bfd

import "time"

// announce sets what we tell the peer of our rhythm, and polls it if that changed while it
// is there to answer. While Up, what could make the peer or us miss packets waits for the
// answer (RFC 5880, section 6.8.3).
func (s *Session) announce() {
	desired := s.cfg.DesiredMinTx
	if s.state != Up {
		desired = max(desired, SlowTx)
	}
	changed := desired != s.desired || s.cfg.RequiredMinRx != s.required
	s.desired, s.required = desired, s.cfg.RequiredMinRx
	if s.state != Up {
		s.settle()
	} else {
		s.sending = min(s.sending, s.desired)
		s.awaiting = max(s.awaiting, s.required)
	}
	if changed && s.remote != 0 && s.state != AdminDown {
		s.repoll = s.polling
		s.polling = true
	}
}

// settle ends a poll sequence: what we announced counts.
func (s *Session) settle() {
	s.polling, s.repoll = false, false
	s.sending, s.awaiting = s.desired, s.required
}

// pace works out when the next periodic packet is due (RFC 5880, section 6.8.7).
func (s *Session) pace(now time.Duration) {
	wait := max(s.sending, s.peer.RequiredMinRx)
	if s.silent() {
		wait = never
	}
	if wait == s.wait {
		return
	}
	s.wait = wait
	s.transmitAt = never
	if wait != never {
		s.transmitAt = max(now, s.sentAt+s.jitter(wait))
	}
}

// silent reports whether no periodic packets are wanted: the session has not begun, or the
// peer can take none, or it is in demand mode (RFC 5880, section 6.6) with nothing to be
// asked.
func (s *Session) silent() bool {
	if !s.begun || !s.heard {
		return !s.begun
	}
	demand := s.peer.Demand && s.peer.State == Up && s.state == Up
	return s.peer.RequiredMinRx == 0 || demand && !s.polling
}

// jitter takes up to a quarter off, so that sessions do not fall into step; with a
// multiplier of 1 at least a tenth, so that the peer does not miss the only packet
// (RFC 5880, section 6.8.7).
func (s *Session) jitter(d time.Duration) time.Duration {
	if d == never {
		return never
	}
	low, span := d*3/4, d/4
	if s.cfg.Multiplier == 1 {
		span = d * 15 / 100
	}
	return low + time.Duration(uint64(span/time.Microsecond)*uint64(s.random())>>32)*time.Microsecond
}
