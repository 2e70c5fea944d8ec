package vrrpd

import (
	"math/rand/v2"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hareconcile/hareconcile/internal/nstest"
)

// TestSimulation runs the real loop on all hosts of simulated clusters, which live through
// random losses, delays, reordering, duplicates, pauses, crashes, restarts, partitions,
// changes of priority, resignations and failing gates, and holds simCheck's promises. A
// schedule that breaks one is told with its seed, which in HARECONCILE_SEED repeats it.
func TestSimulation(t *testing.T) {
	if s := os.Getenv("HARECONCILE_SEED"); s != "" {
		seed, err := strconv.ParseUint(s, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		if why := newSimPlan(seed).run(nil); why != "" {
			tellSimulation(t, seed, why)
		}
		return
	}
	first, count := rand.Uint64(), uint64(nstest.Histories(5_000, 1_000_000))
	t.Logf("%d schedules from seed %d", count, first)
	var next, moves atomic.Uint64
	var lived atomic.Int64
	var workers sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		workers.Go(func() {
			for i := next.Add(1); i <= count && !t.Failed(); i = next.Add(1) {
				p := newSimPlan(first + i)
				if why := p.run(nil); why != "" {
					tellSimulation(t, p.seed, why)
				}
				moves.Add(uint64(p.moves))
				lived.Add(int64(p.lived))
			}
		})
	}
	workers.Wait()
	t.Logf("%d transitions in %v of simulated time", moves.Load(), time.Duration(lived.Load()).Round(time.Second))
}

// tellSimulation reports a failure by the shortest history that leads to one.
func tellSimulation(t *testing.T, seed uint64, why string) {
	p := newSimPlan(seed)
	for shorter := true; shorter; {
		shorter = false
		for i := range p.faults {
			q := newSimPlan(seed)
			q.faults = append(append([]simFault(nil), p.faults[:i]...), p.faults[i+1:]...)
			if other := q.run(nil); other != "" {
				p, why, shorter = q, other, true
				break
			}
		}
	}
	var trace strings.Builder
	p.run(&trace)
	t.Errorf("%s\nHARECONCILE_SEED=%d go test ./internal/vrrpd -run TestSimulation repeats it; without what does not matter:\n%s\n%s", why, seed, p, trace.String())
}

// TestSimulationRepeats lives through some schedules twice: a failure that a seed does not
// repeat is worth little.
func TestSimulationRepeats(t *testing.T) {
	first := rand.Uint64()
	for seed := range uint64(20) {
		var a, b strings.Builder
		newSimPlan(first + seed).run(&a)
		newSimPlan(first + seed).run(&b)
		if sorted(a.String()) != sorted(b.String()) {
			t.Fatalf("seed %d has two histories:\n%s\nand\n%s", first+seed, a.String(), b.String())
		}
	}
}

// sorted puts the lines of a trace in order: routers that act at one instant do so in any.
func sorted(trace string) string {
	lines := strings.Split(trace, "\n")
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}
