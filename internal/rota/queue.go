package rota

// beats is a heap of entries by due time (container/heap).
type beats []*entry

func (b beats) Len() int           { return len(b) }
func (b beats) Less(i, j int) bool { return b[i].due < b[j].due }
func (b beats) Swap(i, j int) {
	b[i], b[j] = b[j], b[i]
	b[i].index, b[j].index = i, j
}

// Push implements heap.Interface.
func (b *beats) Push(x any) {
	e := x.(*entry)
	e.index = len(*b)
	*b = append(*b, e)
}

// Pop implements heap.Interface.
func (b *beats) Pop() any {
	old := *b
	e := old[len(old)-1]
	old[len(old)-1] = nil
	*b = old[:len(old)-1]
	return e
}

// An outbox holds results that nobody has read yet, the latest of each key, oldest key
// first. It is bounded by the number of targets.
type outbox struct {
	order  []string
	latest map[string]Result
}

func (o *outbox) put(r Result) {
	if _, waiting := o.latest[r.Key]; !waiting {
		o.order = append(o.order, r.Key)
	}
	o.latest[r.Key] = r
}

// head returns the first result and c to send it on, or a nil channel if there is none.
func (o *outbox) head(c chan<- Result) (chan<- Result, Result) {
	if len(o.order) == 0 {
		return nil, Result{}
	}
	return c, o.latest[o.order[0]]
}

func (o *outbox) pop() { o.forget(o.order[0]) }

func (o *outbox) forget(key string) {
	if _, waiting := o.latest[key]; !waiting {
		return
	}
	delete(o.latest, key)
	for i, k := range o.order {
		if k == key {
			o.order = append(o.order[:i], o.order[i+1:]...)
			return
		}
	}
}
