package pluginhost

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/hareconcile/hareconcile/internal/nstest"
	"github.com/hareconcile/hareconcile/internal/spec"
	"github.com/hareconcile/hareconcile/reconcile"
)

func TestPluginsThatCannotBeMeasured(t *testing.T) {
	for _, tt := range []struct{ plugin, message string }{
		{"crash", "exit status 3"},
		{"hang", "timeout while waiting for the plugin to start: it did not in 1s"},
		{"print", "Unrecognized remote plugin message: hello, I am a plugin"},
		{"elsewhere", `it listens on unix "/run/elsewhere.sock", not on a socket in`},
		{"mute", "no such file or directory"},
		{"liar", `calls itself "somebody"`},
		{"huge", "the answer is too large"},
		{"wrong", "z z z"},
		{"missing", "no such file or directory"},
		{"../good", "is no name of a plugin"},
	} {
		t.Run(filepath.Base(tt.plugin), func(t *testing.T) {
			t.Parallel()
			b := newBench(t, quiet)
			b.timing.start = time.Second
			a := b.track("a", tt.plugin)
			a.Hold = 100 * time.Millisecond
			b.Set([]spec.Tracker{a})
			// The first message may be that it is starting, so on_unknown flips until the reason shows.
			deadline := time.After(20 * time.Second)
			for last := ""; !strings.Contains(last, tt.message); {
				select {
				case r := <-b.Results():
					if want := reconcile.Verdict(a.OnUnknown); r.Verdict != want {
						t.Fatalf("verdict %q (%s), want %q", r.Verdict, r.Message, want)
					}
					if len(r.Message) > 1024 || strings.Contains(r.Message, "\n") {
						t.Errorf("message of %d bytes: %.50q", len(r.Message), r.Message)
					}
					last = r.Message
					a.OnUnknown = map[string]string{"down": "up", "up": "down"}[a.OnUnknown]
					a.Hold = 0
					b.Set([]spec.Tracker{a})
				case <-deadline:
					t.Fatalf("no message %q in 20 s, the last was %q", tt.message, last)
				}
			}
		})
	}
}

func TestKilledPluginIsHeldAndReturns(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	chance := rand.New(rand.NewPCG(seed, 0))
	b := newBench(t, quiet)
	b.timing.againLimit = b.timing.again
	b.Set([]spec.Tracker{b.track("a", "good")})
	b.await("a", reconcile.Up, "")
	pid := b.pid("good", 0)
	for range nstest.Trials(10, 50) {
		select {
		case <-time.After(time.Duration(chance.Int64N(int64(100 * time.Millisecond)))):
		case r := <-b.Results():
			t.Fatalf("result %v while the plugin was replaced, want none: the verdict holds", r)
		}
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		pid = b.pid("good", pid)
	}
	b.say("down")
	b.await("a", reconcile.Down, "it says down")
	b.say("die")
	b.pid("good", pid)
	b.say("up")
	b.await("a", reconcile.Up, "it says up")
}

func TestFrozenPluginIsReplaced(t *testing.T) {
	b := newBench(t, quiet)
	a := b.track("a", "good")
	a.Timeout = 100 * time.Millisecond
	b.Set([]spec.Tracker{a})
	b.await("a", reconcile.Up, "")
	pid := b.pid("good", 0)
	if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	b.pid("good", pid)
	if alive(pid) {
		t.Error("the frozen process is still there")
	}
	b.say("down")
	b.await("a", reconcile.Down, "it says down")
}

func TestFloodOfOutputIsBounded(t *testing.T) {
	var log lockedBuffer
	b := newBench(t, slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug})))
	b.Set([]spec.Tracker{b.track("a", "spam")})
	b.await("a", reconcile.Up, "it says up")
	until(t, "lines are dropped", func() bool { return strings.Contains(log.String(), "plugin log lines dropped") })
	b.stop()
	if n := strings.Count(log.String(), "plugin says"); n > 2*lineBurst+20*lineRate {
		t.Errorf("%d lines of the plugin in the log", n)
	}
}

// A lockedBuffer is a bytes.Buffer for several goroutines.
type lockedBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

// Write implements io.Writer.
func (l *lockedBuffer) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(b)
}

// String returns what was written.
func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

func TestPluginsAreUnprivileged(t *testing.T) {
	t.Setenv("SECRET_OF_THE_HOST", "x")
	b := newBench(t, quiet)
	b.Set([]spec.Tracker{b.track("a", "good")})
	b.await("a", reconcile.Up, "")
	pid := b.pid("good", 0)
	status := read(t, pid, "status")
	for _, want := range []string{"NoNewPrivs:\t1\n", "CapAmb:\t0000000000000000\n"} {
		if !strings.Contains(status, want) {
			t.Errorf("no %q in status:\n%s", want, status)
		}
	}
	t.Run("as another user", func(t *testing.T) {
		nstest.Need(t, "root")
		for _, want := range []string{"Uid:\t65534\t65534\t65534\t65534\n", "CapEff:\t0000000000000000\n", "CapPrm:\t0000000000000000\n"} {
			if !strings.Contains(status, want) {
				t.Errorf("no %q in status:\n%s", want, status)
			}
		}
	})
	stat := read(t, pid, "stat")
	own := read(t, os.Getpid(), "stat")
	if got, want := niceOf(t, stat), niceOf(t, own)+meekness; got != min(want, 19) {
		t.Errorf("the plugin is nice by %d, want %d", got, want)
	}
	if env := read(t, pid, "environ"); strings.Contains(env, "SECRET") || !strings.Contains(env, "PLUGIN_CLIENT_CERT=") {
		t.Errorf("environment %q", env)
	}
}

