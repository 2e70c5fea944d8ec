package ipvs

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/hareconcile/hareconcile/internal/ledger"
	"github.com/hareconcile/hareconcile/reconcile"
	"github.com/hareconcile/hareconcile/reconcile/reconciletest"
	"github.com/hareconcile/hareconcile/reconcile/resource"
)

// A putter is a table in memory whose sends can be watched, beside the ledger on disk.
type putter struct {
	*fake
	dir     string
	ledger  *ledger.Ledger
	h       services
	sent    int
	onSend  func() // before the sent-th send is answered
	refuse  error  // what the next send fails with before the kernel has it
	watched func() // after each send
}

func newPutter(t *testing.T) *putter {
	t.Helper()
	p := &putter{fake: &fake{}, dir: t.TempDir()}
	l, err := ledger.Open(p.dir)
	if err != nil {
		t.Fatal(err)
	}
	p.ledger = l
	p.h = newServices(func() (socket, uint16, error) {
		_, family, err := p.dial()
		return p, family, err
	}, l, t.TempDir())
	return p
}

// Send implements socket.
func (p *putter) Send(b []byte) error {
	p.sent++
	if p.onSend != nil {
		p.onSend()
	}
	if err := p.refuse; err != nil {
		p.refuse = nil
		return err
	}
	err := p.fake.Send(b)
	if p.watched != nil {
		p.watched()
	}
	return err
}

