package event

import "sync"

// Kept is how many events a Log keeps.
const Kept = 1000

// A Log keeps the last events. Whoever follows it asks for what came after the last one that
// they saw, so nobody who is slow holds up who adds.
type Log struct {
	mu    sync.Mutex
	last  uint64        // the newest event's Seq
	kept  []Event       // oldest first
	added chan struct{} // closed when there is a newer event
}

// NewLog returns an empty log.
func NewLog() *Log { return &Log{added: make(chan struct{})} }

// Add numbers events and adds them. It never blocks.
func (l *Log) Add(events ...Event) {
	if len(events) == 0 {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, e := range events {
		l.last++
		e = e.cleaned()
		e.Seq = l.last
		l.kept = append(l.kept, e)
	}
	if over := len(l.kept) - Kept; over > 0 {
		l.kept = append([]Event(nil), l.kept[over:]...)
	}
	close(l.added)
	l.added = make(chan struct{})
}

// After returns the events with a higher number than seq, how many of those are no longer kept,
// and a channel that is closed when there are more.
func (l *Log) After(seq uint64) (events []Event, missed uint64, more <-chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	seq = min(seq, l.last)
	n := min(l.last-seq, uint64(len(l.kept)))
	events = append(events, l.kept[uint64(len(l.kept))-n:]...)
	return events, l.last - seq - n, l.added
}

// Last returns the number of the newest event.
func (l *Log) Last() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.last
}
