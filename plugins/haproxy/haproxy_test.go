package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hareconcile/hareconcile/internal/haproxy/haproxytest"
	"github.com/hareconcile/hareconcile/internal/haproxy/socket"
	"github.com/hareconcile/hareconcile/plugins/sdk"
	"github.com/hareconcile/hareconcile/plugins/sdk/sdktest"
)

// A server is a real haproxy, of this test, on loopback.
type server struct {
	socket, master, pidfile, file string
	port                          int
	process                       *os.Process
	reap                          func() // ends it and waits for it
	text                          func(string) string
}

const config = `
global
  stats socket SOCKET mode 600 level admin
  hard-stop-after 20s
defaults
  mode http
  timeout connect 1s
  timeout client 30s
  timeout server 30s
frontend fe_web
  bind 127.0.0.1:PORT
  monitor-uri /health
  http-request deny if { path /deny }
  default_backend be_app
backend be_app
  server a 127.0.0.1:1
  server b 127.0.0.1:2 backup
backend be_empty
`

// start starts Debian's haproxy; it ends with the test. With -W it is a master and a worker.
func start(t testing.TB, config string, args ...string) *server {
	t.Helper()
	program := haproxytest.Program(t)
	dir := shortDir(t)
	h := &server{
		socket: filepath.Join(dir, "s"), master: filepath.Join(dir, "m"), pidfile: filepath.Join(dir, "pid"),
		file: filepath.Join(dir, "haproxy.cfg"), port: freePort(t),
	}
	h.text = strings.NewReplacer("SOCKET", h.socket, "MASTER", h.master, "PIDFILE", h.pidfile,
		"PORT", fmt.Sprint(h.port), "DIR", dir).Replace
	h.write(t, config)
	args = append([]string{"-f", h.file}, args...)
	for k := range args {
		args[k] = h.text(args[k])
	}
	cmd := exec.Command(program, args...)
	log, err := os.Create(filepath.Join(dir, "log")) // a file: a worker outlives its master for a moment
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	h.process = cmd.Process
	reaped := false
	h.reap = func() {
		if !reaped {
			reaped = true
			_ = h.process.Kill() // whose workers end with it
			_ = cmd.Wait()
		}
	}
	t.Cleanup(func() {
		h.reap()
		if t.Failed() {
			b, _ := os.ReadFile(log.Name())
			t.Logf("haproxy said: %s", b)
		}
	})
	h.await(t, h.watcher(t, `{"socket": "SOCKET"}`), sdk.Pass, "")
	return h
}

// pair starts a master with a worker.
func pair(t testing.TB, config string) *server {
	t.Helper()
	return start(t, config, "-W", "-S", "MASTER", "-p", "PIDFILE")
}

func (h *server) write(t testing.TB, config string) {
	t.Helper()
	if err := os.WriteFile(h.file, []byte(h.text(config)), 0o600); err != nil {
		t.Fatal(err)
	}
}

// shortDir is t.TempDir with a path short enough for a socket.
func shortDir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "haproxy")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

func freePort(t testing.TB) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

// watcher makes a watcher as the agent does; it shares answers with no other.
func (h *server) watcher(t testing.TB, config string) *watcher {
	t.Helper()
	return h.another(t, newTracker(), config)
}

// another makes a watcher that asks together with others of the tracker.
func (h *server) another(t testing.TB, tr tracker, config string) *watcher {
	t.Helper()
	v, err := sdk.ParseValue(tr.Schema(), []byte(h.text(config)))
	if err != nil {
		t.Fatal(err)
	}
	i, err := tr.New(t.Context(), v)
	if err != nil {
		t.Fatal(err)
	}
	w := i.(*watcher)
	t.Cleanup(func() { _ = w.Close() })
	return w
}

func look(t testing.TB, w *watcher, timeout time.Duration) sdk.Result {
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
func (h *server) await(t testing.TB, w *watcher, want sdk.Status, code string) sdk.Result {
	t.Helper()
	deadline := time.After(15 * time.Second)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		r := look(t, w, 400*time.Millisecond)
		if r.Status == want && (code == "" || r.Code == code) {
			return r
		}
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("after 15 s haproxy is %s %s (%s), want %s %s\n%+v", r.Status, r.Code, r.Detail, want, code, r.Parts)
		}
	}
}

func expect(t *testing.T, got sdk.Result, want sdk.Status, message string) {
	t.Helper()
	if got.Status != want || !strings.Contains(got.Detail, message) {
		t.Errorf("result %s %q, want %s %q\n%+v", got.Status, got.Detail, want, message, got.Parts)
	}
}

