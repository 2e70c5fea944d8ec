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
}

// A Handler observes and changes every resource of one Kind on this host.
// Apply must succeed when the change was already made: applying twice equals once.
type Handler interface {
	Kind() resource.Kind
	Observe(ctx context.Context) (Live, error)
	Apply(ctx context.Context, c Change) error
}

// Observe collects the live state of all the handlers' kinds. A kind that cannot be read
// is listed in Live.Unobserved and in the error; the rest of Live is good all the same.
func Observe(ctx context.Context, hs []Handler) (Live, error) {
	all := Live{Owned: resource.Set{}, Foreign: resource.Set{}}
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
	}
	return all, errors.Join(errs...)
}

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

// Apply carries out p in order. After a failure the later changes of the same kind are
// left out (a virtual service is a kind of its own, with its servers; a real server's
// address waits for the sysctls that keep it silent), and so is every deletion except that
// of a server whose service stays: nothing is broken before what replaces it was made, and
// yet a dead server leaves the table. done, if not nil, hears of each change that was made.
// The error joins a *ChangeError for every failure.
func (p Plan) Apply(ctx context.Context, hs []Handler, done func(Change)) error {
	byKind := map[resource.Kind]Handler{}
	for _, h := range hs {
		byKind[h.Kind()] = h
	}
	going := map[resource.ID]bool{}
	for _, c := range p.Changes {
		going[c.ID] = c.Action == Delete
	}
	var errs []error
	blocked := map[resource.ID]bool{}
	for _, c := range p.Changes {
		s, server := scope(c)
		breaks := c.Action == Delete && (!server || going[s])
		if blocked[s] || blocked[resource.ID{Kind: needs[c.ID.Kind]}] || (breaks && len(errs) > 0) {
			continue
		}
		if err := applyOne(ctx, byKind[c.ID.Kind], c); err != nil {
			blocked[s] = true
			errs = append(errs, &ChangeError{c, err})
			continue
		}
		if done != nil {
			done(c)
		}
	}
	return errors.Join(errs...)
}

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

func applyOne(ctx context.Context, h Handler, c Change) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if h == nil {
		return fmt.Errorf("no handler for kind %s on this node", c.ID.Kind)
	}
	return h.Apply(ctx, c)
}
