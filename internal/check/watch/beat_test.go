package watch

import (
	"fmt"
	"maps"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/hareconcile/hareconcile/internal/check"
)

// beats runs the list until end and returns when samples of each key began. answer makes a
// sample and says how long it takes.
func beats(l *List[string], from, end time.Duration, answer func(e *Entry[string], now time.Duration) (Sample, time.Duration)) map[string][]time.Duration {
	out := map[string][]time.Duration{}
	type result struct {
		e  *Entry[string]
		s  Sample
		at time.Duration
	}
	var flying []result
	for now := from; now <= end; {
		for e := l.Next(now); e != nil; e = l.Next(now) {
			out[e.Key()] = append(out[e.Key()], now)
			s, took := answer(e, now)
			flying = append(flying, result{e, s, now + took})
		}
		next := now + max(l.Wait(now, time.Hour), 1)
		rest := flying[:0]
		for _, r := range flying {
			if r.at <= now {
				l.Finish(r.e, r.s, now, time.Unix(0, int64(now)))
				next = now
				continue
			}
			rest = append(rest, r)
			next = min(next, r.at)
		}
		flying = rest
		now = next
	}
	return out
}

func always(letter byte, took time.Duration) func(*Entry[string], time.Duration) (Sample, time.Duration) {
	return func(*Entry[string], time.Duration) (Sample, time.Duration) { return sampleOf(letter), took }
}

func crowd(n int, c Check[string]) []Target[string] {
	var ts []Target[string]
	for i := range n {
		ts = append(ts, Target[string]{Key: fmt.Sprintf("web/rs%d", i), Checks: []Check[string]{c}})
	}
	return ts
}

func TestSamplesComeEachInterval(t *testing.T) {
	for name, took := range map[string]time.Duration{"at once": 0, "in most of the interval": 900 * time.Millisecond} {
		l := New[string]()
		l.Set(crowd(1, one("a")), 0, time.Time{})
		got := beats(l, 0, 10*time.Second, always('u', took))["web/rs0"]
		if len(got) != 10 {
			t.Errorf("%s: %d samples in 10 s, want 10", name, len(got))
		}
		for i := 1; i < len(got); i++ {
			if got[i]-got[i-1] != time.Second {
				t.Errorf("%s: samples %v apart, want 1s", name, got[i]-got[i-1])
			}
		}
	}
}

func TestASampleThatOutlastsItsIntervalIsNotDoubled(t *testing.T) {
	l := New[string]()
	l.Set(crowd(1, one("a")), 0, time.Time{})
	got := beats(l, 0, 10*time.Second, always('u', 1500*time.Millisecond))["web/rs0"]
	if len(got) != 5 {
		t.Errorf("samples at %v, want every second beat", got)
	}
}

func TestTheFirstSampleComesSoon(t *testing.T) {
	c := one("a")
	c.Interval = time.Hour
	l := New[string]()
	l.Set(crowd(1000, c), 90*time.Minute, time.Time{})
	var slots [5]int
	for _, at := range beats(l, 90*time.Minute, 90*time.Minute+soon, always('u', 0)) {
		slots[min(int((at[0]-90*time.Minute)*5/soon), 4)]++
	}
	for i, n := range slots {
		if n < 150 || n > 250 {
			t.Errorf("%d first samples in second %d, want about 200 of 1000: %v", n, i, slots)
		}
	}
}

func TestRetryWhileTheVerdictTurns(t *testing.T) {
	c := two("a")
	c.Interval, c.Retry, c.Rules.Fall = time.Minute, time.Second, 3
	l := New[string]()
	l.Set([]Target[string]{{Key: "x", Checks: []Check[string]{c}, Initial: check.Up}}, 0, time.Time{})
	down := false
	n := 0
	got := beats(l, 0, 10*time.Minute, func(_ *Entry[string], now time.Duration) (Sample, time.Duration) {
		n++
		if down = now > 5*time.Minute; down {
			return sampleOf('d'), 100 * time.Millisecond
		}
		return sampleOf('u'), 0
	})["x"]
	var quick int
	for i := 1; i < len(got); i++ {
		switch gap := got[i] - got[i-1]; {
		case gap <= c.Retry+100*time.Millisecond:
			quick++
		case gap < c.Interval/2 || gap > c.Interval*3/2:
			t.Errorf("samples %v apart, want a second or about a minute", gap)
		}
	}
	if quick != 3 { // one to be measured, two to fall
		t.Errorf("%d of %d samples came after Retry, want 3: %v", quick, len(got), got)
	}
}

