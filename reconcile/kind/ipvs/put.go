package ipvs

import (
	"context"
	"errors"

	"github.com/hareconcile/hareconcile/reconcile"
	"github.com/hareconcile/hareconcile/reconcile/resource"
)

// firstPiece is short, because the kernel waits for it. Each may be twice as long as the one
// before it, up to what one send takes: preparing changes takes less time than making them.
const firstPiece = 32

// A piece is changes that are checked, recorded and written down for the kernel.
type piece[T row] struct {
	load    load
	changes []*reconcile.Change // one for each message of load
	fresh   []resource.ID       // of changes, in their order: those that were not ours before
	failed  []error             // of changes that are not in it, each a *reconcile.ChangeError
	err     error               // why nothing of it is recorded
	room    []resource.ID       // for fresh
}

// newPiece has room for n changes, if they are as most are.
func newPiece[T row](n int) *piece[T] {
	return &piece[T]{
		load: load{out: make([]byte, 0, 160*n)}, changes: make([]*reconcile.Change, 0, n), room: make([]resource.ID, 0, n),
	}
}

// prepare fills p from the front of cs, with size of them at most, and returns how many that
// took. It opens no connection, which would belong to the network namespace of its thread.
func (r *rows[T]) prepare(p *piece[T], cs []reconcile.Change, size int, check func(c *reconcile.Change) (T, error), encode encode[T]) int {
	p.load.reset()
	p.changes, p.failed = p.changes[:0], nil
	ids := p.room[:0]
	n := 0
	for ; n < len(cs) && len(p.changes) < size && !p.load.full(); n++ {
		c := &cs[n]
		v, err := check(c)
		if err != nil {
			p.failed = append(p.failed, &reconcile.ChangeError{Change: *c, Err: err})
			continue
		}
		do := add
		if c.Action == reconcile.Update {
			do = change
		}
		p.load.add(func(b []byte) (uint8, []byte) { return encode(b, do, v) })
		p.changes = append(p.changes, c)
		ids = append(ids, c.ID)
	}
	p.room = ids
	p.fresh, p.err = r.ledger.RecordAll(ids)
	return n
}

// pieces prepares all of cs, piece by piece in the two that come back through free, until
// one could not be recorded or free is closed. It closes ready when it ends.
func (r *rows[T]) pieces(ctx context.Context, cs []reconcile.Change, free <-chan *piece[T], ready chan<- *piece[T]) {
	defer close(ready)
	check, encode := r.checker(ctx), r.encoder()
	for size := firstPiece; len(cs) > 0; size = min(2*size, maxMessages) {
		p, ok := <-free
		if !ok {
			return
		}
		cs = cs[r.prepare(p, cs, size, check, encode):]
		ready <- p
		if p.err != nil {
			return
		}
	}
}

// put makes and changes rows, and returns the errors of those that cannot be in the table
// and the changes that the kernel refused. Its error leaves changes open, and the ledger is
// then as the table is known to be: what was not ours before and was refused, was not sent,
// or had no answer is not ours after. What is recorded but not sent yet when this process
// dies is not in the table, which is what rows.observe makes of it.
func (r *rows[T]) put(ctx context.Context, cs []reconcile.Change) (failed []error, alone []reconcile.Change, err error) {
	free := make(chan *piece[T], 2)  // closed here, after an error; has room for all pieces
	ready := make(chan *piece[T], 2) // closed by pieces; has room for all pieces
	for range 2 {
		free <- newPiece[T](min(len(cs), maxMessages))
	}
	go r.pieces(ctx, cs, free, ready)
	var began []resource.ID
	for p := range ready {
		if err != nil { // prepared meanwhile, and not sent
			err = errors.Join(err, r.ledger.Forget(p.fresh...))
			continue
		}
		failed = append(failed, p.failed...)
		refused, new, perr := r.deliver(p)
		alone, began = append(alone, refused...), append(began, new...)
		if perr != nil {
			err = perr
			close(free)
			continue
		}
		free <- p
	}
	return failed, alone, errors.Join(err, r.tell(began))
}

// deliver makes the changes of p. It returns those that the kernel refused, and the rows
// of which tell is to hear. With an error nothing of p is made for sure.
func (r *rows[T]) deliver(p *piece[T]) (refused []reconcile.Change, began []resource.ID, err error) {
	if p.err != nil {
		return nil, nil, p.err
	}
	errs, err := r.table.send(&p.load)
	if err != nil {
		return nil, nil, errors.Join(err, r.ledger.Forget(p.fresh...))
	}
	if len(errs) == 0 && r.began == nil {
		return nil, nil, nil
	}
	var lost []resource.ID
	next := 0 // the first of fresh that is not before changes[i]
	for i, c := range p.changes {
		new := next < len(p.fresh) && p.fresh[next] == c.ID
		if new {
			next++
		}
		switch {
		case errs[i] != nil:
			refused = append(refused, *c)
			if new {
				lost = append(lost, c.ID)
			}
		case c.Action == reconcile.Create && r.began != nil:
			began = append(began, c.ID)
		}
	}
	return refused, began, r.ledger.Forget(lost...)
}
