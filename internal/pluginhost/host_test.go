package pluginhost

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hareconcile/hareconcile/internal/check"
	"github.com/hareconcile/hareconcile/internal/rota"
	"github.com/hareconcile/hareconcile/internal/spec"
	"github.com/hareconcile/hareconcile/reconcile"
)

// folder holds the fixture's binaries; everybody may read it, as plugins run as nobody.
var folder string

func TestMain(m *testing.M) {
	if dir := os.Getenv(helperEnv); dir != "" {
		helper(dir)
		return
	}
	os.Exit(withFixture(m))
}

func withFixture(m *testing.M) int {
	dir, err := os.MkdirTemp("", "plugins")
	if err != nil {
		fmt.Println(err)
		return 1
	}
	defer os.RemoveAll(dir)
	folder = dir
	if err := os.Chmod(dir, 0o755); err != nil {
		fmt.Println(err)
		return 1
	}
	good := filepath.Join(dir, "hareconcile-plugin-good")
	if out, err := exec.Command("go", "build", "-o", good, "./testdata/fixture").CombinedOutput(); err != nil {
		fmt.Printf("build fixture: %v\n%s", err, out)
		return 1
	}
	for _, name := range []string{"crash", "hang", "print", "elsewhere", "mute", "liar", "huge", "wrong", "spam", "hog", "half"} {
		if err := os.Link(good, filepath.Join(dir, "hareconcile-plugin-"+name)); err != nil {
			fmt.Println(err)
			return 1
		}
	}
	return m.Run()
}

// A bench is a running host and the file that its plugins read.
type bench struct {
	*Host
	t    *testing.T
	dir  string
	file string
	stop func()
}

// newBench runs a host with short patience.
func newBench(t *testing.T, log *slog.Logger) *bench {
	t.Helper()
	dir, err := os.MkdirTemp("", "host") // shorter than t.TempDir: a socket's path has 108 bytes
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	b := &bench{t: t, dir: dir, file: filepath.Join(dir, "verdict")}
	b.Host = New(spec.Plugins{Dir: folder, User: "no-such-user"}, filepath.Join(dir, "run"), log)
	b.timing = timing{
		start: 5 * time.Second, again: 50 * time.Millisecond, againLimit: time.Second,
		hung: 500 * time.Millisecond, look: 50 * time.Millisecond,
	}
	b.say("up")
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- b.Run(ctx) }()
	stopped := false
	b.stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Run() = %v, want nil", err)
		}
	}
	t.Cleanup(func() { b.stop(); _ = os.RemoveAll(dir) })
	return b
}

// Set replaces the trackers, without a lock file.
func (b *bench) Set(ts []spec.Tracker) { b.Host.Set(ts, nil) }

// say changes what the plugins find.
func (b *bench) say(verdict string) {
	b.t.Helper()
	next := b.file + ".next"
	if err := os.WriteFile(next, []byte(verdict), 0o644); err != nil {
		b.t.Fatal(err)
	}
	if err := os.Rename(next, b.file); err != nil {
		b.t.Fatal(err)
	}
}

// track returns a tracker that reads the bench's file.
func (b *bench) track(name, plugin string) spec.Tracker {
	config, err := json.Marshal(map[string]any{"file": b.file})
	if err != nil {
		b.t.Fatal(err)
	}
	return spec.Tracker{
		Name: name, Plugin: plugin, Config: config,
		Interval: 50 * time.Millisecond, Timeout: 2 * time.Second,
		Rise: 1, Fall: 1, Hold: time.Hour, OnUnknown: "down",
	}
}

// await reads results until one is as wanted.
func (b *bench) await(tracker string, want reconcile.Verdict, message string) {
	b.t.Helper()
	deadline := time.After(20 * time.Second)
	for {
		select {
		case r := <-b.Results():
			if r.Tracker == tracker && r.Verdict == want && strings.Contains(r.Message, message) {
				return
			}
			b.t.Logf("passed over: %.300v", r)
		case <-deadline:
			b.t.Fatalf("no verdict %q (%s) of %s in 20 s", want, message, tracker)
		}
	}
}

