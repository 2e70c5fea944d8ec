package agent

import (
	"context"
	"errors"
	"time"

	"github.com/hareconcile/hareconcile/reconcile"
	"github.com/hareconcile/hareconcile/reconcile/resource"
)

// What hangs must not keep the others waiting.
const (
	observeWait = 2 * time.Second // bounds the look at one kind
	askedWait   = time.Second     // the same where an answer takes no time
	hangPause   = 5 * time.Second // how long what hung is not looked at
)

// look reads live state, giving each kind a limited time.
func (a *Agent) look(ctx context.Context, handlers []reconcile.Handler) (reconcile.Live, error) {
	hs := make([]reconcile.Handler, len(handlers))
	for i, h := range handlers {
		hs[i] = bounded{h, a}
	}
	live, err := reconcile.Observe(ctx, hs)
	for _, k := range live.Unobserved {
		if dump[k] && errors.Is(err, context.DeadlineExceeded) {
			a.slowTable = min(2*max(a.slowTable, observeWait), dumpWait)
		}
	}
	return live, err
}

// dump are the kinds of which a look is as long as the table: the kernel answers, and does
// not hang.
var dump = map[resource.Kind]bool{resource.KindIPVSService: true, resource.KindIPVSServer: true}

// dumpWait bounds the look at a table, which gets more time whenever it had too little.
const dumpWait = time.Minute

// asked are the kinds of which a program on this host is asked: it answers at once or hangs.
var asked = map[resource.Kind]bool{
	resource.KindHAProxyFile: true, resource.KindHAProxyServer: true, resource.KindHAProxyMap: true, resource.KindHAProxyCertificate: true,
}

func (a *Agent) patience(k resource.Kind) time.Duration {
	switch {
	case dump[k]:
		return max(a.slowTable, observeWait)
	case asked[k]:
		return askedWait
	}
	return observeWait
}

// A hang is a kind that did not answer.
type hang struct {
	err   error
	since time.Time
}

// A bounded Handler gives up looking after a while, and leaves what hung alone for a while.
type bounded struct {
	reconcile.Handler
	agent *Agent
}

// Observe implements reconcile.Handler.
func (b bounded) Observe(ctx context.Context) (reconcile.Live, error) {
	k := b.Kind()
	if h, ok := b.agent.hung[k]; ok && time.Since(h.since) < hangPause {
		return reconcile.Live{}, h.err
	}
	ctx, cancel := context.WithTimeout(ctx, b.agent.patience(k))
	defer cancel()
	live, err := b.Handler.Observe(ctx)
	if err != nil && errors.Is(ctx.Err(), context.DeadlineExceeded) && !dump[k] {
		b.agent.hung[k] = hang{err, time.Now()}
	} else {
		delete(b.agent.hung, k)
	}
	return live, err
}
