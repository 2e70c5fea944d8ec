// Package announce says when which frame tells a segment where virtual addresses are now.
package announce

import (
	"net/netip"
	"time"
)

// A Target is one address to announce on one interface.
type Target struct {
	Index   int // of the interface; 0 is one that does not exist and is never announced on
	MAC     [6]byte
	Address netip.Addr
	Router  bool // the host forwards IPv6 (the R flag of an advertisement)
	Silent  bool // the link has no ARP or ND: nothing is sent
}

// A Policy says how often addresses are announced.
type Policy struct {
	Repeat   int           // rounds of a burst; 0 is 5
	Delay    time.Duration // from the first burst to the second; 0 is 5s, negative is none
	Refresh  time.Duration // between repetitions after that, at least 1s; 0 is none
	Interval time.Duration // the least time between two frames on an interface; 0 is none
}

// keepalived's defaults (garp_master_repeat, garp_master_delay), and bounds: its own unit of a
// refresh is a second, and a shorter one would keep the loop busy.
const (
	defaultRepeat = 5
	defaultDelay  = 5 * time.Second
	maxRepeat     = 255
	minRefresh    = time.Second
)

// complete fills the defaults in.
func (p Policy) complete() Policy {
	if p.Repeat <= 0 {
		p.Repeat = defaultRepeat
	}
	p.Repeat = min(p.Repeat, maxRepeat)
	if p.Delay == 0 {
		p.Delay = defaultDelay
	}
	if p.Refresh > 0 {
		p.Refresh = max(p.Refresh, minRefresh)
	}
	p.Interval = max(p.Interval, 0)
	return p
}
