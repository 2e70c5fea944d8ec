package vrrpd

import "time"

// A simEvent happens at a time. At one instant starts and faults come first, then packets,
// then processes, so that a process reads all that arrived.
type simEvent struct {
	at    time.Duration
	class simClass
	node  int
	tie   uint64
	turn  uint64
	in    simInput
}

type simClass uint8

const (
	simStarts simClass = iota
	simFaults
	simDelivers
	simResumes
	simWakes
)

func (e *simEvent) before(o *simEvent) bool {
	switch {
	case e.at != o.at:
		return e.at < o.at
	case e.class != o.class:
		return e.class < o.class
	case e.node != o.node:
		return e.node < o.node
	}
	return e.tie < o.tie
}

// A simHeap has the first event at its top.
type simHeap []simEvent

func (w *simWorld) push(e simEvent) {
	w.events = append(w.events, e)
	s := w.events
	for i := len(s) - 1; i > 0 && s[i].before(&s[(i-1)/2]); i = (i - 1) / 2 {
		s[i], s[(i-1)/2] = s[(i-1)/2], s[i]
	}
}

func (s *simHeap) pop() simEvent {
	old := *s
	top, n := old[0], len(old)-1
	old[0] = old[n]
	old[n] = simEvent{}
	*s = old[:n]
	for i := 0; 2*i+1 < n; {
		c := 2*i + 1
		if c+1 < n && old[c+1].before(&old[c]) {
			c++
		}
		if !old[c].before(&old[i]) {
			break
		}
		old[i], old[c] = old[c], old[i]
		i = c
	}
	return top
}
