package watch

import (
	"cmp"
	"slices"
	"testing"
	"time"
)

const slot = 10 * time.Millisecond

// most is how many samples began in one slot at most.
func most(got map[string][]time.Duration) int {
	slots, out := map[time.Duration]int{}, 0
	for _, at := range got {
		for _, at := range at {
			slots[at/slot]++
			out = max(out, slots[at/slot])
		}
	}
	return out
}

// TestCrowdsStartInSlots: 500 a second are at most 100 wake-ups of five, in one order.
func TestCrowdsStartInSlots(t *testing.T) {
	l := New[string]()
	l.Set(crowd(500, one("a")), 0, time.Time{})
	type start struct {
		key string
		at  time.Duration
	}
	var starts []start
	for key, at := range beats(l, 0, 4*time.Second-1, always('u', 3*time.Millisecond)) {
		if len(at) != 4 {
			t.Errorf("%s has %d samples in 4 s, want 4", key, len(at))
		}
		for i, at := range at {
			if i > 0 && at < time.Duration(i)*time.Second {
				t.Errorf("sample %d of %s is at %v", i, key, at)
			}
			starts = append(starts, start{key, at})
		}
	}
	slices.SortFunc(starts, func(a, b start) int { return cmp.Or(cmp.Compare(a.at, b.at), cmp.Compare(a.key, b.key)) })
	slots := map[time.Duration]int{}
	for i, s := range starts {
		slots[s.at/slot]++
		if i >= 500 && (s.at-starts[i-500].at != time.Second || s.key != starts[i-500].key) {
			t.Fatalf("sample %d is %v, 500 before it was %v: want the same one a second later", i, s, starts[i-500])
		}
	}
	if len(slots) != 400 {
		t.Errorf("%d slots of 4 s are used, want all 400", len(slots))
	}
	for at, n := range slots {
		if n != 5 {
			t.Errorf("%d samples begin at %v, want 5", n, at*slot)
		}
	}
}

// TestComingAndGoingMovesNobody has a third of the servers replaced, and back again.
func TestComingAndGoingMovesNobody(t *testing.T) {
	l := New[string]()
	all := crowd(900, one("a"))
	now := time.Duration(0)
	last := map[string]time.Duration{}
	for i, ts := range [][]Target[string]{all[:600], all[300:], all[:600], all[:300], all} {
		l.Set(ts, now, time.Time{})
		got := beats(l, now, now+2*time.Second-1, always('u', 0))
		if len(got) != len(ts) {
			t.Fatalf("step %d: %d servers were looked at, want %d", i, len(got), len(ts))
		}
		share := (len(ts) + 99) / 100
		if n := most(got); n > share+3 { // those who stay keep their slots, however many went
			t.Errorf("step %d: %d samples begin in one slot, want about %d", i, n, share)
		}
		for key, at := range got {
			if before, ok := last[key]; ok && at[0]-before != time.Second || len(at) == 2 && at[1]-at[0] != time.Second {
				t.Errorf("step %d: samples of %s at %v, the one before at %v: want them a second apart", i, key, at, before)
			}
		}
		clear(last)
		for key, at := range got {
			last[key] = at[len(at)-1]
		}
		now += 2 * time.Second
	}
}

// TestAnotherCheckOfAllLeavesTheirSlots: what replaces a check has the room that it had.
func TestAnotherCheckOfAllLeavesTheirSlots(t *testing.T) {
	l := New[string]()
	now := time.Duration(0)
	for _, fingerprint := range []string{"a", "b", "a", "c"} {
		l.Set(crowd(500, one(fingerprint)), now, time.Time{})
		if n := most(beats(l, now, now+2*time.Second-1, always('u', 0))); n != 5 {
			t.Errorf("check %s: %d samples begin in one slot, want 5", fingerprint, n)
		}
		now += 2 * time.Second
	}
	if l.Set(nil, now, time.Time{}); len(l.grids) != 0 {
		t.Errorf("%d grids are kept for nobody", len(l.grids))
	}
}

