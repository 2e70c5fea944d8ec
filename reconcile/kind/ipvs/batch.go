package ipvs

import (
	"context"
	"errors"

	"github.com/hareconcile/hareconcile/reconcile"
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
	if cs[0].Action != reconcile.Delete {
		if err := r.table.available(); err != nil {
			return nil, err
		}
	}
	if group(cs[0].Action) == reconcile.Create {
		failed, alone, err := r.put(ctx, cs)
		for _, c := range alone {
			if err := r.Apply(ctx, c); err != nil {
				failed = append(failed, &reconcile.ChangeError{Change: c, Err: err})
			}
		}
		return failed, err
	}
	var good []int
	var vs []T
	check := r.checker(ctx)
	for i := range cs {
		v, err := check(&cs[i])
		if err != nil {
			failed = append(failed, &reconcile.ChangeError{Change: cs[i], Err: err})
			continue
		}
		good, vs = append(good, i), append(vs, v)
	}
	do := r.adopt
	if cs[0].Action == reconcile.Delete {
		do = r.delete
	}
	for i, err := range do(vs) {
		if err != nil {
			failed = append(failed, &reconcile.ChangeError{Change: cs[good[i]], Err: err})
		}
	}
	return failed, nil
}
