package check

import (
	"hash/fnv"
	"time"
)

// A Schedule is a beat of fixed interval and phase. Beats do not depend on how long a check
// takes or on when it was added, so many checks stay spread out, also after a pause.
type Schedule struct {
	interval, phase time.Duration
	wander          uint64 // a beat is later by less than this
	seed            uint64
}

// MinInterval is the shortest interval of a Schedule.
const MinInterval = time.Millisecond

// NewSchedule returns the beat of key. The phase follows from key alone: it is the same on
// every start, and different keys are spread over the interval.
func NewSchedule(key string, interval time.Duration) Schedule {
	interval = max(interval, MinInterval)
	h := fnv.New64a()
	h.Write([]byte(key))
	sum := h.Sum64()
	return Schedule{interval: interval, phase: time.Duration(mix(sum) % uint64(interval)), seed: sum}
}

// Wandering returns the schedule with each beat late by up to so many percent of the
// interval. How late a beat is follows from the key and its number alone.
func (s Schedule) Wandering(percent int) Schedule {
	s.wander = uint64(s.interval) / 100 * uint64(min(max(percent, 0), 100))
	return s
}

// Next returns the first beat after now, both counted from one fixed moment. Beats that
// were missed are not made up for.
func (s Schedule) Next(now time.Duration) time.Duration {
	if now < s.phase {
		return s.beat(0)
	}
	number := (now - s.phase) / s.interval
	if at := s.beat(number); at > now { // it wanders by less than an interval
		return at
	}
	return s.beat(number + 1)
}

func (s Schedule) beat(number time.Duration) time.Duration {
	at := s.phase + number*s.interval
	if s.wander > 0 {
		at += time.Duration(mix(s.seed^uint64(number+1)*0x9e3779b97f4a7c15) % s.wander)
	}
	return at
}

// mix spreads FNV's sums, whose high bits hardly change between short keys that differ at
// the end (finalizer of SplitMix64, Steele et al. 2014).
func mix(x uint64) uint64 {
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}
