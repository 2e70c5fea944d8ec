package due

import (
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// TestQueueKeepsOrder compares the queue with a list that is sorted anew each time.
func TestQueueKeepsOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		marks := make([]Mark[int], 12)
		for i := range marks {
			marks[i].Value = i
		}
		var q Queue[int]
		model := map[int]time.Duration{}
		for range rapid.IntRange(0, 60).Draw(t, "steps") {
			i := rapid.IntRange(0, len(marks)-1).Draw(t, "mark")
			if rapid.Bool().Draw(t, "add") {
				at := time.Duration(rapid.IntRange(0, 9).Draw(t, "at"))
				q.Add(&marks[i], at)
				model[i] = at
			} else {
				q.Remove(&marks[i])
				delete(model, i)
			}
			if _, in := model[i]; in != marks[i].Waiting() {
				t.Fatalf("Waiting() = %v, want %v", marks[i].Waiting(), in)
			}
			compare(t, &q, model)
		}
		var got []time.Duration
		for m := q.First(); m != nil; m = q.First() {
			got = append(got, m.At)
			q.Remove(m)
		}
		if !slices.IsSorted(got) || len(got) != len(model) {
			t.Fatalf("emptied in the order %v, want %d in order", got, len(model))
		}
	})
}

func compare(t *rapid.T, q *Queue[int], model map[int]time.Duration) {
	if q.Len() != len(model) {
		t.Fatalf("Len() = %d, want %d", q.Len(), len(model))
	}
	first := q.First()
	for _, at := range model {
		if first == nil || first.At > at || model[first.Value] != first.At {
			t.Fatalf("First() = %v of %v", first, model)
		}
	}
}

func TestQueueDoesNotAllocate(t *testing.T) {
	marks := make([]Mark[int], 1000)
	var q Queue[int]
	for i := range marks {
		q.Add(&marks[i], time.Duration(i*7919%1000))
	}
	if n := testing.AllocsPerRun(1000, func() { m := q.First(); q.Add(m, m.At+1000) }); n != 0 {
		t.Errorf("moving a mark allocates %v times, want none", n)
	}
}
