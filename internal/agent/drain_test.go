package agent

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hareconcile/hareconcile/internal/control"
	"github.com/hareconcile/hareconcile/reconcile"
	"github.com/hareconcile/hareconcile/reconcile/resource"
)

// busy gives rs1 that many connections.
func (w *world) busy(n int) {
	w.host.mu.Lock()
	defer w.host.mu.Unlock()
	w.host.busy = map[resource.ID]int{rs1.ID(): n}
}

func drainState(w *world) string {
	for _, d := range w.Status().Drains {
		if d.Server == "web/rs1" {
			return string(d.State)
		}
	}
	return ""
}

func TestADrainWaitsForConnections(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		defer converged(t, w)()
		w.busy(3)
		if _, err := w.Drain(t.Context(), control.DrainRequest{Server: "web/rs1", Deadline: resource.Duration(time.Hour)}); err != nil {
			t.Fatal(err)
		}
		if got := w.weight(); got != 0 {
			t.Fatalf("weight right after the command = %d, want 0", got)
		}
		after(time.Minute)
		if got, d := w.weight(), w.Status().Drains; got != 0 || len(d) != 1 || d[0].Connections != 3 || d[0].State != control.Draining {
			t.Fatalf("weight = %d with drains %+v, want 0 and 3 connections", got, d)
		}
		w.busy(0)
		after(3 * pollInterval)
		if got := w.weight(); got != -1 || drainState(w) != "drained" || w.Status().Phase != control.Converged {
			t.Fatalf("weight = %d, %s; want no entry, drained", got, drainState(w))
		}
		if s := w.Status().Services[0].Servers[0]; !s.Draining || !s.Drained {
			t.Errorf("status of the drained server = %+v, want it drained", s)
		}
		w.verdict("rs1", reconcile.Down)
		w.verdict("rs1", reconcile.Up)
		synctest.Wait()
		if got := w.weight(); got != -1 {
			t.Fatalf("a verdict put a drained server back with weight %d", got)
		}
		if _, err := w.Drain(t.Context(), control.DrainRequest{Server: "web/rs1", Cancel: true}); err != nil {
			t.Fatal(err)
		}
		synctest.Wait() // the status follows the answer
		if got := w.weight(); got != 2 || drainState(w) != "" || w.Status().Drift.Total != 0 {
			t.Errorf("after undrain weight = %d, state %q, drift %d", got, drainState(w), w.Status().Drift.Total)
		}
	})
}

func TestADrainEndsAtItsDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		defer converged(t, w)()
		w.busy(1)
		if _, err := w.Drain(t.Context(), control.DrainRequest{Server: "web/rs1", Deadline: resource.Duration(10 * time.Second)}); err != nil {
			t.Fatal(err)
		}
		after(9 * time.Second)
		if got := w.weight(); got != 0 {
			t.Fatalf("weight before the deadline = %d, want 0", got)
		}
		after(3 * time.Second)
		if got := w.weight(); got != -1 {
			t.Errorf("weight after the deadline = %d, want no entry", got)
		}
		if d := w.Status().Drains; len(d) != 1 || d[0].State != control.Drained || d[0].Connections != 1 {
			t.Errorf("drains = %+v, want rs1 drained with 1 connection cut off", d)
		}
		if _, err := w.Drain(t.Context(), control.DrainRequest{Server: "web/rs1", Cancel: true}); err != nil {
			t.Fatal(err)
		}
		w.busy(0)
		if _, err := w.Drain(t.Context(), control.DrainRequest{Server: "web/rs1"}); err != nil {
			t.Fatal(err)
		}
		after(time.Second)
		if got := w.weight(); got != 0 {
			t.Errorf("weight = %d a second after the drain, want 0: a connection may be being made", got)
		}
		after(2 * time.Second)
		if d := w.Status().Drains; len(d) != 1 || d[0].State != control.Drained || d[0].Connections != 0 {
			t.Errorf("drains = %+v, want rs1 drained again and nothing cut off", d)
		}
	})
}

func TestDrainsOutliveTheAgent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		stop := converged(t, w)
		if _, err := w.Drain(t.Context(), control.DrainRequest{Server: "web/rs1"}); err != nil {
			t.Fatal(err)
		}
		after(time.Minute)
		stop()
		next := newWorld(t)
		next.host, next.orders, next.shelf = w.host, w.orders, w.shelf
		next.Agent = New(next.config())
		defer next.start(t)()
		after(time.Minute)
		next.verdict("rs1", reconcile.Up)
		synctest.Wait()
		if got := next.weight(); got != -1 || drainState(next) != "drained" {
			t.Errorf("weight under the next agent = %d (%s), want no entry", got, drainState(next))
		}
	})
}

func TestTwoDrainsAtATimeAreBothKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.orders.slow = time.Second
		defer converged(t, w)()
		var both sync.WaitGroup
		for _, ref := range []reconcile.ServerRef{"web/rs1", "web/rs2"} {
			both.Go(func() {
				if _, err := w.Drain(t.Context(), control.DrainRequest{Server: ref, Force: true}); err != nil {
					t.Error(err)
				}
			})
		}
		both.Wait()
		synctest.Wait() // the status follows the answer
		kept, _ := w.orders.Load()
		if drains := w.Status().Drains; len(drains) != 2 || len(kept) != 2 {
			t.Errorf("drains = %+v, kept = %+v, want both servers in both", drains, kept)
		}
	})
}

