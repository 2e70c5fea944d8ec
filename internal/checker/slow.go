package checker

import (
	"context"
	"fmt"
	"time"

	"github.com/hareconcile/hareconcile/internal/check"
	"github.com/hareconcile/hareconcile/internal/check/watch"
)

// A finished is what a probe's goroutine brings home.
type finished struct {
	entry  *entry
	sample watch.Sample
	hung   bool // it took all its time
}

// launch makes one sample by a probe, as a goroutine that ends with it.
func (l *loop) launch(e *entry) {
	p := e.Probe
	l.probes.enter(p)
	l.engine.stats.probes.Store(int64(l.probes.flying))
	ctx, cancel := context.WithCancel(l.life)
	p.cancel = cancel
	inbox := &l.engine.inbox
	l.probing.Go(func() {
		defer cancel()
		began := clock()
		out := p.probe(ctx)
		took := clock() - began
		s := p.sample(out, took)
		if s.State == check.Down && took > p.Timeout+late {
			s = p.stood(took)
		}
		inbox.put(func(n *news) { n.finished = append(n.finished, finished{e, s, took >= p.Timeout}) })
	})
}

// stood is the sample of a check that failed while this process stood still for so long.
func (p *plan) stood(still time.Duration) watch.Sample {
	return watch.Sample{State: check.Unknown, Message: fmt.Sprintf("%s: could not measure: this host was busy or stopped for %v",
		p.Type, still.Round(time.Millisecond))}
}
