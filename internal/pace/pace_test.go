package pace

import (
	"fmt"
	"slices"
	"testing"
	"time"
)

func TestDelay(t *testing.T) {
	const s, m = time.Second, time.Minute
	for _, c := range []struct {
		claim    string
		interval time.Duration
		jitter   int
		failures int
		chance   float64
		want     time.Duration
	}{
		{"without chance it is the interval", m, 0, 0, 0.9, m},
		{"chance takes up to the jitter away", m, 10, 0, 0, 54 * s},
		{"or adds it", m, 10, 0, 1, 66 * s},
		{"or neither", m, 10, 0, 0.5, m},
		{"the first failure doubles it", m, 0, 1, 0, 2 * m},
		{"the third one, too", m, 0, 3, 0, 8 * m},
		{"the fourth is at the limit", m, 0, 4, 0, 15 * m},
		{"no number of failures goes beyond", m, 0, 1 << 20, 0, 15 * m},
		{"nor does chance", m, 50, 9, 1, 15 * m},
		{"failures wander, too", m, 10, 9, 0, 13*m + 30*s},
		{"an interval above the limit stays while all is well", time.Hour, 10, 0, 1, 66 * m},
		{"and comes down to it when a look failed", time.Hour, 10, 1, 1, 15 * m},
	} {
		if got := delay(c.interval, c.jitter, c.failures, c.chance); got != c.want {
			t.Errorf("%s: delay = %v, want %v", c.claim, got, c.want)
		}
	}
}

func TestPace(t *testing.T) {
	p := Pace{Interval: time.Minute, Node: "ka1"}
	for k, c := range []struct {
		ok, asked bool
		want      time.Duration
	}{
		{false, false, 4 * time.Second}, {false, false, 8 * time.Second}, // a host that has just booted
		{false, true, 8 * time.Second},         // somebody asked, in vain
		{true, true, slot("ka1", time.Minute)}, // the first success finds the node's place
		{true, false, time.Minute}, {false, true, 2 * time.Minute}, {false, true, 2 * time.Minute}, {false, false, 4 * time.Minute}, {true, false, time.Minute},
	} {
		if got := p.Next(c.ok, c.asked, 0); got != c.want {
			t.Errorf("step %d: Next(%t, %t) = %v, want %v", k, c.ok, c.asked, got, c.want)
		}
	}
}

// TestSlotsSpreadAFleet counts the names of a fleet in each tenth of the interval.
func TestSlotsSpreadAFleet(t *testing.T) {
	tenths := make([]int, 10)
	for n := range 1000 {
		at := slot(fmt.Sprintf("lb%04d.example.com", n), time.Minute)
		if at < 0 || at > time.Minute {
			t.Fatalf("slot = %v, want it within the interval", at)
		}
		tenths[min(9, int(at/(6*time.Second)))]++
	}
	if slices.Min(tenths) < 70 || slices.Max(tenths) > 130 {
		t.Errorf("nodes in each tenth of the interval: %v, want about 100", tenths)
	}
}
