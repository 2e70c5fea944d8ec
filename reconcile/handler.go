package reconcile

import (
	"context"
	"errors"
	"fmt"
	"maps"

	"github.com/hareconcile/hareconcile/reconcile/resource"
)

// Live is what a Handler finds on the host.
type Live struct {
	// Owned are the objects that hareconcile made or adopted. Only these are ever deleted.
	Owned resource.Set
	// Foreign are objects of the kind that somebody else made.
	Foreign resource.Set
	// Unobserved are the kinds that could not be read; Diff plans nothing for them.
	Unobserved []resource.Kind
	// Connections counts those that keep a server in the table busy, by ID, where there are any.
	Connections map[resource.ID]int
}

// A Handler observes and changes every resource of one Kind on this host.
// Apply must succeed when the change was already made: applying twice equals once.
type Handler interface {
	Kind() resource.Kind
	Observe(ctx context.Context) (Live, error)
	Apply(ctx context.Context, c Change) error
}

// A Batcher is a Handler that makes many changes at the price of one. ApplyAll makes all of
// cs or none that matters: after an error they are made one by one, to name the culprit.
type Batcher interface {
	Handler
	ApplyAll(ctx context.Context, cs []Change) error
}

// ErrNotHere is what the error of a Handler is that says that this host lacks all of the
// kind, such as for want of a module that may be loaded later. The rest of a plan is worth
// carrying out; Plan.Apply tries no more of the kind.
var ErrNotHere = errors.New("not on this host")

// A Preflighter is a Handler that can tell before anything is touched that a change could
// never work on this host, such as for want of a kernel module.
type Preflighter interface {
	Handler
	// Preflight returns a reason for each of cs that cannot work, and nil for the others.
	Preflight(ctx context.Context, cs []Change) []error
}

// Observe collects the live state of all the handlers' kinds. A kind that cannot be read
// is listed in Live.Unobserved and in the error; the rest of Live is good all the same.
func Observe(ctx context.Context, hs []Handler) (Live, error) {
	all := Live{Owned: resource.Set{}, Foreign: resource.Set{}, Connections: map[resource.ID]int{}}
	var errs []error
	for _, h := range hs {
		l, err := h.Observe(ctx)
		if err != nil {
			errs = append(errs, fmt.Errorf("observe %s: %w", h.Kind(), err))
			all.Unobserved = append(all.Unobserved, h.Kind())
			continue
		}
		maps.Copy(all.Owned, l.Owned)
		maps.Copy(all.Foreign, l.Foreign)
		maps.Copy(all.Connections, l.Connections)
	}
	return all, errors.Join(errs...)
}

// ErrRefused is what the error of a Handler is that says something of its one Change, such
// as of a secret that is missing: the others of the kind are worth trying.
var ErrRefused = errors.New("refused")

// A ChangeError is a Change that a Handler could not make.
type ChangeError struct {
	Change Change
	Err    error
}

// Error implements error.
func (e *ChangeError) Error() string {
	return fmt.Sprintf("%s %s: %v", e.Change.Action, e.Change.ID, e.Err)
}

// Unwrap returns the handler's error.
func (e *ChangeError) Unwrap() error { return e.Err }

// scope returns what a failure of c puts in doubt: a virtual service, or the whole kind.
func scope(c Change) (id resource.ID, server bool) {
	v := c.After
	if v == nil {
		v = c.Before
	}
	if up, ok := parent(v); ok {
		return up, true
	}
	if c.ID.Kind == resource.KindIPVSService {
		return c.ID, false
	}
	return resource.ID{Kind: c.ID.Kind}, false
}

// needs has the kind that must be in order before another kind is made. A real server's
// address on lo that is answered for on the wire draws the whole service to that server.
var needs = map[resource.Kind]resource.Kind{resource.KindAddress: resource.KindSysctl}
