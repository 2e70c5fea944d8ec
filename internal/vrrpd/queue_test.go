package vrrpd

import (
	"testing"
	"time"

	"pgregory.net/rapid"
)

// TestQueueKnowsTheNext compares the heap with a look at every router.
func TestQueueKnowsTheNext(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var routers []*router
		for range rapid.IntRange(0, 20).Draw(t, "routers") {
			routers = append(routers, newRouter("", instance(100)))
		}
		var q queue
		q.fill(routers)
		for range rapid.IntRange(0, 50).Draw(t, "changes") {
			if len(routers) > 0 {
				r := rapid.SampledFrom(routers).Draw(t, "router")
				r.timers[rapid.IntRange(0, len(r.timers)-1).Draw(t, "timer")] = time.Duration(rapid.Int64Range(0, 100).Draw(t, "at"))
				q.fix(r)
			}
			want := never
			for _, r := range routers {
				want = min(want, r.due())
			}
			if got := q.next(); got != want {
				t.Fatalf("next = %v, want %v", got, want)
			}
		}
	})
}
