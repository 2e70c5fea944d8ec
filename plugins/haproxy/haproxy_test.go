package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/hareconcile/hareconcile/internal/nstest"
	"github.com/hareconcile/hareconcile/plugins/sdk"
	"github.com/hareconcile/hareconcile/plugins/sdk/sdktest"
)

// A haproxy is a real one, of this test, on loopback.
type haproxy struct {
	socket  string
	port    int
	process *os.Process
	exited  chan struct{}
}

const config = `
global
  stats socket %[1]s mode 600 level admin
  hard-stop-after 20s
defaults
  mode http
  timeout connect 1s
  timeout client 30s
  timeout server 30s
frontend fe_web
  bind 127.0.0.1:%[2]d
  default_backend be_app
backend be_app
  server a 127.0.0.1:1
  server b 127.0.0.1:2 backup
backend be_empty
`

// startHaproxy starts Debian's haproxy; it ends with the test.
func startHaproxy(t *testing.T) *haproxy {
	t.Helper()
	nstest.Need(t, "haproxy")
	dir := shortDir(t)
	h := &haproxy{socket: filepath.Join(dir, "s"), port: freePort(t), exited: make(chan struct{})}
	file := filepath.Join(dir, "haproxy.cfg")
	if err := os.WriteFile(file, fmt.Appendf(nil, config, h.socket, h.port), 0o600); err != nil {
		t.Fatal(err)
	}
	path, err := exec.LookPath("haproxy")
	if err != nil {
		path = "/usr/sbin/haproxy" // where users other than root do not look
	}
	cmd := exec.Command(path, "-f", file, "-db")
	var out strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	h.process = cmd.Process
	go func() { _ = cmd.Wait(); close(h.exited) }()
	t.Cleanup(func() {
		_ = h.process.Kill()
		<-h.exited
		if t.Failed() {
			t.Logf("haproxy said: %s", out.String())
		}
	})
	h.await(t, w(h, func(*watcher) {}), sdk.Pass)
	return h
}

// shortDir is t.TempDir with a path short enough for a socket.
func shortDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "haproxy")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

func freePort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

// w is a watcher of h.
func w(h *haproxy, f func(*watcher)) *watcher {
	out := &watcher{socket: h.socket, minUp: 1}
	f(out)
	return out
}

func look(t *testing.T, w *watcher, timeout time.Duration) sdk.Result {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), timeout)
	defer cancel()
	r, err := w.Check(ctx)
	if err != nil {
		return sdk.Result{Status: sdk.Unknown, Detail: err.Error()}
	}
	return r
}

// await looks until the verdict is as wanted.
func (h *haproxy) await(t *testing.T, w *watcher, want sdk.Status) sdk.Result {
	t.Helper()
	deadline := time.After(10 * time.Second)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		r := look(t, w, 300*time.Millisecond)
		if r.Status == want {
			return r
		}
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("after 10 s haproxy is %s (%s), want %s", r.Status, r.Detail, want)
		}
	}
}

func expect(t *testing.T, got sdk.Result, want sdk.Status, message string) {
	t.Helper()
	if got.Status != want || !strings.Contains(got.Detail, message) {
		t.Errorf("result %s %q, want %s %q", got.Status, got.Detail, want, message)
	}
}

func (h *haproxy) command(t *testing.T, c string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	if _, err := ask(ctx, h.socket, c+"\n"); err != nil {
		t.Fatalf("%s: %v", c, err)
	}
}

func TestRunningHaproxy(t *testing.T) {
	h := startHaproxy(t)
	quick := 2 * time.Second
	everything := w(h, func(w *watcher) { w.frontends, w.backends, w.minUp = []string{"fe_web"}, []string{"be_app"}, 2 })
	expect(t, look(t, everything, quick), sdk.Pass, "frontend fe_web is OPEN, backend be_app has 2 servers up")
	expect(t, look(t, w(h, func(w *watcher) { w.backends = []string{"be_empty"} }), quick), sdk.Fail, "backend be_empty has 0 servers up, want 1")
	expect(t, look(t, w(h, func(w *watcher) { w.backends, w.minUp = []string{"be_empty"}, 0 }), quick), sdk.Pass, "backend be_empty has 0")
	expect(t, look(t, w(h, func(w *watcher) { w.backends = []string{"fe_web"} }), quick), sdk.Fail, "there is no backend fe_web")
	expect(t, look(t, w(h, func(w *watcher) { w.frontends = []string{"nope", "fe_web"} }), quick), sdk.Fail, "there is no frontend nope")
	h.command(t, "disable server be_app/a")
	expect(t, look(t, everything, quick), sdk.Fail, "backend be_app has 1 servers up, want 2")
	h.command(t, "enable server be_app/a")
	expect(t, look(t, everything, quick), sdk.Pass, "")
	h.command(t, "disable frontend fe_web")
	expect(t, look(t, everything, quick), sdk.Fail, "frontend fe_web is PAUSED")
}

func TestFrozenHaproxy(t *testing.T) {
	h := startHaproxy(t)
	if err := h.process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	h.await(t, w(h, func(*watcher) {}), sdk.Fail) // a thread that waits for a CPU stops later
	for range 3 {                                 // connections pile up where the kernel accepts them
		begin := time.Now()
		expect(t, look(t, w(h, func(*watcher) {}), 200*time.Millisecond), sdk.Fail, "does not answer")
		if took := time.Since(begin); took > 2*time.Second {
			t.Errorf("took %v, the deadline is 200ms", took)
		}
	}
	if err := h.process.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	h.await(t, w(h, func(*watcher) {}), sdk.Pass)
}

func TestStoppingHaproxy(t *testing.T) {
	h := startHaproxy(t)
	c, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", h.port))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close() // keeps the process alive while it stops
	if _, err := fmt.Fprint(c, "GET / HTTP/1.1\r\n"); err != nil {
		t.Fatal(err)
	}
	if err := h.process.Signal(syscall.SIGUSR1); err != nil {
		t.Fatal(err)
	}
	h.await(t, w(h, func(*watcher) {}), sdk.Fail)
}

func TestKilledHaproxy(t *testing.T) {
	h := startHaproxy(t)
	if err := h.process.Kill(); err != nil {
		t.Fatal(err)
	}
	<-h.exited
	expect(t, look(t, w(h, func(*watcher) {}), time.Second), sdk.Fail, "nobody listens on")
	if err := os.Remove(h.socket); err != nil {
		t.Fatal(err)
	}
	expect(t, look(t, w(h, func(*watcher) {}), time.Second), sdk.Fail, "there is no socket")
}

func TestBinary(t *testing.T) {
	h := startHaproxy(t)
	binary := filepath.Join(shortDir(t), "hareconcile-plugin-haproxy")
	if out, err := exec.Command("go", "build", "-o", binary, ".").CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	sdktest.Verify(t, binary, fmt.Sprintf(`{"socket": %q, "frontends": ["fe_web"]}`, h.socket))
	out, err := exec.Command(binary, "-check", fmt.Sprintf(`{"socket": %q}`, h.socket)).CombinedOutput()
	if err != nil || !strings.HasPrefix(string(out), "pass: haproxy ") {
		t.Errorf("-check = %q, %v, want pass", out, err)
	}
}