// the returns a part of a result.
func the(t *testing.T, r sdk.Result, name string) sdk.Part {
	t.Helper()
	for _, p := range r.Parts {
		if p.Name == name {
			return p
		}
	}
	t.Errorf("there is no part %q among %+v", name, r.Parts)
	return sdk.Part{}
}

func (h *server) command(t *testing.T, c string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	if _, err := socket.Ask(ctx, h.socket, c); err != nil {
		t.Fatalf("%s: %v", c, err)
	}
}

func TestRunningHaproxy(t *testing.T) {
	h := start(t, config, "-db")
	quick := 2 * time.Second
	with := func(rest string) *watcher { return h.watcher(t, `{"socket": "SOCKET"`+rest+`}`) }
	everything := with(`, "frontends": ["fe_web"], "backends": ["be_app"], "min_up": 2, "listen": ["127.0.0.1:PORT"], "http_url": "http://127.0.0.1:PORT/health"`)
	r := look(t, everything, quick)
	expect(t, r, sdk.Warn, "backend be_app has 2 servers up, which nobody checks")
	believed(t, h.process.Pid)
	for _, p := range []string{"process", "runtime", "stopping", "listener fe_web", fmt.Sprintf("listener 127.0.0.1:%d", h.port), "capacity", "http"} {
		if got := the(t, r, p); got.Status != sdk.Pass {
			t.Errorf("%s is %+v", p, got)
		}
	}
	if r.Facts["pid"] != fmt.Sprint(h.process.Pid) || r.Metrics["up"] != 1 || r.Metrics["backend_up{be_app}"] != 2 ||
		r.Metrics["frontend_open{fe_web}"] != 1 || r.Metrics["backend_weight_ratio{be_app}"] != 1 || r.Metrics["max_conns"] <= 0 {
		t.Errorf("metrics %v, facts %v", r.Metrics, r.Facts)
	}
	expect(t, look(t, with(`, "frontends": ["fe_web"]`), quick), sdk.Pass, "frontend fe_web is OPEN")
	expect(t, look(t, with(`, "backends": ["be_app"], "count_backup": false, "min_up": 2`), quick), sdk.Fail, "has 1 servers up, want 2")
	expect(t, look(t, with(`, "backends": ["be_empty"]`), quick), sdk.Fail, "backend be_empty has 0 servers up, want 1")
	expect(t, look(t, with(`, "backends": ["be_empty"], "min_up": 0`), quick), sdk.Pass, "backend be_empty has 0")
	expect(t, look(t, with(`, "backends": ["fe_web"]`), quick), sdk.Fail, "there is no backend fe_web")
	expect(t, look(t, with(`, "frontends": ["nope", "fe_web"]`), quick), sdk.Fail, "there is no frontend nope")
	expect(t, look(t, with(`, "http_url": "http://127.0.0.1:PORT/deny", "http_expect": "2xx"`), quick), sdk.Fail, "answers 403, want 2xx")
	expect(t, look(t, with(`, "http_url": "http://192.0.2.1:PORT/x"`), quick), sdk.Unknown, "not an address of this node")
	h.command(t, "disable server be_app/a")
	expect(t, look(t, everything, quick), sdk.Fail, "backend be_app has 1 servers up, want 2")
	h.command(t, "enable server be_app/a")
	expect(t, look(t, everything, quick), sdk.Warn, "")
}

func TestKilledHaproxy(t *testing.T) {
	h := start(t, config, "-db")
	h.reap()
	expect(t, look(t, h.watcher(t, `{"socket": "SOCKET"}`), time.Second), sdk.Fail, "nobody listens on")
	if err := os.Remove(h.socket); err != nil {
		t.Fatal(err)
	}
	expect(t, look(t, h.watcher(t, `{"socket": "SOCKET"}`), time.Second), sdk.Fail, "there is no socket")
}

func TestBinary(t *testing.T) {
	h := start(t, config, "-db")
	binary := compile(t)
	sdktest.Verify(t, binary, fmt.Sprintf(`{"socket": %q, "frontends": ["fe_web"]}`, h.socket))
	out, err := exec.Command(binary, "-check", fmt.Sprintf(`{"socket": %q}`, h.socket)).CombinedOutput()
	if err != nil || !strings.HasPrefix(string(out), "pass: haproxy ") {
		t.Errorf("-check = %q, %v, want pass", out, err)
	}
}

// compile builds the plugin where everybody may run it.
func compile(t *testing.T) string {
	t.Helper()
	dir := shortDir(t)
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	binary := filepath.Join(dir, "hareconcile-plugin-haproxy")
	if out, err := exec.Command("go", "build", "-o", binary, ".").CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	return binary
}
