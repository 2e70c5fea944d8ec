package storm

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hareconcile/hareconcile/internal/nstest"
	"github.com/hareconcile/hareconcile/internal/pluginhost"
	"github.com/hareconcile/hareconcile/internal/spec"
)

// hostEnv makes the test binary be a host of the plugins in the folder that it names.
const hostEnv = "HARECONCILE_TEST_STORM_PLUGINS"

// bad are what plugins do to the host: each of ten plugins the same.
var bad = []string{"hang", "crash", "spam", "print", "deaf"}

const (
	checkEvery   = time.Second
	checkTimeout = 500 * time.Millisecond
	memoryLimit  = 128 << 20
)

// What a host of plugins tells at its end.
type hosted struct {
	Oldest map[string]time.Duration // the greatest age of a report, by tracker
	Last   map[string]string        // the status and detail at the end, by tracker
	RSS    int64                    // KiB, the greatest
	Plugin int64                    // KiB, the greatest of any plugin
}

// hosting runs a host and does not return if a test has started this program for it.
func hosting() {
	dir := os.Getenv(hostEnv)
	if dir == "" {
		return
	}
	if err := hostPlugins(dir); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

func hostPlugins(dir string) error {
	h := pluginhost.New(spec.Plugins{Dir: filepath.Join(dir, "plugins"), User: "nobody", MemoryLimit: memoryLimit}, filepath.Join(dir, "run"), slog.New(slog.DiscardHandler))
	var ts []spec.Tracker
	for name := range plugins() {
		ts = append(ts, spec.Tracker{
			Name: name, Plugin: name, Config: fmt.Appendf(nil, `{"file": %q}`, filepath.Join(dir, "verdict")),
			Interval: checkEvery, Timeout: checkTimeout, Rise: 1, Fall: 1, Hold: time.Hour, OnUnknown: "down",
		})
	}
	h.Set(ts, nil)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1) // room for the one result
	go func() { ended <- h.Run(ctx) }()
	over := make(chan struct{})
	go func() { defer close(over); _, _ = io.Copy(io.Discard, os.Stdin) }() // the test closes it
	out := hosted{Oldest: map[string]time.Duration{}, Last: map[string]string{}}
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for going := true; going; {
		select {
		case <-over:
			going = false
		case <-h.Results():
		case now := <-tick.C:
			for name, r := range h.Reports() {
				out.Oldest[name] = max(out.Oldest[name], now.Sub(r.At))
				out.Last[name] = r.Status + ": " + r.Detail
			}
			out.measure()
		}
	}
	cancel()
	if err := <-ended; err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(out)
}

// plugins are all names of plugins with what they do.
func plugins() map[string]string {
	out := map[string]string{}
	for i := range copies {
		for _, kind := range append([]string{"good"}, bad...) {
			if i < copies/2 || kind != "good" {
				out[fmt.Sprintf("%s-%d", kind, i)] = kind
			}
		}
	}
	return out
}

// measure keeps the greatest memory of this process and of its children.
func (h *hosted) measure() {
	h.RSS = max(h.RSS, rss("self"))
	tasks, _ := filepath.Glob("/proc/self/task/*/children")
	for _, f := range tasks {
		b, _ := os.ReadFile(f)
		for _, pid := range strings.Fields(string(b)) {
			h.Plugin = max(h.Plugin, rss(pid))
		}
	}
}

// rss is a process's memory in KiB; 0 if it has ended.
func rss(pid string) (n int64) {
	b, _ := os.ReadFile("/proc/" + pid + "/status")
	for l := range strings.Lines(string(b)) {
		_, _ = fmt.Sscanf(l, "VmRSS: %d", &n)
	}
	return n
}

// copies is how many there are of each bad plugin; of the good one there are half as many.
var copies = nstest.Trials(2, 10)

// TestBadPlugins has plugins that hang, crash, flood, say garbage and never answer, fifty of
// them in a soak, all at once and beside good ones and a pair of vrrpds.
func TestBadPlugins(t *testing.T) {
	nstest.Need(t, "root", "netns", "nsenter", "ip", "go")
	dir, err := os.MkdirTemp("", "storm") // a socket's path has 108 bytes
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	folder := filepath.Join(dir, "plugins")
	for _, d := range []string{dir, folder} {
		if err := os.MkdirAll(d, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "verdict"), []byte("up"), 0o644); err != nil {
		t.Fatal(err)
	}
	fixture := filepath.Join(dir, "fixture")
	build := exec.Command("go", "build", "-o", fixture, "../../internal/pluginhost/testdata/fixture")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build the plugin: %v\n%s", err, out)
	}
	for name := range plugins() {
		if err := os.Link(fixture, filepath.Join(folder, "hareconcile-plugin-"+name)); err != nil {
			t.Fatal(err)
		}
	}
	p := newPair(t)
	got, took := host(t, dir, time.Duration(nstest.Trials(10, 120))*time.Second)
	judge(t, got)
	figure(t, "%d bad plugins: host %d MiB, the largest plugin %d MiB", copies*len(bad), got.RSS>>10, got.Plugin>>10)
	p.unmoved(took)
}

// host runs a host for so long, and returns what it has told and its processor time with that
// of its plugins.
func host(t *testing.T, dir string, d time.Duration) (hosted, time.Duration) {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(exe)
	cmd.Env = append(os.Environ(), hostEnv+"="+dir, "GORACE=atexit_sleep_ms=0")
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	timer := time.AfterFunc(d, func() { _ = in.Close() })
	defer timer.Stop()
	var got hosted
	err = json.NewDecoder(bufio.NewReader(out)).Decode(&got)
	if waitErr := cmd.Wait(); err != nil || waitErr != nil {
		t.Fatalf("the host: %v, %v", err, waitErr)
	}
	return got, cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
}

// judge checks that nobody waited longer than the time limit allows, and that the bad ones
// are unknown and the good ones are not.
func judge(t *testing.T, got hosted) {
	t.Helper()
	const slack = time.Second // this machine's own
	for name, kind := range plugins() {
		last := got.Last[name]
		if want := map[bool]string{true: "pass: ", false: "unknown: "}[kind == "good" || kind == "spam"]; !strings.HasPrefix(last, want) {
			t.Errorf("%s: %q, want %s", name, last, want)
		}
		if age := got.Oldest[name]; age > checkEvery+checkTimeout+slack {
			t.Errorf("%s: the last answer was %v old, want one each %v within %v", name, age, checkEvery, checkTimeout)
		}
	}
	if got.RSS > mostMemory || got.Plugin > memoryLimit>>10 {
		t.Errorf("the host took %d MiB and a plugin %d MiB", got.RSS>>10, got.Plugin>>10)
	}
}
