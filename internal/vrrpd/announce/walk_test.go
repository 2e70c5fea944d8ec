package announce_test

import (
	"fmt"
	"math/rand/v2"
	"syscall"
	"testing"
	"time"

	"github.com/hareconcile/hareconcile/internal/vrrpd/announce"
)

// TestRandomWalk lets owners come, go and ask for more on interfaces that are full at
// times. Whatever happens, paced frames keep their distance, nobody sends after it was
// dropped, and everything that was asked for is sent in the end.
func TestRandomWalk(t *testing.T) {
	const owners, interfaces, pace = 12, 4, 3 * time.Millisecond
	for seed := range uint64(200) {
		r := rand.New(rand.NewPCG(seed, 1))
		g := newSegment(t)
		full := map[int]bool{}
		g.fail = func(index int) error {
			if full[index] {
				return syscall.ENOBUFS
			}
			return nil
		}
		policy := func(index int) announce.Policy {
			p := announce.Policy{Repeat: 1 + r.IntN(4), Delay: -1}
			if index%2 == 1 {
				p.Interval = pace
			}
			return p
		}
		holds := map[int][]string{} // addresses by owner
		owes := map[string]bool{}   // addresses that must be sent before all is over
		last := map[int]time.Duration{}
		check := func() {
			for _, f := range g.take() {
				if at, ok := last[f.Index]; ok && f.Index%2 == 1 && f.At-at < pace {
					t.Fatalf("seed %d: %v and %v on interface %d", seed, at, f.At, f.Index)
				}
				last[f.Index] = f.At
				var owner, n int
				fmt.Sscanf(f.What, "10.0.%d.%d", &owner, &n)
				if n >= len(holds[owner]) || holds[owner][n] != f.What {
					t.Fatalf("seed %d: %s is announced and nobody holds it", seed, f.What)
				}
				delete(owes, f.What)
			}
		}
		for range 60 {
			owner := r.IntN(owners)
			index := 1 + owner%interfaces
			name := fmt.Sprint(owner)
			switch r.IntN(5) {
			case 0, 1:
				holds[owner] = nil
				for n := range 1 + r.IntN(5) {
					a := fmt.Sprintf("10.0.%d.%d", owner, n)
					holds[owner], owes[a] = append(holds[owner], a), true
				}
				g.s.Start(name, targets(index, holds[owner]...), policy(index), g.now)
				for n := len(holds[owner]); n < 5; n++ {
					delete(owes, fmt.Sprintf("10.0.%d.%d", owner, n))
				}
			case 2:
				g.s.Again(name, g.now)
				for _, a := range holds[owner] {
					owes[a] = true
				}
			case 3:
				g.s.Drop(name)
				for _, a := range holds[owner] {
					delete(owes, a)
				}
				holds[owner] = nil
			case 4:
				full[index] = !full[index]
			}
			g.run(time.Duration(r.IntN(20)) * time.Millisecond)
			check()
		}
		clear(full)
		g.run(time.Minute)
		check()
		if len(owes) > 0 || g.s.Next() != never {
			t.Fatalf("seed %d: %v were not announced; Next() = %v", seed, owes, g.s.Next())
		}
	}
}