// niceOf is field 19 of a process's stat (proc_pid_stat(5)), the 17th after the name.
func niceOf(t *testing.T, stat string) (n int) {
	t.Helper()
	fields := strings.Fields(stat[strings.LastIndexByte(stat, ')')+1:])
	if _, err := fmt.Sscan(fields[16], &n); err != nil {
		t.Fatal(err)
	}
	return n
}

func read(t *testing.T, pid int, file string) string {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/%s", pid, file))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestDescendantsEndWithThePlugin(t *testing.T) {
	b := newBench(t, quiet)
	a := b.track("a", "good")
	a.Config = fmt.Appendf(nil, `{"file": %q, "fork": true}`, b.file)
	b.Set([]spec.Tracker{a})
	b.await("a", reconcile.Up, "")
	pid := b.pid("good", 0)
	children := childrenOf(t, pid)
	if len(children) != 1 {
		t.Fatalf("children of the plugin: %v, want one", children)
	}
	child, err := strconv.Atoi(children[0])
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	until(t, "the plugin's child has ended", func() bool { return !alive(child) })
}

// helperEnv makes the test binary a host in the folder that it names.
const helperEnv = "PLUGINHOST_TEST_HELPER"

// helper runs a host until it is killed, and prints the plugin's pid.
func helper(dir string) {
	plugins, file, _ := strings.Cut(dir, ":")
	h := New(spec.Plugins{Dir: plugins}, filepath.Dir(file), slog.New(slog.DiscardHandler))
	h.Set([]spec.Tracker{{
		Name: "a", Plugin: "good", Config: fmt.Appendf(nil, `{"file": %q}`, file),
		Interval: 50 * time.Millisecond, Timeout: time.Second, Rise: 1, Fall: 1,
	}}, nil)
	go func() {
		<-h.Results()
		s, _ := h.plugins["good"].current()
		fmt.Println(s.process.pid())
	}()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := h.Run(ctx); err != nil {
		fmt.Println(err)
	}
}

func TestKilledHostLeavesNoPlugin(t *testing.T) {
	b := newBench(t, quiet) // for its folder
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), helperEnv+"="+folder+":"+b.file)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer cmd.Wait()
	defer cmd.Process.Kill()
	line, err := bufio.NewReader(out).ReadString('\n')
	pid, convErr := strconv.Atoi(strings.TrimSpace(line))
	if err != nil || convErr != nil || !alive(pid) {
		t.Fatalf("the helper printed %q (%v), want the pid of its plugin", line, err)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	until(t, "the plugin has ended", func() bool { return !alive(pid) })
}

func TestBinariesThatAreRefused(t *testing.T) {
	good, err := os.ReadFile(filepath.Join(folder, "hareconcile-plugin-good"))
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name   string
		spoil  func(t *testing.T, dir, file string) error
		refuse string
	}{
		{"as it should be", func(*testing.T, string, string) error { return nil }, ""},
		{"writable for the group", func(_ *testing.T, _, f string) error { return os.Chmod(f, 0o775) }, "can be written by its group"},
		{"folder writable for all", func(_ *testing.T, d, _ string) error { return os.Chmod(d, 0o777) }, "can be written by its group"},
		{"not executable", func(_ *testing.T, _, f string) error { return os.Chmod(f, 0o644) }, "is not executable"},
		{"setuid", func(_ *testing.T, _, f string) error { return os.Chmod(f, 0o755|os.ModeSetuid) }, "is setuid"},
		{"under another name", func(_ *testing.T, _, f string) error { return os.Rename(f, f+"2") }, "no such file"},
		{"a symbolic link", func(_ *testing.T, _, f string) error {
			if err := os.Rename(f, f+"2"); err != nil {
				return err
			}
			return os.Symlink(f+"2", f)
		}, "is no regular file"},
		{"in a folder within one that others can write to", func(t *testing.T, dir, f string) error {
			return os.Chmod(filepath.Dir(dir), 0o777)
		}, "can be written by"},
		{"a script whose interpreter others can write to", func(t *testing.T, _, f string) error {
			shell := filepath.Join(t.TempDir(), "sh")
			if err := os.WriteFile(shell, good, 0o755); err != nil {
				return err
			}
			if err := os.Chmod(shell, 0o777); err != nil {
				return err
			}
			return os.WriteFile(f, []byte("#!"+shell+"\n"), 0o755)
		}, "the interpreter of"},
		{"of another user", func(t *testing.T, _, f string) error {
			nstest.Need(t, "root")
			return os.Chown(f, 12345, 0)
		}, "belongs to user 12345"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			if err := os.Chmod(dir, 0o755); err != nil {
				t.Fatal(err)
			}
			file := filepath.Join(dir, "hareconcile-plugin-good")
			if err := os.WriteFile(file, good[:64], 0o755); err != nil {
				t.Fatal(err)
			}
			if err := tt.spoil(t, dir, file); err != nil {
				t.Fatal(err)
			}
			bin, err := find(dir, "good")
			if bin != nil {
				_ = bin.file.Close()
			}
			if tt.refuse == "" && err != nil || tt.refuse != "" && (err == nil || !strings.Contains(err.Error(), tt.refuse)) {
				t.Errorf("find() = %v, want %q", err, tt.refuse)
			}
		})
	}
}
