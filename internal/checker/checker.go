// Package checker probes the servers of pools and tells when a verdict changes.
package checker

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/netip"
	"sync"
	"time"

	"github.com/hareconcile/hareconcile/internal/check"
	"github.com/hareconcile/hareconcile/internal/check/probe"
	"github.com/hareconcile/hareconcile/internal/rota"
	"github.com/hareconcile/hareconcile/internal/spec"
	"github.com/hareconcile/hareconcile/reconcile"
)

// A Job is one server of a pool. It is up while all its checks pass.
type Job struct {
	Ref     reconcile.ServerRef
	Address netip.AddrPort
	Checks  []spec.Check
	// Any makes one passing check enough.
	Any bool
	// Initial counts from the first time that Ref is seen until samples say otherwise. A Job
	// that is known keeps its verdict, and starts as Unknown if its address changed.
	Initial reconcile.Verdict
}

// A Result is a server's verdict: sent when it changes, and when it was first measured.
type Result struct {
	Ref     reconcile.ServerRef
	Verdict reconcile.Verdict
	// Weight is what a dynamic check says, where HasWeight.
	Weight    int
	HasWeight bool
	Message   string // what the deciding check saw, such as "http: status 503, want 200"
	At        time.Time
}

// concurrency bounds the probes under way: each costs a socket and, for its timeout, a goroutine.
const concurrency = 256

// An Engine runs Jobs.
type Engine struct {
	log     *slog.Logger
	loop    *rota.Loop
	results chan Result // never closed; unbuffered: the loop keeps what waits
	prober  func(spec.Check, probe.Target, probe.Options) (probe.Prober, error)
}

// New returns an Engine without Jobs.
func New(log *slog.Logger) *Engine {
	return &Engine{log: log, loop: rota.New(concurrency), results: make(chan Result), prober: probe.New}
}

// Results returns the channel of verdicts. A reader that is late misses intermediate
// verdicts of a server, never its last one.
func (e *Engine) Results() <-chan Result { return e.results }

// Set replaces the Jobs; those that stayed the same keep their state and schedule. It never
// blocks and may be called from any goroutine.
func (e *Engine) Set(jobs []Job) {
	targets := make([]rota.Target, 0, len(jobs))
	for _, j := range jobs {
		t := rota.Target{Key: string(j.Ref), Subject: j.Address.String(), Initial: check.State(j.Initial)}
		for _, c := range j.Checks {
			p, err := e.prober(c, probe.Target{Address: j.Address}, probe.Options{})
			if err != nil {
				p = func(context.Context) probe.Outcome { return probe.Outcome{Err: err} }
			}
			t.Checks = append(t.Checks, rota.Check{
				Fingerprint: fingerprint(c),
				Interval:    c.Interval,
				Rules:       check.Rules{Rise: c.Rise, Fall: c.Fall},
				Probe:       sample(c, p),
			})
		}
		targets = append(targets, t)
	}
	e.loop.Set(targets)
}

// fingerprint is everything that makes c the check that it is, wherever it was written.
func fingerprint(c spec.Check) string {
	c.Origin, c.Interval, c.Rise, c.Fall = spec.Origin{}, 0, 0, 0
	b, err := json.Marshal(c)
	if err != nil {
		panic("checker: a check always marshals: " + err.Error())
	}
	return string(b)
}

// late is how far beyond its timeout a probe may fail and still tell of the server. This
// process was not running when it should have looked, after SIGSTOP for instance, and the
// answers that came meanwhile lose against the timeout.
const late = 500 * time.Millisecond

func sample(c spec.Check, p probe.Prober) rota.Probe {
	return func(ctx context.Context) (check.State, string) {
		began := time.Now()
		out := p(ctx)
		switch took := time.Since(began); {
		case out.Err == nil:
			return check.Up, c.Type + ": " + out.Message
		case out.Unmeasured:
			return check.Unknown, fmt.Sprintf("%s: could not measure: %v", c.Type, out.Err)
		case took > c.Timeout+late:
			return check.Unknown, fmt.Sprintf("%s: could not measure: this host was busy or stopped for %v", c.Type, took.Round(time.Millisecond))
		}
		return check.Down, c.Type + ": " + out.Err.Error()
	}
}

// Run probes until ctx ends.
func (e *Engine) Run(ctx context.Context) error {
	var wg sync.WaitGroup
	defer wg.Wait()
	wg.Go(func() { e.forward(ctx) })
	return e.loop.Run(ctx)
}

// forward turns the loop's results into the engine's.
func (e *Engine) forward(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case r := <-e.loop.Results():
			out := Result{Ref: reconcile.ServerRef(r.Key), Verdict: reconcile.Verdict(r.Verdict), Message: r.Message, At: r.At}
			e.log.Info("server verdict", "id", r.Key, "verdict", word(r.Verdict), "reason", r.Message)
			select {
			case <-ctx.Done():
				return
			case e.results <- out:
			}
		}
	}
}

func word(s check.State) string {
	if s == check.Unknown {
		return "unknown"
	}
	return string(s)
}
