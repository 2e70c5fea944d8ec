package rota

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hareconcile/hareconcile/internal/check"
	"github.com/hareconcile/hareconcile/internal/check/watch"
)

// A probe looks at one thing.
type probe func(ctx context.Context) (check.State, string)

type (
	Check  = watch.Check[probe]
	Target = watch.Target[probe]
)

// newLoop returns a loop whose probes that belong together run one after the other.
func newLoop(limit int) *Loop[probe] {
	return New(limit, func(ctx context.Context, ps []probe, say func([]Answer)) {
		for place, p := range ps {
			s, message := p(ctx)
			say([]Answer{{place, s, message}})
		}
	})
}

// A subject is something that can be up, down or beyond measuring.
type subject struct {
	state  atomic.Value // check.State
	probed atomic.Int64
	took   time.Duration
}

func newSubject(s check.State) *subject {
	out := &subject{}
	out.state.Store(s)
	return out
}

func (s *subject) probe(ctx context.Context) (check.State, string) {
	s.probed.Add(1)
	if s.took > 0 {
		select {
		case <-time.After(s.took):
		case <-ctx.Done():
			return check.Down, "cancelled"
		}
	}
	v := s.state.Load().(check.State)
	return v, "is " + string(v)
}

func (s *subject) check() Check {
	return Check{
		Fingerprint: "fake", Interval: time.Second,
		Rules: check.Rules{Rise: 2, Fall: 2}, Probe: s.probe,
	}
}

// run runs a loop in the test's bubble and returns a function that takes what was reported.
func run(t *testing.T, l *Loop[probe]) (read func() []string) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- l.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Run() = %v, want nil", err)
		}
	})
	return func() (got []string) {
		synctest.Wait()
		for {
			select {
			case r := <-l.Results():
				got = append(got, fmt.Sprintf("%s %q %s", r.Key, r.Verdict, r.Message))
				synctest.Wait()
			default:
				return got
			}
		}
	}
}

// pass lets d go by.
func pass(d time.Duration) { <-time.After(d) }

func want(t *testing.T, got []string, want ...string) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("results (-want +got):\n%s", diff)
	}
}

func TestVerdictsFollowTheSubject(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSubject(check.Up)
		l := newLoop(4)
		l.Set([]Target{{Key: "a", Checks: []Check{s.check()}}})
		read := run(t, l)
		want(t, read())
		pass(2 * time.Second)
		want(t, read(), `a "up" is up`)
		s.state.Store(check.Down)
		pass(time.Second)
		want(t, read())
		pass(time.Second)
		want(t, read(), `a "down" is down`)
		pass(10 * time.Second)
		want(t, read())
		if n := s.probed.Load(); n != 14 {
			t.Errorf("probed %d times in 14 s, want 14", n)
		}
	})
}

func TestInitialVerdictIsConfirmedOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSubject(check.Up)
		l := newLoop(4)
		l.Set([]Target{{Key: "a", Checks: []Check{s.check()}, Initial: check.Up}})
		read := run(t, l)
		pass(10 * time.Second)
		want(t, read(), `a "up" is up`)
	})
}

func TestAllChecksMustPass(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		one, two := newSubject(check.Up), newSubject(check.Up)
		c2 := two.check()
		c2.Fingerprint = "other"
		l := newLoop(4)
		l.Set([]Target{{Key: "a", Checks: []Check{one.check(), c2}}})
		read := run(t, l)
		pass(4 * time.Second)
		want(t, read(), `a "up" is up`)
		two.state.Store(check.Down)
		pass(4 * time.Second)
		want(t, read(), `a "down" is down`)
		one.state.Store(check.Down)
		pass(4 * time.Second)
		two.state.Store(check.Up)
		pass(4 * time.Second)
		want(t, read())
		one.state.Store(check.Up)
		pass(4 * time.Second)
		want(t, read(), `a "up" is up`)
	})
}

func TestSetKeepsWhatStayedTheSame(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSubject(check.Up)
		a := Target{Key: "a", Subject: "192.0.2.1", Checks: []Check{s.check()}}
		l := newLoop(4)
		l.Set([]Target{a})
		read := run(t, l)
		pass(2 * time.Second)
		want(t, read(), `a "up" is up`)

		l.Set([]Target{a, {Key: "b", Checks: []Check{newSubject(check.Down).check()}}})
		pass(3 * time.Second)
		want(t, read(), `b "down" is down`)
		if n := s.probed.Load(); n != 5 {
			t.Errorf("probed %d times in 5 s, want 5: Set shifted the schedule", n)
		}

		slower := s.check()
		slower.Interval = 2 * time.Second
		l.Set([]Target{{Key: "a", Subject: "192.0.2.1", Checks: []Check{slower}}})
		s.state.Store(check.Down)
		pass(2 * time.Second)
		want(t, read()) // the verdict is kept through the change, and falls by the rules
		pass(2 * time.Second)
		want(t, read(), `a "down" is down`)
	})
}

func TestAnotherSubjectIsUnknown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSubject(check.Up)
		a := Target{Key: "a", Subject: "192.0.2.1", Checks: []Check{s.check()}}
		l := newLoop(4)
		l.Set([]Target{a})
		read := run(t, l)
		pass(2 * time.Second)
		want(t, read(), `a "up" is up`)
		a.Subject, a.Initial = "192.0.2.2", check.Up
		l.Set([]Target{a})
		want(t, read(), `a "" not checked yet`)
		pass(2 * time.Second)
		want(t, read(), `a "up" is up`)
	})
}

