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
	for len(cs) > 0 {
		if err := ctx.Err(); err != nil {
			return err
		}
		n := 1
		for n < len(cs) && group(cs[n].Action) == group(cs[0].Action) {
			n++
		}
		if err := r.together(ctx, cs[:n]); err != nil {
			return err
		}
		cs = cs[n:]
	}
	return nil
}

// group tells apart what together treats differently.
func group(a reconcile.Action) reconcile.Action {
	if a == reconcile.Update {
		return reconcile.Create
	}
	return a
}

// together makes changes of one group.
func (r *rows[T]) together(ctx context.Context, cs []reconcile.Change) error {
	var all []error
	failed := func(c reconcile.Change, err error) { all = append(all, &reconcile.ChangeError{Change: c, Err: err}) }
	if err := r.table.available(); err != nil && cs[0].Action != reconcile.Delete {
		return err
	}
	vs := make([]T, 0, len(cs))
	of := make([]reconcile.Change, 0, len(cs)) // the change of each of vs
	for _, c := range cs {
		v, err := r.value(c)
		if err == nil && c.Action != reconcile.Delete {
			err = r.ready(v)
		}
		if err != nil {
			failed(c, err)
			continue
		}
		vs, of = append(vs, v), append(of, c)
	}
	var errs []error
	switch cs[0].Action {
	case reconcile.Delete:
		errs = r.delete(vs)
	case reconcile.Adopt:
		errs = r.adopt(vs)
	default:
		refused, err := r.put(vs, of)
		if err != nil {
			return err
		}
		for i := range vs {
			if refused[i] != nil {
				if err := r.Apply(ctx, of[i]); err != nil {
					failed(of[i], err)
				}
			}
		}
	}
	for i, err := range errs {
		if err != nil {
			failed(of[i], err)
		}
	}
	return errors.Join(all...)
}

// put makes and changes rows. What was not ours before and was refused is not ours after,
// nor is anything whose outcome is unknown.
func (r *rows[T]) put(vs []T, of []reconcile.Change) (map[int]error, error) {
	ids := make([]resource.ID, len(vs))
	fresh := make([]bool, len(vs))
	for i, v := range vs {
		ids[i] = v.ID()
		fresh[i] = !r.ledger.Has(ids[i])
	}
	if err := r.ledger.RecordAll(ids); err != nil {
		return nil, err
	}
	refused, err := r.table.change(len(vs), func(b []byte, i int) (uint8, []byte) {
		if of[i].Action == reconcile.Update {
			return r.encode(b, change, vs[i])
		}
		return r.encode(b, add, vs[i])
	})
	var began []T
	var lost []resource.ID
	for i, v := range vs {
		switch {
		case fresh[i] && (err != nil || refused[i] != nil):
			lost = append(lost, ids[i])
		case err == nil && refused[i] == nil && of[i].Action == reconcile.Create:
			began = append(began, v)
		}
	}
	return refused, errors.Join(err, r.ledger.Forget(lost...), r.began(began))
}
