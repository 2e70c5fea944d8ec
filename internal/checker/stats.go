package checker

import (
	"math/bits"
	"sync/atomic"
	"time"
)

// Stats are what an Engine has done so far, and is doing.
type Stats struct {
	Checks      uint64    // samples made
	Unmeasured  uint64    // of those, that could not measure
	Complaint   Complaint // the last of those
	Late        uint64    // of those, that began more than 100 ms late
	Skipped     uint64    // beats passed over, after this process stood still
	Targets     int
	InFlight    int // connections under way
	Probes      int // other probes under way
	Waiting     int // due, and waiting for a place
	MaxLateness time.Duration
	Lateness    Histogram
}

// A Complaint is what a sample says that could not measure, for want of something on this
// host such as a secret. Its zero value is none.
type Complaint struct {
	Key     string // pool/server
	Message string
	At      time.Time
}

// tardy is how late a beat may be before Stats.Late counts it.
const tardy = 100 * time.Millisecond

// Stats may be called from any goroutine.
func (e *Engine) Stats() Stats {
	c := &e.stats
	s := Stats{
		Checks: c.checks.Load(), Unmeasured: c.unmeasured.Load(), Late: c.late.Load(), Skipped: c.skipped.Load(),
		Targets: int(c.targets.Load()), InFlight: int(c.flying.Load()), Probes: int(c.probes.Load()),
		Waiting: int(c.waiting.Load()), MaxLateness: time.Duration(c.most.Load()),
	}
	if last := c.complaint.Load(); last != nil {
		s.Complaint = *last
	}
	for i := range s.Lateness {
		s.Lateness[i] = c.lateness[i].Load()
	}
	return s
}

// counters are written by the loop alone.
type counters struct {
	checks, unmeasured, late, skipped atomic.Uint64
	targets, flying, probes, waiting  atomic.Int64
	most                              atomic.Int64
	complaint                         atomic.Pointer[Complaint]
	lateness                          [buckets]atomic.Uint64
}

// began counts a sample that began late by d.
func (c *counters) began(d time.Duration) {
	d = max(d, 0)
	c.lateness[bucket(d)].Add(1)
	if d > tardy {
		c.late.Add(1)
	}
	if int64(d) > c.most.Load() {
		c.most.Store(int64(d))
	}
}

// A Histogram counts durations in buckets that grow by the fourth root of two or more: four
// to each power of two microseconds.
type Histogram [buckets]uint64

const buckets = 4 * 26 // up to a minute

func bucket(d time.Duration) int {
	us := uint64(d / time.Microsecond)
	if us < 4 {
		return int(us)
	}
	power := bits.Len64(us) - 1 // at least 2
	return min(4*(power-1)+int(us>>(power-2)&3), buckets-1)
}

// bound is the lowest duration of the bucket after i.
func bound(i int) time.Duration {
	i++
	if i < 4 {
		return time.Duration(i) * time.Microsecond
	}
	power, part := i/4+1, i%4
	return time.Duration(uint64(4+part)<<(power-2)) * time.Microsecond
}

// Count returns how many durations were counted.
func (h *Histogram) Count() (n uint64) {
	for _, c := range h {
		n += c
	}
	return n
}

// Quantile returns a duration that the share q of those counted did not exceed.
func (h *Histogram) Quantile(q float64) time.Duration {
	total := h.Count()
	var sum uint64
	for i, c := range h {
		if sum += c; c > 0 && float64(sum) >= q*float64(total) {
			return bound(i)
		}
	}
	return 0
}

// Sub returns what was counted since before.
func (h Histogram) Sub(before Histogram) Histogram {
	for i := range h {
		h[i] -= before[i]
	}
	return h
}