func TestJitterWandersAndIsTheSameEachTime(t *testing.T) {
	c := one("a")
	c.Jitter = 20
	var runs [2][]time.Duration
	for i := range runs {
		l := New[string]()
		l.Set(crowd(1, c), 0, time.Time{})
		runs[i] = beats(l, 0, 50*time.Second, always('u', 0))["web/rs0"]
	}
	gaps := map[time.Duration]bool{}
	for i := 1; i < len(runs[0]); i++ {
		gap := runs[0][i] - runs[0][i-1]
		gaps[gap] = true
		if gap < 800*time.Millisecond || gap > 1200*time.Millisecond || runs[0][i] != runs[1][i] {
			t.Errorf("gap %v, beats %v and %v", gap, runs[0][i], runs[1][i])
		}
	}
	if len(runs[0]) < 49 || len(gaps) < 20 {
		t.Errorf("%d samples, %d different gaps", len(runs[0]), len(gaps))
	}
}

// TestAPauseMakesNoHerd: after a stop all are overdue, and none of them runs at once.
func TestAPauseMakesNoHerd(t *testing.T) {
	const n = 2000
	for _, interval := range []time.Duration{time.Second, 20 * time.Second} {
		c := one("a")
		c.Interval = interval
		l := New[string]()
		l.Set(crowd(n, c), 0, time.Time{})
		beats(l, 0, 60*time.Second, always('u', 0))
		woke := 160 * time.Second
		spread := min(interval, soon)
		var slots [10]int
		for _, at := range beats(l, woke, woke+spread, always('u', 0)) {
			slots[min(int((at[0]-woke)*10/spread), 9)]++
		}
		for i, got := range slots {
			if got > n/10*14/10 {
				t.Errorf("interval %v: %d samples in tenth %d after the pause, want about %d: %v", interval, got, i, n/10, slots)
			}
		}
		if l.Skipped() != n {
			t.Errorf("interval %v: %d were passed over, want %d", interval, l.Skipped(), n)
		}
	}
}

// TestNobodyIsPassedOverTwice: a loop that is always late still makes its samples.
func TestNobodyIsPassedOverTwice(t *testing.T) {
	l := New[string]()
	l.Set(crowd(100, one("a")), 0, time.Time{})
	seen := map[string]bool{}
	for now := time.Duration(0); now < 30*time.Second; now += 2 * time.Second {
		for e := l.Next(now); e != nil; e = l.Next(now) {
			seen[e.Key()] = true
			l.Finish(e, sampleOf('u'), now, time.Time{})
		}
	}
	if len(seen) != 100 {
		t.Errorf("%d of 100 were sampled", len(seen))
	}
}

// TestVerdictsDoNotDependOnOrder: whatever the order in which different checks' samples
// arrive, each check's own being in order, the verdicts are the same at the end.
func TestVerdictsDoNotDependOnOrder(t *testing.T) {
	letters := []byte("udw?5")
	rapid.Check(t, func(t *rapid.T) {
		checks := rapid.IntRange(1, 3).Draw(t, "checks")
		anyPass := rapid.Bool().Draw(t, "any")
		samples := make([][]byte, checks)
		var order []int
		for i := range samples {
			samples[i] = rapid.SliceOfN(rapid.SampledFrom(letters), 0, 8).Draw(t, "samples")
			for range samples[i] {
				order = append(order, i)
			}
		}
		var results []map[string]check.State
		for range 2 {
			shuffled := rapid.Permutation(order).Draw(t, "order")
			l := New[string]()
			target := Target[string]{Key: "x", Any: anyPass}
			for i := range checks {
				target.Checks = append(target.Checks, two(fmt.Sprint(i)))
			}
			l.Set([]Target[string]{target}, 0, time.Time{})
			at := make([]int, checks)
			last := check.Unknown
			for step, i := range shuffled {
				e := l.targets["x"].entries[i]
				l.queue.Remove(&e.mark)
				if r, ok := l.Finish(e, sampleOf(samples[i][at[i]]), time.Duration(step), time.Time{}); ok {
					last = r.Verdict
				}
				at[i]++
			}
			if last != l.Verdict("x") {
				t.Fatalf("told %q last, the verdict is %q", last, l.Verdict("x"))
			}
			results = append(results, map[string]check.State{"x": last})
		}
		if !maps.Equal(results[0], results[1]) {
			t.Fatalf("verdicts %v and %v", results[0], results[1])
		}
	})
}

func TestSteadyStateDoesNotAllocate(t *testing.T) {
	l := New[string]()
	l.Set(crowd(10_000, one("a")), 0, time.Time{})
	now := time.Duration(0)
	work := func() {
		now += time.Second
		for e := l.Next(now); e != nil; e = l.Next(now) {
			l.Finish(e, Sample{State: check.Up, Message: "fine"}, now, time.Time{})
		}
	}
	work()
	work()
	if n := testing.AllocsPerRun(3, work); n != 0 {
		t.Errorf("10,000 samples allocate %v times, want none", n)
	}
}
