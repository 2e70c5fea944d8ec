package checker

import (
	"testing"
	"time"
)

// TestTimepieceNeverRunsBackwards, however looks and glances are mixed, and is never ahead of
// the clock.
func TestTimepieceNeverRunsBackwards(t *testing.T) {
	var p timepiece
	last := p.look()
	for i := range 10_000 {
		now := p.glance()
		if i%7 == 0 {
			now = p.look()
		}
		if now < last {
			t.Fatalf("time %d is %v, the one before was %v", i, now, last)
		}
		if ahead := now - clock(); ahead > 0 {
			t.Fatalf("time %d is %v ahead of the clock", i, ahead)
		}
		last = now
	}
	if d := time.Until(p.wall(p.glance())).Abs(); d > time.Second {
		t.Errorf("the wall clock is off by %v", d)
	}
}
