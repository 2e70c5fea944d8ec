package reconcile

import (
	"context"
	"errors"
	"fmt"

	"github.com/hareconcile/hareconcile/reconcile/resource"
)

// Apply carries out p in order. After a failure the later changes of the same kind are
// left out (a virtual service is a kind of its own, with its servers; a real server's
// address waits for the sysctls that keep it silent; what is just ErrRefused leaves out
// nothing), and so is every deletion except that
// of a server whose service stays: nothing is broken before what replaces it was made, and
// yet a dead server leaves the table. Synchronisation daemons, which carry nothing, neither
// hold deletions up nor are held up. done, if not nil, hears of each change that was made.
// The error joins a *ChangeError for every failure.
func (p Plan) Apply(ctx context.Context, hs []Handler, done func(Change)) error {
	a := application{handlers: map[resource.Kind]Handler{}, going: map[resource.ID]bool{}, blocked: map[resource.ID]bool{}, done: done}
	for _, h := range hs {
		a.handlers[h.Kind()] = h
	}
	for _, c := range p.Changes {
		if c.Action == Delete {
			a.going[c.ID] = true
		}
	}
	for rest := p.Changes; len(rest) > 0; {
		n := a.run(rest)
		if n < 2 || !a.together(ctx, rest[:n]) {
			n = max(n, 1)
			for _, c := range rest[:n] {
				a.one(ctx, c)
			}
		}
		rest = rest[n:]
	}
	return errors.Join(a.errs...)
}

// An application is a Plan that is being carried out.
type application struct {
	handlers map[resource.Kind]Handler
	going    map[resource.ID]bool // will be deleted
	blocked  map[resource.ID]bool // scopes in which something failed
	broken   bool                 // something failed that may be to replace what is deleted
	errs     []error
	done     func(Change)
}

// leaves reports whether a failure before c leaves c out.
func (a *application) leaves(c Change) bool {
	if len(a.errs) == 0 {
		return false
	}
	s, server := scope(c)
	// A synchronisation daemon may be what is in the way: the kernel has none beside servers of
	// another family than their service's.
	breaks := c.Action == Delete && (!server || a.going[s]) && c.ID.Kind != resource.KindIPVSSync
	return a.blocked[s] || a.blocked[resource.ID{Kind: s.Kind}] || a.blocked[resource.ID{Kind: needs[c.ID.Kind]}] || (breaks && a.broken)
}

// maxBatch bounds what is made at once, so that whoever watches sees it go on, and an error
// puts no more than that in doubt.
const maxBatch = 4096

// run returns how many changes at the front of cs a Batcher can make together.
func (a *application) run(cs []Change) int {
	if _, ok := a.handlers[cs[0].ID.Kind].(Batcher); !ok {
		return 0
	}
	n := 0
	for n < min(len(cs), maxBatch) && cs[n].ID.Kind == cs[0].ID.Kind && (len(a.errs) == 0 || !a.leaves(cs[n])) {
		n++
	}
	return n
}

// together makes the changes of one kind at once, and reports whether that worked.
func (a *application) together(ctx context.Context, cs []Change) bool {
	b, ok := a.handlers[cs[0].ID.Kind].(Batcher)
	if !ok || ctx.Err() != nil || b.ApplyAll(ctx, cs) != nil {
		return false
	}
	for _, c := range cs {
		a.made(c)
	}
	return true
}

// one makes c unless a failure leaves it out.
func (a *application) one(ctx context.Context, c Change) {
	if a.leaves(c) {
		return
	}
	if err := a.apply(ctx, c); err != nil {
		switch s, _ := scope(c); {
		case errors.Is(err, ErrNotHere):
			a.blocked[resource.ID{Kind: s.Kind}] = true
		case !errors.Is(err, ErrRefused):
			a.blocked[s] = true
		}
		a.broken = a.broken || c.ID.Kind != resource.KindIPVSSync
		a.errs = append(a.errs, &ChangeError{c, err})
		return
	}
	a.made(c)
}

func (a *application) made(c Change) {
	if a.done != nil {
		a.done(c)
	}
}

func (a *application) apply(ctx context.Context, c Change) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	h := a.handlers[c.ID.Kind]
	if h == nil {
		return fmt.Errorf("no handler for kind %s on this node", c.ID.Kind)
	}
	return h.Apply(ctx, c)
}
