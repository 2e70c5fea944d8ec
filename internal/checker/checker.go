// Package checker probes the servers of pools and tells when a verdict changes. One goroutine
// owns sockets, timers and verdicts: it asks over TCP and HTTP/1 itself, and has all other
// probes made by goroutines that live as long as their one look.
package checker

import (
	"context"
	"log/slog"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hareconcile/hareconcile/internal/check"
	"github.com/hareconcile/hareconcile/internal/check/probe"
	"github.com/hareconcile/hareconcile/internal/check/watch"
	"github.com/hareconcile/hareconcile/internal/spec"
	"github.com/hareconcile/hareconcile/reconcile"
)

// A Job is one server of a pool. It is up while all its checks pass, or with Any one of them.
type Job struct {
	Ref     reconcile.ServerRef
	Address netip.AddrPort
	Any     bool
	Checks  []spec.Check
	// Initial counts from the first time that Ref is seen until samples say otherwise. A Job
	// that is known keeps its verdict, and starts as Unknown if its IP address changed. With
	// another port it is checked anew: servers without one have that of their service.
	Initial reconcile.Verdict
}

// A Result is a server's verdict: sent when it or the weight changes, and when it was first
// measured.
type Result struct {
	Ref     reconcile.ServerRef
	Verdict reconcile.Verdict
	// Weight is what dynamic checks say instead of the written one, if HasWeight.
	Weight    int
	HasWeight bool
	Message   string // what the deciding check saw, such as "http: status 503, want 200"
	At        time.Time
}

// An Engine runs Jobs.
type Engine struct {
	// Probes is what this host lends to probes, and MaxSockets how many connections may be
	// under way; 0 is 1024, and half of what RLIMIT_NOFILE allows is always the most. Both are
	// set before Run or never.
	Probes     probe.Options
	MaxSockets int

	log     *slog.Logger
	results chan Result // never closed; unbuffered: the outbox keeps what waits
	prober  func(spec.Check, probe.Target, probe.Options) (probe.Prober, error)
	stats   counters
	inbox   inbox
	outbox  outbox
}

// New returns an Engine without Jobs.
func New(log *slog.Logger) *Engine {
	return &Engine{
		log: log, results: make(chan Result), prober: probe.New,
		inbox:  inbox{bell: -1},
		outbox: outbox{news: make(chan struct{}, 1)}, // one pending token says all there is to say
	}
}

// Results returns the channel of verdicts. A reader that is late misses intermediate
// verdicts of a server, never its last one.
func (e *Engine) Results() <-chan Result { return e.results }

// Set replaces the Jobs; those that stayed the same keep their state and schedule. It never
// blocks and may be called from any goroutine, also before Run.
func (e *Engine) Set(jobs []Job) {
	targets := targets(jobs)
	e.inbox.put(func(n *news) { n.targets, n.set = targets, true })
}

// Report tells what a check of another's making says: "bfd" and "plugin" checks have no
// probes of their own. The check is named by its place among the Checks of ref's Job. What is
// told of a check that is not there is forgotten.
func (e *Engine) Report(ref reconcile.ServerRef, place int, state check.State, message string) {
	e.inbox.put(func(n *news) {
		if n.reports == nil {
			n.reports = map[told]watch.Sample{}
		}
		n.reports[told{string(ref), place}] = watch.Sample{State: state, Message: message}
	})
}

// Run probes until ctx ends.
func (e *Engine) Run(ctx context.Context) error {
	l, err := newLoop(e)
	if err != nil {
		return err
	}
	defer l.close()
	e.inbox.open(l.poll.bell)
	defer e.inbox.open(-1)
	defer context.AfterFunc(ctx, e.inbox.ring)()
	delivery, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	wg.Go(func() { e.deliver(delivery) })
	defer wg.Wait()
	defer cancel()
	return l.run(ctx)
}

// deliver hands verdicts to whoever reads Results.
func (e *Engine) deliver(ctx context.Context) {
	for {
		r, waiting := e.outbox.head()
		results := e.results
		if !waiting {
			results = nil
		}
		out := Result{reconcile.ServerRef(r.Key), reconcile.Verdict(r.Verdict), r.Weight, r.HasWeight, r.Message, r.At}
		select {
		case <-ctx.Done():
			return
		case <-e.outbox.news:
		case results <- out:
			e.outbox.sent(r)
			e.log.Info("server verdict", "id", r.Key, "verdict", word(r.Verdict), "reason", r.Message)
		}
	}
}

func word(s check.State) string {
	if s == check.Unknown {
		return "unknown"
	}
	return string(s)
}

// news is what others want of the loop.
type news struct {
	targets  []watch.Target[*plan]
	set      bool
	reports  map[told]watch.Sample
	finished []finished
}

// told names a check that others tell of.
type told struct {
	key   string
	place int
}

// An inbox holds what others want until the loop takes it.
type inbox struct {
	rung atomic.Bool // the bell rings and has not been heard yet

	mu   sync.Mutex
	news news
	bell int // eventfd of the loop, -1 while there is none
}

// put records with f and wakes the loop.
func (b *inbox) put(f func(*news)) {
	b.mu.Lock()
	f(&b.news)
	b.mu.Unlock()
	b.ring()
}

// ring wakes the loop.
func (b *inbox) ring() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.bell >= 0 && b.rung.CompareAndSwap(false, true) {
		ring(b.bell)
	}
}

// open gives the inbox the loop's bell.
func (b *inbox) open(bell int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.bell = bell
	b.rung.Store(false)
}

// take returns the news and empties the inbox, but for the memory of lists.
func (b *inbox) take(into *news) {
	b.rung.Store(false)
	b.mu.Lock()
	defer b.mu.Unlock()
	done := into.finished[:0]
	*into = b.news
	b.news = news{finished: done}
}

// An outbox is a watch.Outbox between goroutines.
type outbox struct {
	news chan struct{} // never closed

	mu  sync.Mutex
	box watch.Outbox
}

func (o *outbox) put(r watch.Result) {
	o.mu.Lock()
	o.box.Put(r)
	o.mu.Unlock()
	select {
	case o.news <- struct{}{}:
	default:
	}
}

func (o *outbox) head() (watch.Result, bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.box.Head()
}

func (o *outbox) sent(r watch.Result) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.box.Sent(r)
}

func (o *outbox) forget(key string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.box.Forget(key)
}
