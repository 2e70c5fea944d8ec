package announce

import "time"

const (
	// longAgo is before everything.
	longAgo = time.Duration(-1 << 62)
	// minBackoff and maxBackoff bound the wait for an interface that takes no more frames.
	minBackoff = 10 * time.Millisecond
	maxBackoff = time.Second
)

// An alarm is when an owner's next burst is due or a lane may send again.
type alarm struct {
	at    time.Duration
	seat  int // place
	owner *owner
	lane  *lane
}

func (a *alarm) before(b *alarm) bool { return a.at < b.at }
func (a *alarm) place() *int          { return &a.seat }

// A run is what one owner has to send on one interface. Round by round, all its targets
// take their turn.
type run struct {
	lane     *lane
	targets  []Target
	interval time.Duration
	next     int // the target whose turn it is
	round    int // rounds of this burst that are over
	rounds   int // and that there are
	turn     uint64
	seat     int // place
}

// before lets lower rounds go first: every address gets its first frame before any gets
// its second.
func (r *run) before(o *run) bool {
	return r.round < o.round || r.round == o.round && r.turn < o.turn
}
func (r *run) place() *int { return &r.seat }

// A lane is one interface. While it has anything to send it is either among the ready or
// waits for its alarm.
type lane struct {
	index   int
	runs    int // how many there are
	queue   queue[*run]
	alarm   alarm
	last    time.Duration // of the last frame
	free    time.Duration // not before this
	backoff time.Duration
	round   int // of the first run when it became ready
	turn    uint64
	seat    int // place
}

func (l *lane) before(o *lane) bool {
	return l.round < o.round || l.round == o.round && l.turn < o.turn
}
func (l *lane) place() *int { return &l.seat }

// when is the time at which the lane may send its next frame.
func (l *lane) when() time.Duration { return max(l.free, l.last+l.queue.first().interval) }

// full notes that the interface takes no more frames for now.
func (l *lane) full(now time.Duration) {
	l.backoff = min(max(2*l.backoff, minBackoff), maxBackoff)
	l.free = now + l.backoff
}

// sent notes a frame of r, and reports whether the next one has to wait.
func (l *lane) sent(r *run, now time.Duration) bool {
	l.last, l.free, l.backoff = now, now+r.interval, 0
	return r.interval > 0
}