// pid waits for a process of the plugin other than not.
func (b *bench) pid(plugin string, not int) int {
	b.t.Helper()
	var pid int
	until(b.t, "plugin "+plugin+" runs", func() bool {
		b.mu.Lock()
		s := b.plugins[plugin]
		b.mu.Unlock()
		if s == nil {
			return false
		}
		if ses, _ := s.current(); ses != nil {
			pid = ses.process.pid()
		}
		return pid != 0 && pid != not
	})
	return pid
}

// until waits for a condition.
func until(t *testing.T, what string, is func() bool) {
	t.Helper()
	deadline := time.After(20 * time.Second)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !is() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("after 20 s it is still not so that %s", what)
		}
	}
}

// alive reports whether a process exists and is no zombie.
func alive(pid int) bool {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return false
	}
	_, rest, _ := strings.Cut(string(b), ") ")
	return !strings.HasPrefix(rest, "Z") && !strings.HasPrefix(rest, "X")
}

var quiet = slog.New(slog.DiscardHandler)

func TestTrackersOfOnePluginShareAProcess(t *testing.T) {
	b := newBench(t, quiet)
	b.Set([]spec.Tracker{b.track("a", "good"), b.track("b", "good"), {Name: "uplink", Interface: "eth0"}})
	b.await("a", reconcile.Up, "it says up")
	pid := b.pid("good", 0)
	b.say("down")
	b.await("b", reconcile.Down, "it says down")
	if got := b.pid("good", 0); got != pid {
		t.Errorf("process %d, then %d", pid, got)
	}
	if children := childrenOf(t, os.Getpid()); len(children) != 1 {
		t.Errorf("children %v, want one", children)
	}

	b.Set([]spec.Tracker{b.track("b", "good")})
	b.say("up")
	b.await("b", reconcile.Up, "it says up")
	b.Set(nil)
	until(t, "the plugin is stopped when no tracker names it", func() bool { return !alive(pid) })
	b.Set([]spec.Tracker{b.track("a", "good")})
	b.await("a", reconcile.Up, "it says up")
	pid = b.pid("good", pid)
	b.stop()
	if alive(pid) {
		t.Error("the plugin outlived Run")
	}
	if left, err := os.ReadDir(b.sockets); err != nil || len(left) > 0 {
		t.Errorf("sockets left: %v, %v", left, err)
	}
}

func TestChangedConfigurationIsAnotherInstance(t *testing.T) {
	b := newBench(t, quiet)
	a := b.track("a", "good")
	b.Set([]spec.Tracker{a})
	b.await("a", reconcile.Up, "it says up")
	other := b.file + ".other"
	if err := os.WriteFile(other, []byte("down"), 0o644); err != nil {
		t.Fatal(err)
	}
	a.Config = fmt.Appendf(nil, `{"file": %q}`, other)
	b.Set([]spec.Tracker{a})
	b.await("a", reconcile.Down, "it says down")
	a.Config = []byte(`{"flie": 1}`)
	a.Hold, a.OnUnknown = 0, "up"
	b.Set([]spec.Tracker{a})
	b.await("a", reconcile.Up, "configure: flie: there is no such attribute")
}

// childrenOf returns the living children of a process.
func childrenOf(t *testing.T, parent int) (out []string) {
	t.Helper()
	tasks, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", parent))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range tasks {
		b, err := os.ReadFile(f)
		if err != nil {
			continue // the thread has ended
		}
		out = append(out, strings.Fields(string(b))...)
	}
	return out
}

// check makes one check.
func (b *bench) check(ctx context.Context, t spec.Tracker) (s check.State, message string) {
	b.look(ctx, []spec.Tracker{t}, func(as []rota.Answer) { s, message = as[0].State, as[0].Message })
	return s, message
}
