package vrrp

import (
	"net/netip"
	"time"
)

// OwnerPriority is the priority of the router that owns the addresses.
const OwnerPriority = 255

// A Config is what the operator chose for one virtual router.
type Config struct {
	Version  uint8 // 2 (RFC 3768) or 3 (RFC 9568); 0 is 3
	Priority uint8
	Interval time.Duration
	Preempt  bool
	// PreemptDelay is how long a MASTER of lower priority is left alone, from the first
	// advert of one that is heard. It puts no failover off.
	PreemptDelay time.Duration
	// Grouped leaves it to a Group when the router becomes MASTER.
	Grouped bool
	Source  netip.Addr // our own address, which breaks ties
}

// Skew is the time by which a version 3 router of that priority waits longer (RFC 9568,
// section 6.1).
func Skew(interval time.Duration, priority uint8) time.Duration {
	return interval * time.Duration(256-int(priority)) / 256
}

// DownInterval is the silence after which a version 3 router of that priority takes over
// (RFC 9568, section 6.1).
func DownInterval(interval time.Duration, priority uint8) time.Duration {
	return 3*interval + Skew(interval, priority)
}

// DownInterval is the silence of a master with our own interval after which a router so
// configured takes over.
func (c Config) DownInterval() time.Duration { return c.downInterval(c.Interval) }

func (c Config) downInterval(interval time.Duration) time.Duration {
	return 3*interval + c.skew(interval)
}

// skew is a part of a second in version 2, whatever the interval (RFC 3768, section 6.1).
func (c Config) skew(interval time.Duration) time.Duration {
	if c.Version == 2 {
		interval = time.Second
	}
	return Skew(interval, c.Priority)
}

// preempts reports whether a master of lower priority is replaced; the owner of the
// addresses always does that (RFC 9568, section 6.1, Preempt_Mode).
func (c Config) preempts() bool { return c.Preempt || c.Priority == OwnerPriority }

// delays reports whether it is replaced only after a while.
func (c Config) delays() bool {
	return c.Preempt && c.PreemptDelay > 0 && c.Priority != OwnerPriority
}