func TestRemovedTargetsAreCancelled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSubject(check.Up)
		s.took = time.Hour
		l := newLoop(4)
		l.Set([]Target{{Key: "a", Checks: []Check{s.check()}, Initial: check.Up}})
		read := run(t, l)
		pass(time.Second)
		l.Set(nil)
		pass(time.Minute)
		want(t, read())
		if n := s.probed.Load(); n != 1 {
			t.Errorf("probed %d times, want 1", n)
		}
		if n := len(l.running); n != 0 {
			t.Errorf("%d samples still under way", n)
		}
	})
}

func TestConcurrencyIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var now, most atomic.Int64
		look := func(ctx context.Context) (check.State, string) {
			most.Store(max(most.Load(), now.Add(1)))
			defer now.Add(-1)
			select {
			case <-time.After(100 * time.Millisecond):
			case <-ctx.Done():
			}
			return check.Up, ""
		}
		var ts []Target
		for i := range 200 {
			ts = append(ts, Target{Key: fmt.Sprint(i), Checks: []Check{{Interval: time.Second, Probe: look}}})
		}
		l := newLoop(7)
		l.Set(ts)
		read := run(t, l)
		pass(10 * time.Second)
		if got := most.Load(); got != 7 {
			t.Errorf("at most %d samples at a time, want 7", got)
		}
		if got := len(read()); got != 200 {
			t.Errorf("%d targets have a verdict, want all 200 in turn", got)
		}
	})
}

func TestManyTargetsAreSpreadOverTheInterval(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const n, interval = 2000, 10 * time.Second
		var bySecond [30]atomic.Int64
		begin := time.Now()
		look := func(context.Context) (check.State, string) {
			if i := int(time.Since(begin) / time.Second); i < len(bySecond) {
				bySecond[i].Add(1)
			}
			return check.Up, ""
		}
		var ts []Target
		for i := range n {
			ts = append(ts, Target{
				Key: fmt.Sprintf("web/rs%d", i), Initial: check.Up,
				Checks: []Check{{Interval: interval, Rules: check.Rules{Rise: 1, Fall: 1}, Probe: look}},
			})
		}
		l := newLoop(n)
		l.Set(ts)
		read := run(t, l)
		pass(time.Duration(len(bySecond)) * time.Second)
		for i := range bySecond {
			want := n / 10
			if i < 5 {
				want = n / 5 // a first look soon
			} else if i < 15 {
				continue // between that and the beat
			}
			if got := int(bySecond[i].Load()); got < want*3/4 || got > want*5/4 {
				t.Errorf("%d checks in second %d, want about %d", got, i, want)
			}
		}
		if got := len(read()); got != n {
			t.Errorf("%d targets were measured, want all %d", got, n)
		}
	})
}

func TestReaderThatIsLateSeesTheLastVerdict(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSubject(check.Up)
		l := newLoop(4)
		l.Set([]Target{{Key: "a", Checks: []Check{s.check()}}})
		read := run(t, l)
		for _, v := range []check.State{check.Down, check.Up, check.Down} {
			pass(3 * time.Second)
			s.state.Store(v)
		}
		pass(3 * time.Second)
		want(t, read(), `a "down" is down`)
	})
}

// TestWhatBelongsTogetherIsLookedAtTogether: at one moment, in one look, which may leave some
// out; the places of the limit bound it.
func TestWhatBelongsTogetherIsLookedAtTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex // of what looks note
		sizes := map[int]int{}
		var moments []time.Duration
		began := time.Now()
		l := New(6, func(ctx context.Context, ps []probe, say func([]Answer)) {
			mu.Lock()
			sizes[len(ps)]++
			moments = append(moments, time.Since(began)%time.Second)
			mu.Unlock()
			var all []Answer
			for place := range ps[1:] {
				all = append(all, Answer{place, check.Up, "is up"}, Answer{place, check.Down, "said twice"})
			}
			say(all)
		})
		var ts []Target
		for i := range 8 {
			c := Check{Interval: time.Second, Rules: check.Rules{Rise: 1, Fall: 1}, Together: "a"}
			ts = append(ts, Target{Key: fmt.Sprint(i), Checks: []Check{c}})
		}
		l.Set(ts)
		read := run(t, l)
		pass(time.Second - 1)
		up := 0
		for _, r := range read() {
			if strings.Contains(r, `"up" is up`) {
				up++
			}
		}
		if up != 6 {
			t.Errorf("%d are up, want the six that were spoken of", up)
		}
		pass(9 * time.Second)
		mu.Lock()
		if sizes[6] != 10 || sizes[2] != 10 || len(sizes) != 2 {
			t.Errorf("looks by their size: %v, want ten of six and of two", sizes)
		}
		for _, m := range moments {
			if m != moments[0] {
				t.Errorf("looks at %v, want one moment", moments)
			}
		}
		mu.Unlock()
		read()
		l.Set(ts[:1])
		pass(2 * time.Second)
		l.Set(nil)
		pass(time.Second)
		if len(l.running) != 0 {
			t.Errorf("%d samples are under way", len(l.running))
		}
	})
}
