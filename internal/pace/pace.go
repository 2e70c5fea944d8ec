// Package pace is the rhythm in which a host looks at its source: regular while all is well,
// slower while it is not, and never that of all other hosts.
package pace

import (
	"hash/fnv"
	"math"
	"time"
)

// BackOffMax is the longest time between two looks at a source that does not answer: that is
// how late a host is after an outage at the most, and what a fleet does to a server in trouble.
const BackOffMax = 15 * time.Minute

// eager is what is doubled after a failure while nothing has succeeded: after a boot the network
// may come some seconds late, and a new host has nothing yet to go on with.
const eager = 2 * time.Second

// A Pace is the rhythm of one host's looks.
type Pace struct {
	Interval time.Duration
	// JitterPercent is the share of Interval by which looks wander.
	JitterPercent int
	// Node is the host's name, by which hosts with one Interval are spread over it.
	Node string

	begun    bool // there was a look that succeeded
	failures int  // in a row
}

// Next returns how long to wait after a look, with chance from 0 to 1. A look that was asked
// for says that somebody is waiting, so its failure does not put the next one off further.
func (p *Pace) Next(ok, asked bool, chance float64) time.Duration {
	switch {
	case !ok && (!asked || p.failures == 0):
		p.failures++
	case ok:
		p.failures = 0
	}
	if ok && !p.begun {
		p.begun = true
		return slot(p.Node, p.Interval)
	}
	base := p.Interval
	if !p.begun {
		base = min(base, eager)
	}
	return delay(base, p.JitterPercent, p.failures, chance)
}

// delay returns the interval, doubled for every failure and never above BackOffMax then, less
// or more by a share of it that chance picks.
func delay(interval time.Duration, jitterPercent, failures int, chance float64) time.Duration {
	wait := interval
	for range failures {
		if wait = min(2*wait, BackOffMax); wait == BackOffMax {
			break
		}
	}
	wait += time.Duration(float64(wait) * float64(jitterPercent) / 100 * (2*chance - 1))
	if failures > 0 {
		wait = min(wait, BackOffMax)
	}
	return wait
}

// slot returns the place of a node in the interval. Nodes that start at once, as after a power
// cut, all look at once for what they missed, and from then on not at the same time.
func slot(node string, interval time.Duration) time.Duration {
	h := fnv.New64a()
	_, _ = h.Write([]byte(node)) // a hash takes everything
	// The low bits of FNV differ for names that differ in their last digit, the high ones hardly.
	share := float64(h.Sum64()*0x9e3779b97f4a7c15>>11) / (1 << 53)
	return time.Duration(math.Ceil(share * float64(interval)))
}
