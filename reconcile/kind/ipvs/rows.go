package ipvs

import (
	"context"
	"errors"
	"fmt"
	"maps"

	"github.com/hareconcile/hareconcile/internal/ledger"
	"github.com/hareconcile/hareconcile/reconcile"
	"github.com/hareconcile/hareconcile/reconcile/resource"
)

// A row is a value of one of the table's two kinds of objects.
type row interface {
	comparable
	ID() resource.ID
}

// A verb is what is done to a row.
type verb int

const (
	add verb = iota
	change
	remove
)

// encode appends the attributes of a request to b and returns its command.
type encode[T row] func(b []byte, do verb, v T) (cmd uint8, attrs []byte)

// rows own the objects of one kind that the ledger lists.
type rows[T row] struct {
	table  *table
	ledger *ledger.Ledger
	kind   resource.Kind
	name   func(v T) string // for errors

	// ready makes a function that prepares for a row, and returns why it cannot be in the
	// table, or nil. It may remember what it found of one for the next.
	ready func(ctx context.Context) func(v T) error
	// encoder makes a function that appends the attributes of a request about a row that is
	// ready. It may remember what it made of one for the next.
	encoder func() encode[T]
	// find returns the row with v's key, or the zero value.
	find func(v T) (T, error)
	// explain says what the kernel means by err.
	explain func(v T, err error) error
	// began, if not nil, hears of rows that were not there before, or are not any more.
	began func(ids []resource.ID) error
}

// Kind implements reconcile.Handler.
func (r *rows[T]) Kind() resource.Kind { return r.kind }

// Apply implements reconcile.Handler.
func (r *rows[T]) Apply(ctx context.Context, c reconcile.Change) error {
	if c.Action != reconcile.Delete {
		if err := r.table.available(); err != nil {
			return err
		}
	}
	v, err := r.checker(ctx)(&c)
	if err != nil {
		return err
	}
	switch c.Action {
	case reconcile.Delete:
		return r.delete([]T{v})[0]
	case reconcile.Adopt:
		return r.adopt([]T{v})[0]
	case reconcile.Update:
		return r.takeOver(v)
	}
	return r.create(v)
}

// checker makes a function that returns the value of a change, and refuses one that cannot
// be made.
func (r *rows[T]) checker(ctx context.Context) func(c *reconcile.Change) (T, error) {
	ready := r.ready(ctx)
	return func(c *reconcile.Change) (T, error) {
		v := c.After
		if c.Action == reconcile.Delete {
			v = c.Before
		}
		t, ok := v.(T)
		if !ok {
			return t, fmt.Errorf("%T is not of kind %s", v, r.kind)
		}
		if c.Action == reconcile.Delete {
			return t, nil
		}
		return t, ready(t)
	}
}

func (r *rows[T]) tell(ids []resource.ID) error {
	if r.began == nil || len(ids) == 0 {
		return nil
	}
	return r.began(ids)
}

func (r *rows[T]) do(what verb, v T) error {
	return r.table.changeOne(func(b []byte) (uint8, []byte) { return r.encoder()(b, what, v) })
}

func (r *rows[T]) create(v T) error {
	ours := r.ledger.Has(v.ID())
	if err := r.ledger.Record(v.ID(), ""); err != nil {
		return err
	}
	err := r.do(add, v)
	switch {
	case err == nil:
		return r.tell([]resource.ID{v.ID()})
	case exists(err) && ours:
		return r.update(v)
	case exists(err):
		have, err := r.find(v)
		if err == nil && have == v {
			return nil
		}
		if err == nil {
			err = errors.New("somebody else made it meanwhile")
		}
		return errors.Join(fmt.Errorf("create %s: %w", r.name(v), err), r.ledger.Forget(v.ID()))
	}
	err = fmt.Errorf("create %s: %w", r.name(v), r.explain(v, err))
	if !ours {
		err = errors.Join(err, r.ledger.Forget(v.ID()))
	}
	return err
}