// onDisk returns how many services are recorded, and complains of one in the table that is not.
func (p *putter) onDisk(t *testing.T) int {
	t.Helper()
	l, err := ledger.Open(p.dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range p.list {
		if key, _ := serviceKey(s.Service); !l.Has(resource.IPVSService{ServiceKey: key}.ID()) {
			t.Fatalf("%s is in the table and not in the ledger", key)
		}
	}
	return l.Count(resource.KindIPVSService)
}

// state compares what is in the table, and what is recorded in memory and on disk, with cs.
func (p *putter) state(t *testing.T, table, recorded []reconcile.Change) {
	t.Helper()
	var have, ours, want []resource.ID
	for _, s := range p.list {
		key, _ := serviceKey(s.Service)
		have = append(have, resource.IPVSService{ServiceKey: key}.ID())
	}
	for _, c := range table {
		want = append(want, c.ID)
	}
	if !slices.Equal(have, want) {
		t.Errorf("%d services in the table, want %d", len(have), len(want))
	}
	for _, c := range recorded {
		ours = append(ours, c.ID)
	}
	slices.SortFunc(ours, func(a, b resource.ID) int { return strings.Compare(a.Name, b.Name) })
	again, err := ledger.Open(p.dir)
	if err != nil {
		t.Fatal(err)
	}
	for where, l := range map[string]*ledger.Ledger{"memory": p.ledger, "disk": again} {
		if got := l.IDs(resource.KindIPVSService); !slices.Equal(got, ours) {
			t.Errorf("%d services recorded in %s, want %d", len(got), where, len(ours))
		}
	}
}

// retry applies cs as a plan does after an error, and wants all of them to be ours.
func (p *putter) retry(t *testing.T, cs []reconcile.Change) {
	t.Helper()
	if err := (reconcile.Plan{Changes: cs}).Apply(t.Context(), []reconcile.Handler{p.h}, nil); err != nil {
		t.Fatal(err)
	}
	for _, c := range cs {
		if !p.ledger.Has(c.ID) {
			t.Fatalf("%s is not ours", c.ID)
		}
	}
	if live := reconciletest.Observe(t, p.h); len(live.Owned) != len(cs) || len(live.Foreign) != 0 {
		t.Errorf("%d are ours and %d of others, want %d and none", len(live.Owned), len(live.Foreign), len(cs))
	}
}

// TestNothingIsMadeThatIsNotRecorded looks at the disk whenever the kernel was asked.
func TestNothingIsMadeThatIsNotRecorded(t *testing.T) {
	p := newPutter(t)
	cs := creations(1000)
	p.watched = func() {
		if n := p.onDisk(t); n > len(p.list)+2*maxMessages {
			t.Errorf("%d are recorded and %d made, want two pieces more at most", n, len(p.list))
		}
	}
	if err := p.h.ApplyAll(t.Context(), cs); err != nil {
		t.Fatal(err)
	}
	p.state(t, cs, cs)
	if p.sent != 6 { // 32, 64, 128, 256, and twice what fits
		t.Errorf("%d sends, want 6", p.sent)
	}
}

// TestRefusedOnesAreNotOurs has the kernel refuse the first, the last and others of pieces:
// for a scheduler that it lacks, after which it is dialled anew, and for somebody else's.
func TestRefusedOnesAreNotOurs(t *testing.T) {
	p := newPutter(t)
	cs := creations(1000)
	var bad []resource.ID
	var good []reconcile.Change
	theirs := map[int]bool{31: true, 384: true, 640: true}
	for i, c := range cs {
		s := c.After.(resource.IPVSService)
		if theirs[i] {
			e, _ := kernelService(s)
			e.Scheduler = "lc"
			if err := p.CreateService(e.Service); err != nil {
				t.Fatal(err)
			}
		}
		if theirs[i] || slices.Contains([]int{0, 32, 95, 96, 500, 991, 992, 999}, i) {
			if !theirs[i] {
				s.Scheduler = "nosuch"
				cs[i].After = s
			}
			bad = append(bad, c.ID)
			continue
		}
		good = append(good, c)
	}
	if ids := culprits(p.h.ApplyAll(t.Context(), cs)); !slices.Equal(ids, bad) {
		t.Errorf("ApplyAll names %v, want %v", ids, bad)
	}
	p.state(t, append([]reconcile.Change{cs[31], cs[384], cs[640]}, good...), good)
}

// The third piece is between these.
const third, fourth = 3 * firstPiece, 7 * firstPiece

// TestAPieceWithoutAnAnswer loses what the kernel says of the third piece, or the piece.
func TestAPieceWithoutAnAnswer(t *testing.T) {
	for claim, c := range map[string]struct {
		fail func(p *putter)
		made int
	}{
		"the answer is lost": {func(p *putter) { p.lose = 1 }, fourth},
		"the send fails":     {func(p *putter) { p.refuse = syscall.ENOBUFS }, third},
	} {
		t.Run(claim, func(t *testing.T) {
			p := newPutter(t)
			cs := creations(1000)
			p.onSend = func() {
				if p.sent == 3 {
					c.fail(p)
				}
			}
			if err := p.h.ApplyAll(t.Context(), cs); !errors.Is(err, syscall.ENOBUFS) || p.sent != 3 {
				t.Errorf("ApplyAll = %v after %d sends, want ENOBUFS after 3", err, p.sent)
			}
			p.state(t, cs[:c.made], cs[:third])
			p.retry(t, cs)
		})
	}
}

// TestAPieceThatCannotBeRecorded has no room in the ledger for one object of the third piece.
func TestAPieceThatCannotBeRecorded(t *testing.T) {
	p := newPutter(t)
	cs := creations(1000)
	bad := third + 10
	name := cs[bad].ID.Name
	cs[bad].ID.Name = strings.Repeat("x", 100_000)
	if err := p.h.ApplyAll(t.Context(), cs); err == nil || len(culprits(err)) > 0 {
		t.Errorf("ApplyAll = %v, want an error of the whole", err)
	}
	p.state(t, cs[:third], cs[:third])
	cs[bad].ID.Name = name
	p.retry(t, cs)
}

// TestCancelledWhileABatchIsMade ends the batch that is being made, and begins no other.
func TestCancelledWhileABatchIsMade(t *testing.T) {
	p := newPutter(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	p.onSend = cancel
	cs := creations(5000)
	made := 0
	err := reconcile.Plan{Changes: cs}.Apply(ctx, []reconcile.Handler{p.h}, func(reconcile.Change) { made++ })
	if ids := culprits(err); !errors.Is(err, context.Canceled) || len(ids) != len(cs)-made || made == 0 || ids[0] != cs[made].ID {
		t.Errorf("Apply names %d of %d changes with %d made, want the others", len(ids), len(cs), made)
	}
	p.state(t, cs[:made], cs[:made])
	p.onSend = nil
	p.retry(t, cs)
}

// TestWhateverHappensTheLedgerIsTrue breaks batches at random, with others' services in the way:
// what is recorded is in the table and nobody else's, and what is not is made the next time.
func TestWhateverHappensTheLedgerIsTrue(t *testing.T) {
	for seed := range uint64(100) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			r := rand.New(rand.NewPCG(seed, 1))
			p := newPutter(t)
			cs := creations(1 + r.IntN(4*maxMessages))
			theirs := map[resource.ID]bool{}
			for i, c := range cs {
				s := c.After.(resource.IPVSService)
				switch r.IntN(50) {
				case 0:
					e, _ := kernelService(s)
					e.Scheduler = "lc"
					theirs[c.ID] = true
					if err := p.CreateService(e.Service); err != nil {
						t.Fatal(err)
					}
				case 1: // ours already
					if err := p.h.Apply(t.Context(), c); err != nil {
						t.Fatal(err)
					}
				case 2: // ours already, and changed
					if err := p.h.Apply(t.Context(), c); err != nil {
						t.Fatal(err)
					}
					s.Scheduler = "wlc"
					cs[i] = reconcile.Change{Action: reconcile.Update, ID: c.ID, Before: c.After, After: s}
				}
			}
			bad := p.sent + 1 + r.IntN(5)
			p.onSend = func() {
				switch {
				case p.sent != bad:
				case r.IntN(2) == 0:
					p.lose = 1
				default:
					p.refuse = syscall.ENOBUFS
				}
			}
			_ = p.h.ApplyAll(t.Context(), cs)
			table := map[resource.ID]bool{}
			for _, s := range p.list {
				key, _ := serviceKey(s.Service)
				table[resource.IPVSService{ServiceKey: key}.ID()] = true
			}
			for _, id := range p.ledger.IDs(resource.KindIPVSService) {
				if theirs[id] || !table[id] {
					t.Fatalf("%s is recorded: theirs %v, in the table %v", id, theirs[id], table[id])
				}
			}
			p.onSend = nil
			for _, id := range culprits(p.h.ApplyAll(t.Context(), cs)) {
				if !theirs[id] {
					t.Errorf("%s cannot be made", id)
				}
			}
			if got, want := p.ledger.Count(resource.KindIPVSService), len(cs)-len(theirs); got != want {
				t.Errorf("%d are ours in the end, want %d", got, want)
			}
		})
	}
}

