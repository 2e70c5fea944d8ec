package check

import "time"

// What a slot of a Grid is wide.
const (
	slotWidth   = 10 * time.Millisecond
	fewestSlots = 100  // of an interval, however short it is
	mostSlots   = 1000 // and however long
)

// A Grid lays the beats of one interval into slots, and those of a slot start together: one
// wake-up then starts several checks and takes their answers. A slot is 10 ms wide, but at
// most a hundredth and at least a thousandth of the interval. No slot gets more than its even
// share of beats, and each beat stays where it is until it is given back.
type Grid struct {
	interval, slot time.Duration
	taken          []int // beats by slot
	n              int
}

// NewGrid returns a Grid without beats.
func NewGrid(interval time.Duration) *Grid {
	interval = max(interval, MinInterval)
	slot := min(max(slotWidth, interval/mostSlots), interval/fewestSlots)
	return &Grid{interval: interval, slot: slot, taken: make([]int, interval/slot)}
}

// Len returns how many beats there are.
func (g *Grid) Len() int { return g.n }

// Take returns the beat of key. Its slot follows from key alone, or is the next one that has
// less than its share, so that the same keys in the same order have the same beats on every
// start.
func (g *Grid) Take(key string) Schedule {
	s := NewSchedule(key, g.interval)
	slots := len(g.taken)
	share := g.n/slots + 1 // of one more beat, rounded up
	i := int(mix(s.seed) % uint64(slots))
	for g.taken[i] >= share {
		i = (i + 1) % slots
	}
	g.taken[i]++
	g.n++
	s.phase = time.Duration(i)*g.slot + order(s.seed)
	return s
}

// orders is how far the beats of a slot are apart at most.
const orders = 10 * time.Microsecond // MinInterval / fewestSlots

// order lets a slot's beats be due in the same order always: each starts as long after the
// others as it did an interval ago. They are too near each other for a wake-up each.
func order(seed uint64) time.Duration { return time.Duration(mix(^seed) % uint64(orders)) }

// Give takes back a beat that came from Take.
func (g *Grid) Give(s Schedule) {
	g.taken[s.phase/g.slot]--
	g.n--
}
