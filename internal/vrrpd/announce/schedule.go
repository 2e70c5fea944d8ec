package announce

import (
	"errors"
	"math"
	"syscall"
	"time"
)

const (
	never = time.Duration(math.MaxInt64)
	// againPause is the least time between two bursts of one owner that others cause.
	againPause = time.Second
	// maxFrames bounds one call of Due, so that adverts are never late for announcements.
	maxFrames = 256
)

// A Schedule holds what is to be announced, and when. It is not safe for concurrent use.
// Times are since some fixed instant and do not go back.
type Schedule struct {
	owners map[string]*owner
	lanes  map[int]*lane
	alarms queue[*alarm]
	ready  queue[*lane]
	turn   uint64
	now    time.Duration
	frame  []byte
}

// An owner is a virtual router that holds its addresses.
type owner struct {
	policy Policy
	runs   []*run
	alarm  alarm
	burst  time.Duration // when the last one began
	next   time.Duration // when the next one of the policy is due
	again  time.Duration // when the one that was asked for is due
	second bool          // the next one is the second burst
}

// New returns a Schedule of nothing.
func New() *Schedule {
	return &Schedule{owners: map[string]*owner{}, lanes: map[int]*lane{}, frame: make([]byte, 0, 128)}
}

// Start announces an owner's addresses from now on, in place of those that it had: a
// burst now, a second one and then refreshes as the policy has them.
func (s *Schedule) Start(name string, targets []Target, p Policy, now time.Duration) {
	s.now = now
	old := s.owners[name]
	p = p.complete()
	o := &owner{policy: p, next: never, again: never}
	o.alarm.owner = o
	for _, t := range targets {
		if t.Silent || t.Index == 0 || !t.Address.IsValid() {
			continue
		}
		r := s.runOf(o, t.Index)
		r.targets = append(r.targets, t)
	}
	if old != nil {
		s.drop(old) // after the new runs, so that a lane's pace outlives the change
	}
	s.owners[name] = o
	s.burst(o, p.Repeat)
	switch {
	case p.Delay > 0:
		o.next, o.second = now+p.Delay, true
	case p.Refresh > 0:
		o.next = now + p.Refresh
	}
	s.arm(o)
}

// Again announces an owner's addresses once more: now, or as soon as a second has passed
// since its last burst began.
func (s *Schedule) Again(name string, now time.Duration) {
	s.now = now
	o := s.owners[name]
	if o == nil || o.again != never {
		return
	}
	o.again = max(now, o.burst+againPause)
	s.arm(o)
}

// Drop forgets an owner, with what it had yet to send.
func (s *Schedule) Drop(name string) {
	if o := s.owners[name]; o != nil {
		s.drop(o)
		delete(s.owners, name)
	}
}

// Next returns when Due has something to do: 0 is at once, math.MaxInt64 never.
func (s *Schedule) Next() time.Duration {
	switch {
	case !s.ready.empty():
		return 0
	case !s.alarms.empty():
		return s.alarms.first().at
	}
	return never
}

// Due sends what is due, round by round, though not without end: Next says whether there
// is more. An interface that takes no more frames (ENOBUFS) is tried again later; with
// any other error the frame is gone. send must not use the Schedule, nor keep the frame.
func (s *Schedule) Due(now time.Duration, send func(index int, frame []byte) error) {
	s.now = now
	for !s.alarms.empty() && s.alarms.first().at <= now {
		a := s.alarms.first()
		s.alarms.remove(a)
		if a.lane != nil {
			s.arrange(a.lane)
			continue
		}
		s.fire(a.owner)
	}
	for left := maxFrames; left > 0 && !s.ready.empty(); {
		left -= s.round(s.ready.first(), left, send)
	}
}

// round lets the first run of a lane send up to the end of its round, and returns how
// many frames it tried.
func (s *Schedule) round(l *lane, most int, send func(int, []byte) error) (tried int) {
	r := l.queue.first()
	for tried < most {
		t := &r.targets[r.next]
		s.frame = AppendFrame(s.frame[:0], *t)
		err := send(t.Index, s.frame)
		tried++
		if errors.Is(err, syscall.ENOBUFS) || errors.Is(err, syscall.EAGAIN) {
			l.full(s.now)
			s.arrange(l)
			return tried
		}
		waits := l.sent(r, s.now)
		if r.next++; r.next == len(r.targets) {
			s.endRound(r)
			return tried
		}
		if waits {
			s.arrange(l)
			return tried
		}
	}
	return tried
}

// endRound puts a run behind those that have not come as far.
func (s *Schedule) endRound(r *run) {
	r.lane.queue.remove(r)
	r.next = 0
	r.round++
	if r.round < r.rounds {
		s.enqueue(r)
	}
	s.arrange(r.lane)
}

func (s *Schedule) enqueue(r *run) {
	s.turn++
	r.turn = s.turn
	r.lane.queue.add(r)
}

// arrange puts a lane where it belongs, after a change of its queue or its times.
func (s *Schedule) arrange(l *lane) {
	s.ready.remove(l)
	s.alarms.remove(&l.alarm)
	if l.queue.empty() {
		return
	}
	if at := l.when(); at > s.now {
		l.alarm.at = at
		s.alarms.add(&l.alarm)
		return
	}
	s.turn++
	l.round, l.turn = l.queue.first().round, s.turn
	s.ready.add(l)
}

// runOf returns the owner's run on an interface.
func (s *Schedule) runOf(o *owner, index int) *run {
	for _, r := range o.runs {
		if r.lane.index == index {
			return r
		}
	}
	l := s.lanes[index]
	if l == nil {
		l = &lane{index: index, last: longAgo, free: longAgo}
		l.alarm.lane = l
		s.lanes[index] = l
	}
	l.runs++
	r := &run{lane: l, interval: o.policy.Interval}
	o.runs = append(o.runs, r)
	return r
}

// burst makes an owner send that many whole rounds from now. What is left of a burst
// before counts among them.
func (s *Schedule) burst(o *owner, rounds int) {
	o.burst = s.now
	for _, r := range o.runs {
		if r.seat != 0 {
			r.rounds = max(r.rounds, r.round+rounds+min(r.next, 1))
			continue
		}
		r.round, r.rounds, r.next = 0, rounds, 0
		s.enqueue(r)
		if r.lane.queue.first() == r {
			s.arrange(r.lane)
		}
	}
}

// fire begins the bursts of an owner that are due.
func (s *Schedule) fire(o *owner) {
	rounds := 0
	if o.again <= s.now {
		o.again, rounds = never, o.policy.Repeat
	}
	if o.next <= s.now {
		rounds = max(rounds, 1)
		if o.second {
			o.second, rounds = false, o.policy.Repeat
		}
		o.next = never
		if o.policy.Refresh > 0 {
			o.next = s.now + o.policy.Refresh
		}
	}
	s.burst(o, rounds)
	s.arm(o)
}

// arm sets an owner's alarm.
func (s *Schedule) arm(o *owner) {
	s.alarms.remove(&o.alarm)
	if o.alarm.at = min(o.next, o.again); o.alarm.at != never && len(o.runs) > 0 {
		s.alarms.add(&o.alarm)
	}
}

func (s *Schedule) drop(o *owner) {
	s.alarms.remove(&o.alarm)
	for _, r := range o.runs {
		l := r.lane
		l.queue.remove(r)
		s.arrange(l)
		if l.runs--; l.runs == 0 {
			delete(s.lanes, l.index)
		}
	}
}
