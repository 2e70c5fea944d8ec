package sdk

import (
	"context"
	"fmt"
	"time"
)

// An answer is the result of one of several checks, by its place among them.
type answer struct {
	place  int
	result Result
}

// defaultTimeout bounds checks of a host that named no deadline.
const defaultTimeout = 10 * time.Second

// checkAll makes one check of each instance, all at the same time, and says once about each
// what came of it. Of the time until ctx ends the plugin's code may use 80 %; what has not
// returned after 90 % is left behind and the answer is Unknown, so that a stuck check never
// looks like a dead plugin. Results that come within gather of each other are said together.
func checkAll(ctx context.Context, all []*instance, gather time.Duration, say func([]answer)) {
	left := defaultTimeout
	if d, ok := ctx.Deadline(); ok {
		left = time.Until(d)
	}
	inner, cancel := context.WithTimeout(ctx, left*8/10)
	defer cancel()
	done := begin(inner, all)
	waiting := make(map[int]bool, len(all))
	for place := range all {
		waiting[place] = true
	}
	late := time.NewTimer(left * 9 / 10)
	defer late.Stop()
	var ready []answer
	var enough <-chan time.Time // nil while nothing is ready
	give := func(code, detail string) {
		for place := range waiting {
			ready = append(ready, answer{place, Result{Status: Unknown, Code: code, Detail: detail}})
		}
		clear(waiting)
	}
	for len(waiting) > 0 {
		select {
		case a := <-done:
			delete(waiting, a.place)
			if ready = append(ready, a); enough == nil && len(waiting) > 0 {
				enough = time.After(gather)
			}
		case <-enough:
			say(ready)
			ready, enough = nil, nil
		case <-late.C:
			give(CodeDeadline, fmt.Sprintf("no result within %v", (left*9/10).Round(time.Millisecond)))
		case <-ctx.Done():
			give(CodeCancelled, "the check was cancelled")
		}
	}
	if len(ready) > 0 {
		say(ready)
	}
}

// begin starts a check of each instance that has none under way. Nobody has to take the
// results.
func begin(ctx context.Context, all []*instance) <-chan answer {
	done := make(chan answer, len(all))
	for place, i := range all {
		if !i.busy.CompareAndSwap(false, true) {
			done <- answer{place, Result{Status: Unknown, Code: CodeBusy, Detail: "the previous check has not returned"}}
			continue
		}
		go func() {
			r := i.once(ctx)
			i.busy.Store(false)
			done <- answer{place, r}
		}()
	}
	return done
}
