package pluginhost

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/hareconcile/hareconcile/internal/spec"
	"github.com/hareconcile/hareconcile/reconcile"
)

func TestReportsHoldAllThatWasSaid(t *testing.T) {
	b := newBench(t, quiet)
	b.say("warn")
	b.Set([]spec.Tracker{b.track("a", "good")})
	b.await("a", reconcile.Up, "it says warn") // a warning is up
	want := Report{
		Status: "warn", Code: "SLOW", Detail: "it says warn",
		Parts:   []Part{{"be_app", "warn", "1 of 2", ""}},
		Metrics: map[string]float64{"backend_up{be_app}": 1}, Facts: map[string]string{"version": "2.6"},
	}
	if d := cmp.Diff(want, b.Reports()["a"], cmpopts.IgnoreFields(Report{}, "At")); d != "" {
		t.Errorf("report (-want +got):\n%s", d)
	}
	b.Set(nil)
	if got := b.Reports(); len(got) != 0 {
		t.Errorf("reports of no tracker: %v", got)
	}
}

// pushing is a tracker that is polled far too rarely to see anything.
func (b *bench) pushing(name string) spec.Tracker {
	a := b.track(name, "good")
	a.Config = fmt.Appendf(nil, `{"file": %q, "push": true}`, b.file)
	a.Rise, a.Fall = 2, 3
	return a
}

func TestPushedResultsCountAtOnce(t *testing.T) {
	b := newBench(t, quiet)
	a := b.pushing("a")
	a.Interval = time.Hour // but for the first sample nothing is polled in time
	b.Set([]spec.Tracker{a})
	b.await("a", reconcile.Up, "it says up") // by the sample and what was pushed after it
	b.say("down")                            // once, although three samples have to be down
	b.await("a", reconcile.Down, "it says down")
	if got := b.Reports()["a"]; got.Code != "PUSHED" || got.Status != "fail" {
		t.Errorf("report %+v, want the pushed one", got)
	}
	b.say("up") // one of two
	until(t, "the pass was pushed", func() bool { return b.Reports()["a"].Status == "pass" })
	select {
	case r := <-b.Results():
		t.Errorf("verdict %v after one pass of two", r)
	case <-time.After(200 * time.Millisecond):
	}
	b.say("warn")
	b.await("a", reconcile.Up, "it says warn")
}

// streams is how many streams of a plugin there are.
func (b *bench) streams(plugin string) int {
	b.mu.Lock()
	s := b.plugins[plugin]
	b.mu.Unlock()
	if s == nil {
		return 0
	}
	ses, _ := s.current()
	if ses == nil {
		return 0
	}
	ses.mu.Lock()
	defer ses.mu.Unlock()
	return len(ses.streams)
}

func TestFloodOfPushedResultsIsPolledInstead(t *testing.T) {
	b := newBench(t, quiet)
	b.Set([]spec.Tracker{b.pushing("a")})
	b.await("a", reconcile.Up, "it says up")
	until(t, "the plugin pushes", func() bool { return b.streams("good") == 1 })
	b.say("flood") // pushes fail, and is pass when it is polled
	b.await("a", reconcile.Down, "it floods")
	b.await("a", reconcile.Up, "it says flood") // the stream was ended
	b.say("down")
	until(t, "it is polled", func() bool { return b.Reports()["a"].Detail == "it says down" })
}

func TestChangedBinaryTakesOverWithoutATransition(t *testing.T) {
	b := newBench(t, quiet)
	file, good := b.ownFolder()
	a, other := b.track("a", "good"), b.pushing("b")
	for _, hold := range []time.Duration{time.Hour, 0} { // from now on a single unknown turns them
		a.Hold, other.Hold = hold, hold
		b.Set([]spec.Tracker{a, other})
		for range 2 { // in any order
			if r := <-b.Results(); r.Verdict != reconcile.Up {
				t.Fatalf("first verdict %v, want up", r)
			}
		}
	}
	first := b.pid("good", 0)
	quietly := func(what string, is func() bool) {
		t.Helper()
		until(t, what, func() bool {
			select {
			case r := <-b.Results():
				t.Fatalf("result %v while waiting that %s", r, what)
			default:
			}
			return is()
		})
	}
	b.install(file, append(slices.Clone(good), '.'))
	quietly("the new one runs", func() bool {
		return b.pid("good", 0) != first && !alive(first)
	})
	for _, tt := range []struct {
		name, says string
		content    []byte
	}{
		{"garbage", "exec format error", []byte("garbage")},
		{"one that cannot measure", "it is blind", slices.Concat(good, []byte("blind"))},
	} {
		pid := b.pid("good", 0)
		b.install(file, tt.content)
		quietly(tt.name+" is refused, and that is told", func() bool {
			r := b.Reports()["a"]
			return r.Status == "pass" && strings.Contains(r.Note, tt.says) && strings.Contains(r.Note, "the old one goes on")
		})
		if now := b.pid("good", 0); now != pid {
			t.Errorf("%s: process %d, then %d, want the old one", tt.name, pid, now)
		}
	}
	b.install(file, append(slices.Clone(good), '!'))
	quietly("the complaint is over", func() bool { return b.Reports()["a"].Note == "" })
	b.say("down")
	b.await("a", reconcile.Down, "it says down")
}

// TestNextHostEndsWhatAKilledOneLeft: a plugin's own children do not die with its host.
func TestNextHostEndsWhatAKilledOneLeft(t *testing.T) {
	b := newBench(t, quiet)
	a := b.track("a", "good")
	a.Config = fmt.Appendf(nil, `{"file": %q, "fork": true}`, b.file)
	b.Set([]spec.Tracker{a})
	b.await("a", reconcile.Up, "")
	children := childrenOf(t, b.pid("good", 0))
	if len(children) != 1 {
		t.Fatalf("children of the plugin: %v, want one", children)
	}
	var child int
	if _, err := fmt.Sscan(children[0], &child); err != nil {
		t.Fatal(err)
	}
	endLeftovers(filepath.Join(b.dir, "elsewhere"))
	if !alive(child) {
		t.Fatal("another host's child was killed")
	}
	endLeftovers(b.sockets)
	until(t, "the child has ended", func() bool { return !alive(child) })
	if err := syscall.Kill(os.Getpid(), 0); err != nil {
		t.Error(err)
	}
}
