package announce_test

import (
	"errors"
	"fmt"
	"math"
	"net/netip"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hareconcile/hareconcile/internal/vrrpd/announce"
)

const (
	never = time.Duration(math.MaxInt64)
	start = time.Hour
)

// A segment runs a Schedule by its own clock and notes what is sent.
type segment struct {
	t    *testing.T
	s    *announce.Schedule
	now  time.Duration
	sent []sent
	fail func(index int) error
}

// A sent is one frame: when, where and what.
type sent struct {
	At    time.Duration // since start
	Index int
	What  string
}

func newSegment(t *testing.T) *segment {
	return &segment{t: t, s: announce.New(), now: start, fail: func(int) error { return nil }}
}

func (g *segment) send(index int, frame []byte) error {
	err := g.fail(index)
	if err == nil {
		what, _ := netip.AddrFromSlice(frame[28:32])
		if frame[12] == 0x86 {
			what, _ = netip.AddrFromSlice(frame[22:38])
		}
		g.sent = append(g.sent, sent{g.now - start, index, what.String()})
	}
	return err
}

// run goes from one due time to the next until there is none within d.
func (g *segment) run(d time.Duration) {
	g.t.Helper()
	end := g.now + d
	for range 100_000 {
		next := max(g.s.Next(), g.now)
		if next > end {
			g.now = end
			return
		}
		g.now = next
		g.s.Due(g.now, g.send)
	}
	g.t.Fatal("the schedule does not come to rest")
}

// take returns what was sent since the last call.
func (g *segment) take() []sent {
	out := g.sent
	g.sent = nil
	return out
}

func (g *segment) want(name string, want []sent) {
	g.t.Helper()
	if d := cmp.Diff(want, g.take()); d != "" {
		g.t.Errorf("%s (-want +got):\n%s", name, d)
	}
}

func targets(index int, list ...string) []announce.Target {
	var out []announce.Target
	for _, a := range list {
		out = append(out, announce.Target{Index: index, MAC: mac, Address: netip.MustParseAddr(a)})
	}
	return out
}

func TestBursts(t *testing.T) {
	g := newSegment(t)
	g.s.Start("a", targets(1, "10.0.0.1", "10.0.0.2"), announce.Policy{Repeat: 2, Delay: 3 * time.Second, Refresh: 10 * time.Second}, g.now)
	if got := g.s.Next(); got != 0 {
		t.Errorf("Next() = %v, want 0", got)
	}
	g.run(25 * time.Second)
	g.want("a whole life", []sent{
		{0, 1, "10.0.0.1"}, {0, 1, "10.0.0.2"}, {0, 1, "10.0.0.1"}, {0, 1, "10.0.0.2"},
		{3 * time.Second, 1, "10.0.0.1"}, {3 * time.Second, 1, "10.0.0.2"}, {3 * time.Second, 1, "10.0.0.1"}, {3 * time.Second, 1, "10.0.0.2"},
		{13 * time.Second, 1, "10.0.0.1"}, {13 * time.Second, 1, "10.0.0.2"},
		{23 * time.Second, 1, "10.0.0.1"}, {23 * time.Second, 1, "10.0.0.2"},
	})
	g.s.Drop("a")
	if got := g.s.Next(); got != never {
		t.Errorf("Next() = %v once dropped, want never", got)
	}
}

func TestDefaults(t *testing.T) {
	g := newSegment(t)
	g.s.Start("a", targets(1, "10.0.0.1"), announce.Policy{}, g.now)
	g.run(time.Hour)
	if got := g.take(); len(got) != 10 || got[4].At != 0 || got[5].At != 5*time.Second {
		t.Errorf("sent %v, want five and five after 5s", got)
	}
	for repeat, want := range map[int]int{0: 5, -1: 5, 1: 1, 1 << 30: 255} {
		g.s.Start("a", targets(1, "10.0.0.1"), announce.Policy{Repeat: repeat, Delay: -1}, g.now)
		g.run(time.Hour)
		if got := len(g.take()); got != want {
			t.Errorf("%d frames for a repeat of %d, want %d", got, repeat, want)
		}
	}
}

func TestWhatIsNotSent(t *testing.T) {
	g := newSegment(t)
	silent := targets(1, "10.0.0.1")
	silent[0].Silent = true
	g.s.Start("a", slices.Concat(silent, targets(0, "10.0.0.2"), []announce.Target{{Index: 3}}), announce.Policy{}, g.now)
	g.s.Again("a", g.now)
	g.s.Again("nobody", g.now)
	g.s.Drop("nobody")
	if got := g.s.Next(); got != never {
		t.Errorf("Next() = %v, want never", got)
	}
}

