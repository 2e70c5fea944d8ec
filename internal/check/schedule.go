package check

import (
	"hash/fnv"
	"time"
)

// A Schedule is a beat of fixed interval and phase. Beats do not depend on how long a check
// takes or on when it was added, so many checks stay spread out, also after a pause.
type Schedule struct {
	interval, phase time.Duration
}

// MinInterval is the shortest interval of a Schedule.
const MinInterval = time.Millisecond

// NewSchedule returns the beat of key. The phase follows from key alone: it is the same on
// every start, and different keys are spread over the interval.
func NewSchedule(key string, interval time.Duration) Schedule {
	interval = max(interval, MinInterval)
	h := fnv.New64a()
	h.Write([]byte(key))
	return Schedule{interval: interval, phase: time.Duration(mix(h.Sum64()) % uint64(interval))}
}

// Next returns the first beat after now, both counted from one fixed moment. Beats that
// were missed are not made up for.
func (s Schedule) Next(now time.Duration) time.Duration {
	if now < s.phase {
		return s.phase
	}
	return s.phase + ((now-s.phase)/s.interval+1)*s.interval
}

// mix spreads FNV's sums, whose high bits hardly change between short keys that differ at
// the end (finalizer of SplitMix64, Steele et al. 2014).
func mix(x uint64) uint64 {
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}
