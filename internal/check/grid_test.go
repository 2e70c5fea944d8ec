package check

import (
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// TestGridSharesBeatsEvenly counts the beats of each slot, for crowds of every size.
func TestGridSharesBeatsEvenly(t *testing.T) {
	for _, tt := range []struct {
		interval, slot time.Duration
		slots          int
	}{
		{0, 10 * time.Microsecond, 100}, // as MinInterval
		{100 * time.Millisecond, time.Millisecond, 100},
		{time.Second, 10 * time.Millisecond, 100},
		{1234567 * time.Microsecond, 10 * time.Millisecond, 123},
		{2 * time.Second, 10 * time.Millisecond, 200},
		{10 * time.Second, 10 * time.Millisecond, 1000},
		{time.Hour, 3600 * time.Millisecond, 1000},
	} {
		g := NewGrid(tt.interval)
		held := map[time.Duration]int{}
		starts := map[time.Duration]bool{}
		for n := 1; n <= 2100; n++ {
			at := g.Take(fmt.Sprint("web/rs", n)).Next(-1)
			if at < 0 || at >= max(tt.interval, MinInterval) || at%tt.slot >= orders {
				t.Fatalf("interval %v: a beat at %v, want it %v after a multiple of %v at most", tt.interval, at, orders, tt.slot)
			}
			starts[at] = true
			held[at/tt.slot]++
			if most := (n + tt.slots - 1) / tt.slots; held[at/tt.slot] > most {
				t.Fatalf("interval %v: of %d beats a slot has %d, want at most %d", tt.interval, n, held[at/tt.slot], most)
			}
		}
		if len(held) != tt.slots || g.Len() != 2100 {
			t.Errorf("interval %v: %d slots hold %d beats, want %d and 2100", tt.interval, len(held), g.Len(), tt.slots)
		}
		if len(starts) < 2090 {
			t.Errorf("interval %v: %d of 2100 beats differ, want nearly all", tt.interval, len(starts))
		}
	}
}

// TestGridKeepsPhases: beats are one interval apart, and the same keys have the same ones.
func TestGridKeepsPhases(t *testing.T) {
	for _, interval := range []time.Duration{15 * time.Millisecond, time.Second, 1234567 * time.Microsecond, time.Minute} {
		a, b := NewGrid(interval), NewGrid(interval)
		for i := range 500 {
			key := fmt.Sprint("web/rs", i)
			s := a.Take(key)
			if again := b.Take(key); again != s {
				t.Fatalf("%s has the beats %v and %v", key, s, again)
			}
			at := s.Next(-1)
			for n := range 3 {
				next := s.Next(at)
				if next != at+interval {
					t.Errorf("beat %d of %s comes %v after the one before, want %v", n, key, next-at, interval)
				}
				at = next
			}
		}
	}
}

// TestGridOfFewHasASlotForEach: nobody waits for another while there is room.
func TestGridOfFewHasASlotForEach(t *testing.T) {
	g := NewGrid(time.Second)
	seen := map[time.Duration]bool{}
	var tenths [10]int
	for i := range 40 {
		at := g.Take(fmt.Sprint("web/rs", i)).Next(-1)
		seen[at/slotWidth] = true
		tenths[at*10/time.Second]++
	}
	if len(seen) != 40 {
		t.Errorf("40 beats have %d slots, want one each", len(seen))
	}
	for _, n := range tenths {
		if n == 0 || n > 8 {
			t.Errorf("the tenths of a second have %v of 40 beats, want about 4 each", tenths)
			break
		}
	}
}

// TestGridComeAndGo takes and gives in any order: a new beat never makes its slot fuller than
// the even share, and the room of those that went is used again.
func TestGridComeAndGo(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		g := NewGrid(rapid.SampledFrom([]time.Duration{50 * time.Millisecond, time.Second}).Draw(t, "interval"))
		var have []Schedule
		held := make([]int, len(g.taken))
		for i := range rapid.IntRange(0, 600).Draw(t, "steps") {
			if len(have) > 0 && rapid.IntRange(0, 2).Draw(t, "take") == 0 {
				at := rapid.IntRange(0, len(have)-1).Draw(t, "which")
				g.Give(have[at])
				held[have[at].phase/g.slot]--
				have = append(have[:at], have[at+1:]...)
			} else {
				s := g.Take(fmt.Sprint("web/rs", i))
				have = append(have, s)
				held[s.phase/g.slot]++
				if most := (len(have) + len(held) - 1) / len(held); held[s.phase/g.slot] > most {
					t.Fatalf("the new one of %d is in a slot of %d, want at most %d", len(have), held[s.phase/g.slot], most)
				}
			}
			if g.Len() != len(have) {
				t.Fatalf("Len() = %d, want %d", g.Len(), len(have))
			}
		}
	})
}
