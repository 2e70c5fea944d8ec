// Package due keeps things in the order of the time when something has to happen to them.
package due

import "time"

// A Mark is a thing's place in a Queue. Value is set once; At while the mark is in no Queue.
type Mark[T any] struct {
	Value T
	At    time.Duration
	place int // in the Queue, plus 1; 0 is in none
}

// Waiting reports whether the mark is in a Queue.
func (m *Mark[T]) Waiting() bool { return m.place > 0 }

// A Queue is a binary heap of marks: Add and Remove take time in the logarithm of its length
// and, once it has grown, no memory.
type Queue[T any] struct{ heap []*Mark[T] }

// Len returns how many marks wait.
func (q *Queue[T]) Len() int { return len(q.heap) }

// First returns the mark that is due first, or nil.
func (q *Queue[T]) First() *Mark[T] {
	if len(q.heap) == 0 {
		return nil
	}
	return q.heap[0]
}

// Add lets m wait until at. If it waits already, it is moved.
func (q *Queue[T]) Add(m *Mark[T], at time.Duration) {
	q.Remove(m)
	m.At = at
	q.heap = append(q.heap, m)
	m.place = len(q.heap)
	q.rise(len(q.heap) - 1)
}

// Remove takes m out, if it waits.
func (q *Queue[T]) Remove(m *Mark[T]) {
	if m.place == 0 {
		return
	}
	i, last := m.place-1, len(q.heap)-1
	q.swap(i, last)
	q.heap[last] = nil
	q.heap = q.heap[:last]
	m.place = 0
	if i < last {
		q.sink(i)
		q.rise(i)
	}
}

func (q *Queue[T]) rise(i int) {
	for i > 0 {
		up := (i - 1) / 2
		if q.heap[up].At <= q.heap[i].At {
			return
		}
		q.swap(i, up)
		i = up
	}
}

func (q *Queue[T]) sink(i int) {
	for {
		least := 2*i + 1
		if least >= len(q.heap) {
			return
		}
		if right := least + 1; right < len(q.heap) && q.heap[right].At < q.heap[least].At {
			least = right
		}
		if q.heap[i].At <= q.heap[least].At {
			return
		}
		q.swap(i, least)
		i = least
	}
}

func (q *Queue[T]) swap(i, j int) {
	h := q.heap
	h[i], h[j] = h[j], h[i]
	h[i].place, h[j].place = i+1, j+1
}