func TestAgain(t *testing.T) {
	g := newSegment(t)
	g.s.Start("a", targets(1, "10.0.0.1"), announce.Policy{Repeat: 1, Delay: -1}, g.now)
	g.run(0)
	for range 25 { // every 100 ms for 2.5 s
		g.s.Again("a", g.now)
		g.run(100 * time.Millisecond)
	}
	g.run(time.Minute)
	g.want("at most one a second, and none is lost", []sent{
		{0, 1, "10.0.0.1"}, {time.Second, 1, "10.0.0.1"}, {2 * time.Second, 1, "10.0.0.1"}, {3 * time.Second, 1, "10.0.0.1"},
	})
	g.s.Again("a", g.now)
	if got := g.s.Next(); got > g.now {
		t.Errorf("Next() = %v, want at once: the last burst is long ago", got)
	}
	g.s.Drop("a")
	g.run(time.Minute)
	g.want("nothing once dropped", nil)
}

// TestRoundsInterleave has many routers fail over at once: every address gets its first
// frame before any gets its second, on whatever interface.
func TestRoundsInterleave(t *testing.T) {
	g := newSegment(t)
	for i := range 40 {
		var list []announce.Target
		for j := range 25 {
			list = append(list, targets(1+i%3, fmt.Sprintf("10.0.%d.%d", i, j))...)
		}
		g.s.Start(fmt.Sprint(i), list, announce.Policy{Repeat: 3, Delay: -1}, g.now)
	}
	g.run(0)
	count := map[string]int{}
	for _, f := range g.take() {
		count[f.What]++
		if n := count[f.What]; n > 1 && len(count) < 1000 {
			t.Fatalf("%s has %d frames when %d addresses had none", f.What, n, 1000-len(count))
		}
	}
	for a, n := range count {
		if n != 3 {
			t.Errorf("%s has %d frames, want 3", a, n)
		}
	}
}

func TestNewcomersGoFirst(t *testing.T) {
	g := newSegment(t)
	pace := announce.Policy{Repeat: 2, Delay: -1, Interval: time.Millisecond}
	g.s.Start("a", targets(1, "10.0.0.1", "10.0.0.2"), pace, g.now)
	g.run(2 * time.Millisecond)
	g.s.Start("b", targets(1, "10.0.0.3"), pace, g.now)
	g.run(time.Second)
	ms := time.Millisecond
	g.want("paced, by round", []sent{
		{0, 1, "10.0.0.1"}, {ms, 1, "10.0.0.2"}, {2 * ms, 1, "10.0.0.1"}, {3 * ms, 1, "10.0.0.3"}, {4 * ms, 1, "10.0.0.2"}, {5 * ms, 1, "10.0.0.3"},
	})
}

// TestPaceIsPerInterface has one slow and one fast interface, and a router on both.
func TestPaceIsPerInterface(t *testing.T) {
	g := newSegment(t)
	g.s.Start("slow", targets(1, "10.0.0.1", "10.0.0.2"), announce.Policy{Repeat: 1, Delay: -1, Interval: 10 * time.Millisecond}, g.now)
	g.s.Start("fast", append(targets(2, "10.0.0.3", "10.0.0.4"), targets(1, "fe80::5")...), announce.Policy{Repeat: 1, Delay: -1}, g.now)
	g.run(time.Second)
	ms := time.Millisecond
	g.want("paced", []sent{{0, 1, "10.0.0.1"}, {0, 2, "10.0.0.3"}, {0, 2, "10.0.0.4"}, {10 * ms, 1, "10.0.0.2"}, {20 * ms, 1, "fe80::5"}})

	g.s.Start("slow", targets(1, "10.0.0.1", "10.0.0.2"), announce.Policy{Repeat: 1, Delay: -1, Interval: 10 * time.Millisecond}, g.now)
	g.run(4 * ms)
	g.s.Start("slow", targets(1, "10.0.0.9"), announce.Policy{Repeat: 1, Delay: -1, Interval: 10 * time.Millisecond}, g.now)
	g.run(time.Second)
	g.want("the pace outlives a change of the addresses", []sent{{time.Second, 1, "10.0.0.1"}, {time.Second + 10*ms, 1, "10.0.0.9"}})
}

