package bfdd

import (
	"net/netip"
	"time"

	"github.com/hareconcile/hareconcile/internal/bfd"
	"github.com/hareconcile/hareconcile/reconcile/resource"
)

const (
	defaultInterval = 100 * time.Millisecond
	defaultFall     = 3
	shortest        = 10 * time.Millisecond
)

// A peer is one session's other end.
type peer struct {
	key     resource.TrackerKey
	path    path
	cfg     bfd.Config
	discr   uint32
	session *bfd.Session
	way     way           // nil if there is none
	wayErr  error         // why
	retryAt time.Duration // when that is tried again
	verdict verdict
	told    Result
	saved   Saved
}

// lasting is what a successor needs to go on; nothing of a session that is not up.
func (p *peer) lasting() Saved {
	if p.session.State() != bfd.Up {
		return Saved{}
	}
	said, _ := p.session.Peer()
	said.Poll, said.Final = false, false
	return Saved{p.key, p.discr, said}
}

// pathOf returns where a tracker's peer is looked for; false if its target is no host.
func pathOf(c resource.VRRPTracker) (path, bool) {
	a, err := netip.ParseAddr(c.Target)
	if err != nil || a.IsMulticast() || a.IsUnspecified() {
		return path{}, false
	}
	p := path{target: a.WithZone("").Unmap(), source: c.Source.WithZone("").Unmap(), device: c.Device}
	if p.device == "" {
		p.device = a.Zone()
	}
	return p, !p.source.IsValid() || p.source.Is6() == p.target.Is6()
}

// configOf returns a tracker's session: both directions have one interval.
func configOf(c resource.VRRPTracker) bfd.Config {
	every, fall := time.Duration(c.Interval), c.Fall
	if every <= 0 {
		every = defaultInterval
	}
	if fall <= 0 {
		fall = defaultFall
	}
	every = max(every, shortest)
	return bfd.Config{DesiredMinTx: every, RequiredMinRx: every, Multiplier: uint8(min(fall, 255))}
}

// deadline is when something is due.
func (p *peer) deadline() time.Duration { return min(p.session.Deadline(), p.verdict.due) }

// admits reports whether a packet that came from the peer's address belongs to the session
// (RFC 5880, section 6.8.6; RFC 5881, sections 3 and 5).
func (p *peer) admits(d *datagram, packet *bfd.Packet) bool {
	if p.path.device != "" && (p.way == nil || p.way.device() != d.device) {
		return false
	}
	return packet.Your == 0 || packet.Your == p.discr
}

// shut closes the way to the peer.
func (p *peer) shut() {
	if p.way != nil {
		p.way.close()
		p.way = nil
	}
}

// detection is about how much silence the session bears.
func (p *peer) detection() time.Duration {
	return time.Duration(p.cfg.Multiplier) * p.cfg.RequiredMinRx
}
