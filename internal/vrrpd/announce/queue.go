package announce

// An entry can be in one queue of its kind.
type entry[T any] interface {
	before(T) bool
	place() *int // where in the queue it is, plus one; 0 is nowhere
}

// A queue is a binary heap whose entries know where they are, so that any can leave it.
type queue[T entry[T]] struct{ items []T }

func (q *queue[T]) empty() bool { return len(q.items) == 0 }

// first is the entry that comes before all others. There must be one.
func (q *queue[T]) first() T { return q.items[0] }

func (q *queue[T]) add(e T) {
	q.items = append(q.items, e)
	q.up(len(q.items) - 1)
}

// remove takes e out, if it is in.
func (q *queue[T]) remove(e T) {
	i := *e.place() - 1
	if i < 0 {
		return
	}
	*e.place() = 0
	last := len(q.items) - 1
	moved := q.items[last]
	var none T
	q.items[last] = none
	q.items = q.items[:last]
	if i == last {
		return
	}
	q.items[i] = moved
	q.up(i)
	q.down(*moved.place() - 1)
}

func (q *queue[T]) up(i int) {
	e := q.items[i]
	for i > 0 {
		above := (i - 1) / 2
		if !e.before(q.items[above]) {
			break
		}
		q.put(i, q.items[above])
		i = above
	}
	q.put(i, e)
}

func (q *queue[T]) down(i int) {
	e := q.items[i]
	for {
		below := 2*i + 1
		if below >= len(q.items) {
			break
		}
		if below+1 < len(q.items) && q.items[below+1].before(q.items[below]) {
			below++
		}
		if !q.items[below].before(e) {
			break
		}
		q.put(i, q.items[below])
		i = below
	}
	q.put(i, e)
}

func (q *queue[T]) put(i int, e T) {
	q.items[i] = e
	*e.place() = i + 1
}