// TestNewServicesOfABatchHaveNoServers has the ledger know servers of an earlier service.
func TestNewServicesOfABatchHaveNoServers(t *testing.T) {
	p := newPutter(t)
	cs := creations(200)
	stale := resource.ID{Kind: resource.KindIPVSServer, Name: cs[100].ID.Name + arrow + "192.0.2.9:80"}
	other := resource.ID{Kind: resource.KindIPVSServer, Name: "tcp 192.0.2.1:80" + arrow + "192.0.2.9:80"}
	for _, id := range []resource.ID{stale, other} {
		if err := p.ledger.Record(id, ""); err != nil {
			t.Fatal(err)
		}
	}
	if err := p.h.ApplyAll(t.Context(), cs); err != nil {
		t.Fatal(err)
	}
	if p.ledger.Has(stale) || !p.ledger.Has(other) {
		t.Errorf("ours: a server of a new service %v, another %v; want false and true", p.ledger.Has(stale), p.ledger.Has(other))
	}
}

// TestWhatCannotBeMadeIsNamedOnce has one such service in the first of many pieces, and a piece
// of nothing else.
func TestWhatCannotBeMadeIsNamedOnce(t *testing.T) {
	for n, bad := range map[int][]int{1000: {3}, 5: {0, 1, 2, 3, 4}} {
		p := newPutter(t)
		cs := creations(n)
		var want []resource.ID
		for _, i := range bad {
			s := cs[i].After.(resource.IPVSService)
			s.Flags = resource.NewList("nosuch")
			cs[i].After = s
			want = append(want, cs[i].ID)
		}
		if ids := culprits(p.h.ApplyAll(t.Context(), cs)); !slices.Equal(ids, want) {
			t.Errorf("ApplyAll names %v, want %v", ids, want)
		}
		if n := p.ledger.Count(resource.KindIPVSService); n != len(cs)-len(bad) {
			t.Errorf("%d are ours, want %d", n, len(cs)-len(bad))
		}
	}
}
