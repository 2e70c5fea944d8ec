package ipvs

import (
	"context"
	"errors"

	"github.com/hareconcile/hareconcile/reconcile"
	"github.com/hareconcile/hareconcile/reconcile/resource"
)

// ApplyAll implements reconcile.Batcher. What the kernel refuses is tried once more alone,
// which knows what to do about an object that is there already; the error joins a
// *reconcile.ChangeError for each change that could not be made, and all others were made.
// Only deletions wait for what stands before them in cs to succeed.
func (r *rows[T]) ApplyAll(ctx context.Context, cs []reconcile.Change) error {
	var errs []error
	for len(cs) > 0 {
		if err := ctx.Err(); err != nil {
			return errors.Join(append(errs, err)...)
		}
		if cs[0].Action == reconcile.Delete && len(errs) > 0 {
			break
		}
		n := 1
		for n < len(cs) && group(cs[n].Action) == group(cs[0].Action) {
			n++
		}
		failed, err := r.together(ctx, cs[:n])
		if err != nil {
			return errors.Join(append(errs, err)...)
		}
		errs = append(errs, failed...)
		cs = cs[n:]
	}
	return errors.Join(errs...)
}

// group tells apart what together treats differently.
func group(a reconcile.Action) reconcile.Action {
	if a == reconcile.Update {
		return reconcile.Create
	}
	return a
}

// together makes changes of one group. It returns a *reconcile.ChangeError for each that
// could not be made, or an error that leaves all of them open.
func (r *rows[T]) together(ctx context.Context, cs []reconcile.Change) (failed []error, err error) {
	fail := func(c reconcile.Change, err error) {
		failed = append(failed, &reconcile.ChangeError{Change: c, Err: err})
	}
	if cs[0].Action != reconcile.Delete {
		if err := r.table.available(); err != nil {
			return nil, err
		}
	}
	good := cs
	check := r.checker(ctx)
	for i, c := range cs {
		err := check(c)
		switch {
		case err != nil:
			if len(failed) == 0 {
				good = append([]reconcile.Change(nil), cs[:i]...)
			}
			fail(c, err)
		case len(failed) > 0:
			good = append(good, c)
		}
	}
	if group(cs[0].Action) == reconcile.Create {
		alone, err := r.put(good)
		for _, c := range alone {
			if err := r.Apply(ctx, c); err != nil {
				fail(c, err)
			}
		}
		return failed, err
	}
	vs := make([]T, len(good))
	for i, c := range good {
		vs[i], _ = r.value(c)
	}
	do := r.adopt
	if cs[0].Action == reconcile.Delete {
		do = r.delete
	}
	for i, err := range do(vs) {
		if err != nil {
			fail(good[i], err)
		}
	}
	return failed, nil
}

// put makes and changes rows, and returns the changes that the kernel refused. What was not
// ours before and was refused is not ours after, nor is anything whose outcome is unknown.
func (r *rows[T]) put(cs []reconcile.Change) (alone []reconcile.Change, err error) {
	var fresh, lost []resource.ID
	for _, c := range cs {
		if !r.ledger.Has(c.ID) {
			fresh = append(fresh, c.ID)
		}
	}
	if err := r.ledger.RecordAll(fresh); err != nil {
		return nil, err
	}
	refused, err := r.table.change(len(cs), func(b []byte, i int) (uint8, []byte) {
		if cs[i].Action == reconcile.Update {
			return r.encode(b, change, cs[i].After.(T))
		}
		return r.encode(b, add, cs[i].After.(T))
	})
	if err != nil {
		return nil, errors.Join(err, r.ledger.Forget(fresh...))
	}
	var began []T
	next := 0 // the first of fresh that is not before cs[i]
	for i, c := range cs {
		new := next < len(fresh) && fresh[next] == c.ID
		if new {
			next++
		}
		switch {
		case refused[i] != nil:
			alone = append(alone, c)
			if new {
				lost = append(lost, c.ID)
			}
		case c.Action == reconcile.Create && r.began != nil:
			began = append(began, c.After.(T))
		}
	}
	return alone, errors.Join(r.ledger.Forget(lost...), r.tell(began))
}