func TestAFullInterfaceWaits(t *testing.T) {
	g := newSegment(t)
	full := true
	g.fail = func(index int) error {
		if full && index == 1 {
			return fmt.Errorf("send: %w", syscall.ENOBUFS)
		}
		return nil
	}
	once := announce.Policy{Repeat: 1, Delay: -1}
	g.s.Start("a", targets(1, "10.0.0.1", "10.0.0.2"), once, g.now)
	g.s.Start("b", targets(2, "10.0.0.3"), once, g.now)
	g.run(15 * time.Millisecond)
	g.want("others go on", []sent{{0, 2, "10.0.0.3"}})
	tries := 0
	before := g.fail
	g.fail = func(index int) error { tries++; return before(index) }
	g.run(time.Minute)
	if tries > 70 {
		t.Errorf("%d tries in a minute, want fewer than 70", tries)
	}
	full = false
	g.run(time.Second)
	if got := g.take(); len(got) != 2 || got[0].What != "10.0.0.1" || got[1].What != "10.0.0.2" {
		t.Errorf("sent %v, want both of a", got)
	}

	full, tries = true, 0 // for the second time, which is not the sequel of the first
	g.s.Start("a", targets(1, "10.0.0.1"), once, g.now)
	g.run(100 * time.Millisecond)
	if tries < 3 {
		t.Errorf("%d tries in 100ms, want the wait to begin with 10ms again", tries)
	}
}

func TestOtherErrorsStarveNobody(t *testing.T) {
	g := newSegment(t)
	n := 0
	g.fail = func(int) error {
		if n++; n%3 == 1 {
			return errors.New("network is down")
		}
		return nil
	}
	g.s.Start("a", targets(1, "10.0.0.1", "10.0.0.2", "10.0.0.3"), announce.Policy{Repeat: 2, Delay: -1}, g.now)
	g.run(time.Second)
	g.want("the rest", []sent{{0, 1, "10.0.0.2"}, {0, 1, "10.0.0.3"}, {0, 1, "10.0.0.2"}, {0, 1, "10.0.0.3"}})
}

// TestRepairedAddressIsWhole asks for another burst in the middle of a round: all
// addresses are announced after that.
func TestRepairedAddressIsWhole(t *testing.T) {
	g := newSegment(t)
	g.s.Start("a", targets(1, "10.0.0.1", "10.0.0.2"), announce.Policy{Repeat: 1, Delay: -1, Interval: time.Second}, g.now)
	g.run(0)
	g.s.Again("a", g.now)
	g.run(time.Minute)
	got := map[string]int{}
	for _, f := range g.take() {
		got[f.What]++
	}
	if got["10.0.0.1"] != 2 || got["10.0.0.2"] != 2 {
		t.Errorf("frames = %v, want two of each", got)
	}
}

// TestOneCallIsBounded keeps adverts from waiting for thousands of frames.
func TestOneCallIsBounded(t *testing.T) {
	s := announce.New()
	for i := range 500 {
		var list []announce.Target
		for j := range 10 {
			list = append(list, targets(1+i%7, fmt.Sprintf("10.%d.%d.1", i%250, j+i/250*10))...)
		}
		s.Start(fmt.Sprint(i), list, announce.Policy{Delay: -1}, start)
	}
	calls, frames := 0, 0
	for s.Next() == 0 {
		before := frames
		s.Due(start, func(int, []byte) error { frames++; return nil })
		if calls++; frames-before > 256 {
			t.Fatalf("one call sent %d frames", frames-before)
		}
	}
	if frames != 25_000 || s.Next() != never {
		t.Errorf("%d frames in %d calls, then Next() = %v", frames, calls, s.Next())
	}
}

func TestNothingDueAllocatesNothing(t *testing.T) {
	s := announce.New()
	for i := range 500 {
		s.Start(fmt.Sprint(i), targets(1+i%7, "10.0.0.1", "fe80::1"), announce.Policy{Refresh: time.Second}, start)
	}
	send := func(int, []byte) error { return nil }
	now := start
	for ; s.Next() <= start+10*time.Second; now = max(now, s.Next()) {
		s.Due(now, send)
	}
	if n := testing.AllocsPerRun(100, func() { s.Next(); s.Due(now-1, send) }); n != 0 {
		t.Errorf("%v allocations when nothing is due, want 0", n)
	}
	if n := testing.AllocsPerRun(100, func() { now += time.Second; s.Due(now, send) }); n != 0 {
		t.Errorf("%v allocations for a refresh, want 0", n)
	}
}

func BenchmarkFailover(b *testing.B) {
	var list []announce.Target
	for j := range 10 {
		list = append(list, targets(1, fmt.Sprintf("10.0.0.%d", j))...)
	}
	names := make([]string, 500)
	for i := range names {
		names[i] = fmt.Sprint(i)
	}
	for b.Loop() {
		s := announce.New()
		for _, n := range names {
			s.Start(n, list, announce.Policy{}, start)
		}
		for s.Next() == 0 {
			s.Due(start, func(int, []byte) error { return nil })
		}
	}
}

func TestRefreshKeepsNobodyBusy(t *testing.T) {
	g := newSegment(t)
	g.s.Start("a", targets(1, "10.0.0.1"), announce.Policy{Repeat: 1, Delay: -1, Refresh: 1}, g.now)
	g.run(10 * time.Second)
	if len(g.sent) > 11 {
		t.Errorf("%d frames in 10 seconds, want one each second", len(g.sent))
	}
}
