package checker

// A lane lets entries take places in the order in which they came. Those that ran into their
// timeout last take half of the places at most: servers that hang by the thousand do not keep
// others from being looked at.
type lane struct {
	places  int
	flying  int // places taken
	hanging int // of those, by entries that ran into their timeout before
	ready   fifo
	hung    fifo
}

func (l *lane) push(e *entry) {
	if e.Probe.hung {
		l.hung.push(e)
	} else {
		l.ready.push(e)
	}
}

// next returns the next entry that may start, or nil. Those that nobody wants any more are
// passed over.
func (l *lane) next() *entry {
	for l.flying < l.places {
		var e *entry
		switch {
		case l.ready.n > 0:
			e = l.ready.pop()
		case l.hung.n > 0 && l.hanging < max(1, l.places/2):
			e = l.hung.pop()
		default:
			return nil
		}
		if !e.Gone() {
			return e
		}
	}
	return nil
}

func (l *lane) waiting() int { return l.ready.n + l.hung.n }

// enter takes a place.
func (l *lane) enter(p *plan) {
	l.flying++
	if p.hanging = p.hung; p.hanging {
		l.hanging++
	}
}

// leave gives it back.
func (l *lane) leave(p *plan) {
	l.flying--
	if p.hanging {
		l.hanging--
		p.hanging = false
	}
}

// A fifo is a queue that keeps its memory.
type fifo struct {
	ring    []*entry
	head, n int
}

func (f *fifo) push(e *entry) {
	if f.n == len(f.ring) {
		grown := make([]*entry, max(64, 2*f.n))
		for i := range f.n {
			grown[i] = f.ring[(f.head+i)%len(f.ring)]
		}
		f.ring, f.head = grown, 0
	}
	f.ring[(f.head+f.n)%len(f.ring)] = e
	f.n++
}

func (f *fifo) pop() *entry {
	e := f.ring[f.head]
	f.ring[f.head] = nil
	f.head = (f.head + 1) % len(f.ring)
	f.n--
	return e
}
