// Package joint asks a question once for all who want to know the answer at about the same
// time.
package joint

import (
	"context"
	"errors"
	"sync"
	"time"
)

// A Question is asked by many. Its zero value shares an answer with those who come while it is
// on its way, and with nobody later.
type Question[T any] struct {
	// Fresh is how long ago a question may have been asked whose answer is still news.
	Fresh time.Duration

	mu   sync.Mutex
	last *Answer[T]
}

// An Answer is what came of asking.
type Answer[T any] struct {
	Value T
	Err   error
	Asked time.Time // before which nothing is known

	budget time.Duration
	until  time.Time
	done   chan struct{} // closed when Value and Err are there
}

// slack is how much of the time that one has, one in so many, another's question may end later.
const slack = 10

// patience bounds a question that is asked without a deadline.
const patience = time.Second

var errLost = errors.New("whoever asked this gave up")

// Ask returns the answer to a question that was asked after since and is fresh, or asks. The
// time at which one asked last as since keeps one from taking an old answer for news.
//
// An error is shared only with those who waited for it. Who has clearly more time than whoever
// asked, or less, asks anew. What ends ctx before its deadline does not end the question,
// because others may wait; it ends soon after the deadline.
func (q *Question[T]) Ask(ctx context.Context, since time.Time, ask func(context.Context) (T, error)) *Answer[T] {
	a, mine := q.take(ctx, since)
	if !mine {
		<-a.done
		return a
	}
	defer close(a.done)
	ctx, cancel := context.WithDeadline(context.WithoutCancel(ctx), a.until)
	defer cancel()
	a.Err = errLost // in case of a panic
	a.Value, a.Err = ask(ctx)
	return a
}

// take returns an answer to wait for, or one to find.
func (q *Question[T]) take(ctx context.Context, since time.Time) (a *Answer[T], mine bool) {
	now := time.Now()
	until, ok := ctx.Deadline()
	if !ok {
		until = now.Add(patience)
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	if a := q.last; a != nil && a.Asked.After(since) && now.Sub(a.Asked) <= max(q.Fresh, 0) {
		select {
		case <-a.done:
			if a.Err == nil {
				return a, false
			}
		default:
			if a.suits(until, until.Sub(now)) {
				return a, false
			}
		}
	}
	q.last = &Answer[T]{Asked: now, until: until, budget: until.Sub(now), done: make(chan struct{})}
	return q.last, true
}

// suits reports whether somebody who has some time may wait for an answer: it is found early
// enough, and who asks for it has not much less time, so that its silence says as much.
func (a *Answer[T]) suits(until time.Time, left time.Duration) bool {
	return !a.until.After(until.Add(left/slack)) && a.budget >= left*3/4
}
