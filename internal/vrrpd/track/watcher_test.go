package track_test

import (
	"context"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/hareconcile/hareconcile/internal/nstest"
	"github.com/hareconcile/hareconcile/internal/vrrpd/track"
	"github.com/hareconcile/hareconcile/reconcile/resource"
)

const ms = time.Millisecond

// A bench is a Watcher at work and what it has reported.
type bench struct {
	t *testing.T
	*track.Watcher

	mu   sync.Mutex
	last map[string]track.Result
	all  []track.Result
	news chan struct{} // one is room enough: whoever waits looks at everything
}

// watch runs a Watcher, in a namespace if one is given.
func watch(t *testing.T, ns *nstest.NS) *bench {
	t.Helper()
	b := &bench{t: t, last: map[string]track.Result{}, news: make(chan struct{}, 1)}
	b.Watcher = track.New(b.report, slog.New(slog.NewTextHandler(t.Output(), nil)))
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error)
	go func() {
		run := func() { ended <- b.Run(ctx) }
		if ns != nil {
			ns.Do(run)
			return
		}
		run()
	}()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Run = %v, want nil after cancellation", err)
		}
	})
	return b
}

func (b *bench) report(r track.Result) {
	b.mu.Lock()
	b.last[r.Key] = r
	b.all = append(b.all, r)
	b.mu.Unlock()
	select {
	case b.news <- struct{}{}:
	default:
	}
}

func (b *bench) result(key string) track.Result {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.last[key]
}

func (b *bench) history(key string) (states []string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, r := range b.all {
		if r.Key == key {
			states = append(states, r.State)
		}
	}
	return states
}

// wait waits for a result and returns how long that took.
func (b *bench) wait(key string, ok func(track.Result) bool) time.Duration {
	b.t.Helper()
	start := time.Now()
	limit := time.After(10 * time.Second)
	for {
		if r := b.result(key); r.Key == key && ok(r) {
			return time.Since(start)
		}
		select {
		case <-b.news:
		case <-limit:
			b.t.Fatalf("%s: result = %+v after %v", key, b.result(key), time.Since(start))
		}
	}
}

func (b *bench) waitState(key, state string) time.Duration {
	b.t.Helper()
	return b.wait(key, func(r track.Result) bool { return r.State == state })
}

func TestFile(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "maintenance")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	b := watch(t, nil)
	c := resource.VRRPTracker{Type: resource.TrackFile, Target: path, Interval: resource.Duration(time.Hour)}
	b.Set([]resource.VRRPTracker{c, {Type: resource.TrackPlugin, Target: "x"}, {Type: resource.TrackBFD, Target: "10.0.0.1"}})
	b.wait(c.Key(), func(r track.Result) bool { return r.State == track.Unknown && r.Message != "" })

	// From here on only inotify can tell: the interval is an hour.
	write("0\n")
	b.waitState(c.Key(), track.Up)
	write(" 17\n")
	b.wait(c.Key(), func(r track.Result) bool { return r.State == track.Down && r.Value == 17 })
	write("-3")
	b.wait(c.Key(), func(r track.Result) bool { return r.State == track.Down && r.Value == -3 })
	write("on")
	b.waitState(c.Key(), track.Unknown)
	other := filepath.Join(dir, "other")
	if err := os.WriteFile(other, []byte("0"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(other, path); err != nil {
		t.Fatal(err)
	}
	b.waitState(c.Key(), track.Up)
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	b.waitState(c.Key(), track.Unknown)
	write("0")
	b.waitState(c.Key(), track.Up)

	before := len(b.history(c.Key()))
	c.Interval = resource.Duration(20 * ms)
	b.Set([]resource.VRRPTracker{c})
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	b.waitState(c.Key(), track.Unknown)
	if err := os.Mkdir(dir, 0o700); err != nil { // a new folder of that name
		t.Fatal(err)
	}
	write("0")
	b.waitState(c.Key(), track.Up)
	if got := b.history(c.Key())[before:]; len(got) < 2 || got[0] != track.Unknown {
		t.Errorf("a change of the interval was followed by %q, want what was known to stay", got)
	}
}

func TestFileThatIsNone(t *testing.T) {
	nstest.Need(t, "mkfifo")
	dir := t.TempDir()
	fifo := filepath.Join(dir, "fifo")
	if out, err := exec.Command("mkfifo", fifo).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	large := filepath.Join(dir, "large")
	if err := os.WriteFile(large, append(make([]byte, 1<<20), '0'), 0o600); err != nil {
		t.Fatal(err)
	}
	b := watch(t, nil)
	var cfgs []resource.VRRPTracker
	for _, path := range []string{fifo, large, dir, "/dev/zero", ""} {
		cfgs = append(cfgs, resource.VRRPTracker{Type: resource.TrackFile, Target: path})
	}
	b.Set(cfgs)
	for _, c := range cfgs {
		b.wait(c.Key(), func(r track.Result) bool { return r.State == track.Unknown && r.Message != "" })
	}
}

// start runs a program of our own name, and returns a function that ends it.
func start(t *testing.T, name string) (end func()) {
	t.Helper()
	sleep, err := exec.LookPath("sleep")
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), name)
	b, err := os.ReadFile(sleep)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, b, 0o700); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(path, "60")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	end = sync.OnceFunc(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	t.Cleanup(end)
	return end
}