func TestADrainThatCannotBeKeptIsNotBegun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		defer converged(t, w)()
		w.orders.mu.Lock()
		w.orders.err = errors.New("no space left on device")
		w.orders.mu.Unlock()
		_, err := w.Drain(t.Context(), control.DrainRequest{Server: "web/rs1"})
		if err == nil || !strings.Contains(err.Error(), "no space left") || w.weight() != 2 {
			t.Errorf("Drain() = %v with weight %d, want it to fail and change nothing", err, w.weight())
		}
	})
}

func TestTheLastServerIsNotDrainedByMistake(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		defer converged(t, w)()
		w.verdict("rs2", reconcile.Down)
		synctest.Wait()
		if _, err := w.Drain(t.Context(), control.DrainRequest{Server: "web/rs1"}); err == nil || w.weight() != 2 {
			t.Errorf("Drain() of the last server = %v with weight %d, want a refusal", err, w.weight())
		}
		if _, err := w.Drain(t.Context(), control.DrainRequest{Server: "web/rs1", Force: true}); err != nil || w.weight() != 0 {
			t.Errorf("Drain() with force = %v with weight %d, want 0", err, w.weight())
		}
	})
}

// TestAPushDrainsWhoItDrops takes rs1 out of a pool that lets servers go in peace.
func TestAPushDrainsWhoItDrops(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		defer converged(t, w)()
		w.busy(2)
		r := lab("bbbbbbb", 2)
		r.Cluster.Pools[0].Drain = time.Hour
		r.Cluster.Pools[0].Servers = r.Cluster.Pools[0].Servers[1:]
		w.origin.push(r)
		after(time.Minute)
		if s := w.Status(); w.weight() != 0 || s.Phase != control.Converged {
			t.Fatalf("weight = %d, %s (%s); want 0 and converged", w.weight(), s.Phase, s.Message)
		}
		d := w.Status().Drains
		if len(d) != 1 || d[0].Server != "172.25.254.110 of virtual_server.http" || !d[0].Removed || d[0].Connections != 2 || d[0].Until.Sub(d[0].Since) != time.Hour {
			t.Errorf("drains = %+v, want what the file has no more", d)
		}
		w.busy(0)
		after(3 * pollInterval)
		if got, d := w.weight(), w.Status().Drains; got != -1 || len(d) != 0 {
			t.Errorf("weight = %d with drains %+v after the last connection, want no entry", got, d)
		}
	})
}

// TestOrdersOfTwoPeopleBothCount has a disk that is slow enough for both to be under way.
func TestOrdersOfTwoPeopleBothCount(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		defer converged(t, w)()
		w.orders.slow = time.Second
		errs := make(chan error, 2)
		for _, server := range []reconcile.ServerRef{"web/rs1", "web/rs2"} {
			go func() {
				_, err := w.Drain(t.Context(), control.DrainRequest{Server: server, Force: true})
				errs <- err
			}()
		}
		if err := errors.Join(<-errs, <-errs); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if kept, _ := w.orders.Load(); len(kept) != 2 || len(w.Status().Drains) != 2 {
			t.Errorf("on disk = %+v, in force = %+v; want two each", kept, w.Status().Drains)
		}
	})
}

// TestAnOrderOnDiskCounts has somebody hang up while the order is being written.
func TestAnOrderOnDiskCounts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		defer converged(t, w)()
		w.orders.slow = time.Second
		ctx, cancel := context.WithTimeout(t.Context(), time.Second/2)
		defer cancel()
		_, err := w.Drain(ctx, control.DrainRequest{Server: "web/rs1"})
		if kept, _ := w.orders.Load(); err != nil || len(kept) != 1 || w.weight() != 0 {
			t.Errorf("Drain() = %v with %+v on disk and weight %d, want it in force", err, kept, w.weight())
		}
	})
}

// TestATableThatCannotBeReadIsNotDrained would have somebody switch off a busy server.
func TestATableThatCannotBeReadIsNotDrained(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		defer converged(t, w)()
		w.busy(3)
		if _, err := w.Drain(t.Context(), control.DrainRequest{Server: "web/rs1", Deadline: resource.Duration(time.Minute)}); err != nil {
			t.Fatal(err)
		}
		after(40 * time.Second)
		blind := func(err error) {
			w.host.mu.Lock()
			defer w.host.mu.Unlock()
			w.host.blind[resource.KindIPVSServer] = err
		}
		blind(errors.New("no buffer space available"))
		after(10 * time.Second)
		if got := drainState(w); got != "draining" {
			t.Errorf("state = %q while the table cannot be read, want draining", got)
		}
		blind(nil)
		after(12 * time.Second)
		if got := w.weight(); got != -1 {
			t.Errorf("weight after the deadline = %d, want no entry: it does not begin anew", got)
		}
	})
}

// TestAnOrderCanBeTakenBackOfAServerThatIsGone: a server of that name that comes back later
// would be drained from the start, and nobody would remember why.
func TestAnOrderCanBeTakenBackOfAServerThatIsGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		defer converged(t, w)()
		if _, err := w.Drain(t.Context(), control.DrainRequest{Server: "web/rs1"}); err != nil {
			t.Fatal(err)
		}
		r := lab("bbbbbbb", 2)
		r.Cluster.Pools[0].Servers = r.Cluster.Pools[0].Servers[1:]
		w.origin.push(r)
		after(time.Minute)
		if _, err := w.Drain(t.Context(), control.DrainRequest{Server: "web/rs1", Cancel: true}); err != nil {
			t.Fatal(err)
		}
		w.origin.push(lab("ccccccc", 2))
		after(time.Minute)
		w.verdict("rs1", reconcile.Up)
		synctest.Wait()
		if got := w.weight(); got != 2 {
			t.Errorf("weight = %d, want the server that came back to be in service", got)
		}
	})
}
