package check

import (
	"fmt"
	"testing"
	"time"
)

func TestScheduleKeepsItsPhase(t *testing.T) {
	s := NewSchedule("web/rs1", time.Second)
	first := s.Next(-1)
	if first < 0 || first >= time.Second {
		t.Fatalf("first beat at %v, want within the first interval", first)
	}
	if again := NewSchedule("web/rs1", time.Second).Next(-1); again != first {
		t.Errorf("the same key gives %v and %v", first, again)
	}
	for _, tt := range []struct {
		name      string
		now, want time.Duration
	}{
		{"a beat is followed by the next one", first, first + time.Second},
		{"a late completion does not shift the beat", first + 700*time.Millisecond, first + time.Second},
		{"missed beats are skipped", first + 10*time.Second + 1, first + 11*time.Second},
		{"just before a beat it is that beat", first + 3*time.Second - 1, first + 3*time.Second},
	} {
		if got := s.Next(tt.now); got != tt.want {
			t.Errorf("%s: Next(%v) = %v, want %v", tt.name, tt.now, got, tt.want)
		}
	}
}

func TestSchedulesAreSpread(t *testing.T) {
	const n, slots = 10_000, 20
	for _, format := range []string{"web/rs%d", "%d", "pool-%d/server/http"} {
		var hist [slots]int
		for i := range n {
			at := NewSchedule(fmt.Sprintf(format, i), time.Minute).Next(-1)
			hist[int(at*slots/time.Minute)]++
		}
		for i, got := range hist {
			if got < n/slots*8/10 || got > n/slots*12/10 {
				t.Errorf("%s: slot %d holds %d of %d checks, want about %d", format, i, got, n, n/slots)
			}
		}
	}
}

func TestScheduleOfNoInterval(t *testing.T) {
	for _, d := range []time.Duration{0, -time.Hour} {
		if got := NewSchedule("x", d).Next(0); got <= 0 || got > MinInterval {
			t.Errorf("NewSchedule(x, %v).Next(0) = %v, want within %v", d, got, MinInterval)
		}
	}
}
