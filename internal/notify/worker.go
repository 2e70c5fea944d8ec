package notify

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/hareconcile/hareconcile/internal/event"
	"github.com/hareconcile/hareconcile/internal/spec"
)

const (
	maxQueued  = 1000
	attempts   = 5 // of one event, unless the block ensures
	firstRetry = time.Second
	maxRetry   = time.Minute
	maxDigest  = 200 // events in one mail
)

// A worker is one block at work.
type worker struct {
	block  spec.Notify
	send   sender
	log    *slog.Logger
	done   *done // what was heard of, where the block ensures; nil elsewhere
	cancel context.CancelFunc
	wg     sync.WaitGroup
	// more has room for one token, which says that the queue has grown. Never closed.
	more chan struct{}

	mu     sync.Mutex
	queue  []event.Event // oldest first
	counts Stats
}

func newWorker(n spec.Notify, send sender, o Options) *worker {
	w := &worker{block: n, send: send, log: o.Log.With("notify", n.Type()+"."+n.Name), more: make(chan struct{}, 1)}
	w.counts.Type, w.counts.Name = n.Type(), n.Name
	if n.Exec != nil && n.Exec.Ensure {
		w.done = openDone(o.StateDir, n.Name, w.log)
	}
	return w
}

// start follows the log: what ensures is to hear of the state that holds, and so of what was
// told before; others only of what is news.
func (w *worker) start(ctx context.Context, log *event.Log) {
	ctx, w.cancel = context.WithCancel(ctx)
	seq := log.Last()
	if w.done != nil {
		seq = 0
	}
	w.wg.Go(func() { w.collect(ctx, log, seq) })
	w.wg.Go(func() { w.tell(ctx) })
}

func (w *worker) stop() {
	w.cancel()
	w.wg.Wait()
}

func (w *worker) stats() Stats {
	w.mu.Lock()
	defer w.mu.Unlock()
	s := w.counts
	s.Queued = len(w.queue)
	return s
}

// collect moves what the block is to tell from the log to its queue, so that a block that is
// slow loses nothing because other things happen.
func (w *worker) collect(ctx context.Context, log *event.Log, seq uint64) {
	for {
		events, _, more := log.After(seq)
		for _, e := range events {
			seq = e.Seq
			if w.wants(e) {
				w.put(e)
			}
		}
		select {
		case <-more:
		case <-ctx.Done():
			return
		}
	}
}

// wants reports whether the block tells of e. The first state that is seen after a start is
// news only to those who ensure.
func (w *worker) wants(e event.Event) bool {
	if !slices.Contains(w.block.Events, string(e.Kind)) {
		return false
	}
	if e.Kind != event.VRRPTransition {
		return true
	}
	return (e.From != "" || w.done != nil) && (len(w.block.On) == 0 || slices.Contains(w.block.On, e.Subject))
}

// put queues an event. Where the block ensures, it takes the place of an older one of the same
// instance: that state no longer holds.
func (w *worker) put(e event.Event) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.done != nil {
		w.queue = slices.DeleteFunc(w.queue, func(o event.Event) bool { return o.Subject == e.Subject })
	}
	w.queue = append(w.queue, e)
	if over := len(w.queue) - maxQueued; over > 0 {
		w.queue = slices.Delete(w.queue, 0, over)
		w.counts.Lost += uint64(over)
	}
	select {
	case w.more <- struct{}{}:
	default:
	}
}

// head returns what is to be told next: one event, or all for a mail.
func (w *worker) head() []event.Event {
	w.mu.Lock()
	defer w.mu.Unlock()
	select {
	case <-w.more: // what it stands for is in the queue
	default:
	}
	n := min(len(w.queue), 1)
	if w.block.SMTP != nil {
		n = min(len(w.queue), maxDigest)
	}
	return slices.Clone(w.queue[:n])
}

// tell works the queue off, oldest first, until ctx ends.
func (w *worker) tell(ctx context.Context) {
	var pause time.Duration // between two mails
	if w.block.SMTP != nil {
		pause = time.Minute / time.Duration(w.block.SMTP.PerMinute)
	}
	tried, tell := 0, uint64(0)
	for {
		events := w.head()
		if len(events) == 0 {
			select {
			case <-w.more:
				continue
			case <-ctx.Done():
				return
			}
		}
		if events[0].Seq != tell {
			tried, tell = 0, events[0].Seq
		}
		wait := pause
		err := w.once(ctx, events)
		switch {
		case ctx.Err() != nil:
			return
		case err == nil:
			w.took(events, nil, false)
		default:
			tried++
			never := errors.Is(err, errNever) || w.done == nil && tried >= attempts
			w.took(events, err, never)
			if !never {
				wait = max(pause, min(maxRetry, firstRetry<<min(tried-1, 10)))
			}
		}
		if !w.rest(ctx, wait, err != nil) {
			return
		}
	}
}

// once makes one attempt, unless it was made before the agent started again.
func (w *worker) once(ctx context.Context, events []event.Event) error {
	if w.done == nil {
		return w.send(ctx, events)
	}
	e := events[0]
	if w.done.has(e.Subject, e.To) {
		return nil
	}
	w.done.forget(e.Subject) // from here on neither the old state nor the new one is sure
	if err := w.send(ctx, events); err != nil {
		return err
	}
	w.done.put(e.Subject, e.To)
	return nil
}

// took counts an attempt, and takes what is over from the queue. What came meanwhile stays.
func (w *worker) took(events []event.Event, err error, never bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if err == nil {
		w.counts.Sent += uint64(len(events))
	} else {
		w.counts.Failed++
		w.counts.Error, w.counts.ErrorAt = err.Error(), time.Now().UTC()
		w.log.Warn("nobody was told", "kind", events[0].Kind, "id", events[0].Subject, "err", err)
		if !never {
			return
		}
		w.counts.Lost += uint64(len(events))
	}
	last := events[len(events)-1].Seq
	w.queue = slices.DeleteFunc(w.queue, func(e event.Event) bool { return e.Seq <= last })
}

// rest waits; where something failed and the block ensures, a newer state ends the wait.
func (w *worker) rest(ctx context.Context, wait time.Duration, failed bool) bool {
	if wait == 0 {
		return true
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	var news <-chan struct{}
	if failed && w.done != nil {
		news = w.more
	}
	select {
	case <-timer.C:
	case <-news:
	case <-ctx.Done():
		return false
	}
	return true
}
