package vrrpd

import "time"

// A queue holds routers by the time at which they need attention, the next one first: a
// binary heap in which every router knows its place.
type queue []*router

// due is when r needs attention.
func (r *router) due() time.Duration {
	at := r.startAt
	for _, t := range r.timers {
		at = min(at, t)
	}
	return at
}

// next is when the first router needs attention.
func (q queue) next() time.Duration {
	if len(q) == 0 {
		return never
	}
	return q[0].dueAt
}

// fill replaces the routers of the queue.
func (q *queue) fill(routers []*router) {
	*q = (*q)[:0]
	for _, r := range routers {
		r.dueAt, r.place = r.due(), len(*q)
		*q = append(*q, r)
		q.up(r.place)
	}
}

// fix puts r where it belongs after its timers changed. A router that is not in the queue
// stays outside.
func (q queue) fix(r *router) {
	if r.place >= len(q) || q[r.place] != r {
		return
	}
	before := r.dueAt
	if r.dueAt = r.due(); r.dueAt < before {
		q.up(r.place)
	} else if r.dueAt > before {
		q.down(r.place)
	}
}

func (q queue) up(i int) {
	for i > 0 {
		parent := (i - 1) / 2
		if q[parent].dueAt <= q[i].dueAt {
			return
		}
		q.swap(i, parent)
		i = parent
	}
}

func (q queue) down(i int) {
	for {
		least := i
		for _, child := range [2]int{2*i + 1, 2*i + 2} {
			if child < len(q) && q[child].dueAt < q[least].dueAt {
				least = child
			}
		}
		if least == i {
			return
		}
		q.swap(i, least)
		i = least
	}
}

func (q queue) swap(i, j int) {
	q[i], q[j] = q[j], q[i]
	q[i].place, q[j].place = i, j
}
