package watch

import "slices"

// An Outbox holds results that nobody has read yet, the latest of each key, oldest key
// first. It is bounded by the number of targets. Its zero value is empty.
type Outbox struct {
	order  []string
	latest map[string]Result
}

// Put adds r, in the place of an older result of its key.
func (o *Outbox) Put(r Result) {
	if o.latest == nil {
		o.latest = map[string]Result{}
	}
	if _, waiting := o.latest[r.Key]; !waiting {
		o.order = append(o.order, r.Key)
	}
	o.latest[r.Key] = r
}

// Head returns the first result, if there is one.
func (o *Outbox) Head() (r Result, ok bool) {
	if len(o.order) == 0 {
		return Result{}, false
	}
	return o.latest[o.order[0]], true
}

// Sent takes out r, which Head returned, unless a newer result took its place since.
func (o *Outbox) Sent(r Result) {
	if o.latest[r.Key] == r {
		o.Forget(r.Key)
	}
}

// Forget takes out what waits for key.
func (o *Outbox) Forget(key string) {
	if _, waiting := o.latest[key]; !waiting {
		return
	}
	delete(o.latest, key)
	if i := slices.Index(o.order, key); i > 0 {
		o.order = slices.Delete(o.order, i, i+1)
	} else { // as a rule, and in a step however many wait behind it
		o.order[0] = ""
		o.order = o.order[1:]
	}
}