func TestProcess(t *testing.T) {
	nstest.Need(t, "sleep")
	b := watch(t, nil)
	one := resource.VRRPTracker{Type: resource.TrackProcess, Target: "hatrack1", Min: 1, Interval: resource.Duration(50 * ms)}
	long := resource.VRRPTracker{Type: resource.TrackProcess, Target: "hatrack-of-a-long-name", Min: 1, Max: 2, Interval: resource.Duration(50 * ms)}
	b.Set([]resource.VRRPTracker{one, long})
	b.waitState(one.Key(), track.Down)
	b.waitState(long.Key(), track.Down)
	end := start(t, one.Target)
	b.waitState(one.Key(), track.Up)

	// The end is seen without a look: the next would be in an hour.
	one.Interval, long.Interval = resource.Duration(time.Hour), resource.Duration(time.Hour)
	b.Set([]resource.VRRPTracker{one, long})
	b.Set([]resource.VRRPTracker{one})
	end()
	if took := b.waitState(one.Key(), track.Down); took > time.Second {
		t.Errorf("the end was seen after %v", took)
	}

	long.Interval = resource.Duration(50 * ms)
	b.Set([]resource.VRRPTracker{long})
	first, second, third := start(t, long.Target), start(t, long.Target), start(t, long.Target)
	b.wait(long.Key(), func(r track.Result) bool { return r.Message == "3 of at most 2 run" })
	third()
	b.waitState(long.Key(), track.Up)
	second()
	first()
	b.wait(long.Key(), func(r track.Result) bool { return r.Message == "0 of at least 1 run" })
	long.Min, long.Max = 0, 1
	b.Set([]resource.VRRPTracker{long})
	b.waitState(long.Key(), track.Up)
}

func TestWhatWasAwayIsReportedAgain(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x")
	if err := os.WriteFile(path, []byte("0"), 0o600); err != nil {
		t.Fatal(err)
	}
	b := watch(t, nil)
	c := resource.VRRPTracker{Type: resource.TrackFile, Target: path, Interval: resource.Duration(time.Hour)}
	b.Set([]resource.VRRPTracker{c})
	b.waitState(c.Key(), track.Up)
	for range 20 { // whether the loop sees each of them or not
		b.mu.Lock()
		delete(b.last, c.Key())
		b.mu.Unlock()
		b.Set(nil)
		b.Set([]resource.VRRPTracker{c})
		b.waitState(c.Key(), track.Up)
	}
}