// TestAPauseKeepsSlotsSmall: who was stopped comes back in the slots of old.
func TestAPauseKeepsSlotsSmall(t *testing.T) {
	l := New[string]()
	l.Set(crowd(500, one("a")), 0, time.Time{})
	before := beats(l, 0, time.Second-1, always('u', 0))
	const woke = 100*time.Second + 3333*time.Microsecond
	after := beats(l, woke, woke+3*time.Second, always('u', 0))
	if n := most(after); n > 5+1 { // one wakes on its slot's own end
		t.Errorf("after the pause %d samples begin in one slot, want 5", n)
	}
	for key, at := range after {
		if (at[len(at)-1]-before[key][0])%time.Second != 0 {
			t.Errorf("%s had its beat at %v, and after the pause at %v", key, before[key][0], at)
		}
	}
}

// TestRetriesKeepTheirSpacing: no slot moves a retry.
func TestRetriesKeepTheirSpacing(t *testing.T) {
	c := two("a")
	c.Retry, c.Rules.Fall = 123456789, 5
	l := New[string]()
	l.Set(crowd(50, c), 0, time.Time{})
	for key, at := range beats(l, 0, 2*time.Second, always('d', 0)) {
		for i := 1; i < 5; i++ {
			if gap := at[i] - at[i-1]; gap != c.Retry {
				t.Errorf("%s: retry %d comes after %v, want %v", key, i, gap, c.Retry)
			}
		}
	}
}

// TestIntervalsHaveGridsOfTheirOwn, whose slots coincide.
func TestIntervalsHaveGridsOfTheirOwn(t *testing.T) {
	l := New[string]()
	ts := crowd(400, one("a"))
	for i := range ts {
		if i%2 == 1 {
			ts[i].Checks[0].Interval = 2 * time.Second
		}
	}
	l.Set(ts, 0, time.Time{})
	got := beats(l, 0, 8*time.Second-1, always('u', 0))
	if n := most(got); n != 3 { // 200 in 100 slots, and 200 in 200
		t.Errorf("%d samples begin in one slot, want 3", n)
	}
	for i, target := range ts {
		if n := len(got[target.Key]); n != 8-i%2*4 {
			t.Errorf("%s has %d samples in 8 s", target.Key, n)
		}
	}
}

// TestPushedChecksHaveNoBeat: they come and go beside others, and alone.
func TestPushedChecksHaveNoBeat(t *testing.T) {
	l := New[string]()
	pushed := one("b")
	pushed.Pushed = true
	l.Set([]Target[string]{{Key: "x", Subject: "192.0.2.1", Checks: []Check[string]{pushed}}}, 0, time.Time{})
	if gone, _ := l.Set(crowd(100, one("a")), 0, time.Time{}); len(gone) != 1 || l.grids[time.Second].Len() != 100 {
		t.Errorf("%d are gone, and the grid has %d beats, want 1 and 100", len(gone), l.grids[time.Second].Len())
	}
	both := crowd(100, one("a"))
	for i := range both {
		both[i].Checks = append(both[i].Checks, pushed)
	}
	l.Set(both, 0, time.Time{})
	l.Set(crowd(100, one("a")), 0, time.Time{})
	if n := l.grids[time.Second].Len(); n != 100 {
		t.Errorf("the grid has %d beats, want 100", n)
	}
}

// TestWhatBelongsTogetherHasOneBeat, whoever comes and goes, and takes one place in the grid.
func TestWhatBelongsTogetherHasOneBeat(t *testing.T) {
	l := New[string]()
	ts := crowd(20, one("a"))
	for i := range ts {
		ts[i].Checks[0].Together = "plugin"
	}
	now, beat := time.Duration(0), time.Duration(-1)
	for _, some := range [][]Target[string]{ts[:10], ts[5:], ts[:1], ts} {
		l.Set(some, now, time.Time{})
		for key, at := range beats(l, now, now+time.Second-1, always('u', 0)) {
			if beat < 0 {
				beat = at[0]
			}
			if len(at) != 1 || at[0]%time.Second != beat {
				t.Errorf("%s of %d has its sample at %v, want one at %v", key, len(some), at, beat)
			}
		}
		if n := l.grids[time.Second].Len(); n != 1 {
			t.Errorf("%d of them take %d places in the grid, want 1", len(some), n)
		}
		now += time.Second
	}
	if l.Set(nil, now, time.Time{}); len(l.grids)+len(l.common) != 0 {
		t.Errorf("%d grids and %d beats are kept for nobody", len(l.grids), len(l.common))
	}
}