// takeOver changes v, which is ours or, where the cluster file says adopt, becomes so.
func (r *rows[T]) takeOver(v T) error {
	ours := r.ledger.Has(v.ID())
	if err := r.ledger.Record(v.ID(), ""); err != nil {
		return err
	}
	err := r.update(v)
	if err != nil && !ours {
		err = errors.Join(err, r.ledger.Forget(v.ID()))
	}
	return err
}

func (r *rows[T]) update(v T) error {
	if err := r.do(change, v); err != nil {
		return fmt.Errorf("change %s: %w", r.name(v), r.explain(v, err))
	}
	return nil
}

// adopt makes rows ours that are just so already. It returns the error of each.
func (r *rows[T]) adopt(vs []T) []error {
	errs := make([]error, len(vs))
	ids := make([]resource.ID, 0, len(vs))
	for i, v := range vs {
		have, err := r.find(v)
		if err == nil && have != v {
			err = errors.New("it was changed meanwhile")
		}
		if err != nil {
			errs[i] = fmt.Errorf("adopt %s: %w", r.name(v), err)
			continue
		}
		ids = append(ids, v.ID())
	}
	if _, err := r.ledger.RecordAll(ids); err != nil {
		for i := range errs {
			errs[i] = errors.Join(errs[i], err)
		}
	}
	return errs
}

// delete takes what is ours out of the table. It returns the error of each.
func (r *rows[T]) delete(vs []T) []error {
	errs := make([]error, len(vs))
	var at []int
	for i, v := range vs {
		if r.ledger.Has(v.ID()) {
			at = append(at, i)
		}
	}
	encode := r.encoder()
	refused, err := r.table.change(len(at), func(b []byte, i int) (uint8, []byte) { return encode(b, remove, vs[at[i]]) })
	var ids []resource.ID
	for n, i := range at {
		e := err
		if e == nil && !gone(refused[n]) {
			e = refused[n]
		}
		if e != nil {
			errs[i] = fmt.Errorf("delete %s: %w", r.name(vs[i]), e)
			continue
		}
		ids = append(ids, vs[i].ID())
	}
	err = r.tell(ids)
	if err == nil {
		err = r.ledger.Forget(ids...)
	}
	if err != nil {
		for _, i := range at {
			errs[i] = errors.Join(errs[i], err)
		}
	}
	return errs
}

// sort puts a row where it belongs.
func (r *rows[T]) sort(live reconcile.Live, id resource.ID, v T) {
	if r.ledger.Has(id) {
		live.Owned[id] = v
	} else {
		live.Foreign[id] = v
	}
}

// observe calls look, and once more if something of ours is missing: while others change
// the table, a dump may skip an entry, since the kernel counts them between two answers
// (ip_vs_genl_dump_services). Then it forgets what is gone. A kernel without IPVS has an
// empty table, unless the ledger says that it had something of ours.
func (r *rows[T]) observe(look func(live reconcile.Live) error) (reconcile.Live, error) {
	live := reconcile.Live{Owned: resource.Set{}, Foreign: resource.Set{}, Connections: map[resource.ID]int{}}
	err := look(live)
	recorded := r.ledger.Count(r.kind)
	if errors.Is(err, ErrNoModule) && recorded == 0 {
		return live, nil
	}
	if err == nil && len(live.Owned) < recorded {
		again := reconcile.Live{Owned: resource.Set{}, Foreign: resource.Set{}, Connections: live.Connections}
		err = look(again)
		maps.Copy(live.Owned, again.Owned)
		maps.Copy(live.Foreign, again.Foreign)
	}
	if err != nil {
		return reconcile.Live{}, err
	}
	r.ledger.Retain(r.kind, func(name string) bool { return live.Owned[resource.ID{Kind: r.kind, Name: name}] != nil })
	return live, nil
}
