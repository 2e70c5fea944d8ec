package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/hareconcile/hareconcile/internal/haproxy/haproxytest"
	"github.com/hareconcile/hareconcile/internal/nstest"
	"github.com/hareconcile/hareconcile/plugins/sdk"
)

func TestZombie(t *testing.T) {
	h := start(t, config, "-db")
	if err := os.WriteFile(h.pidfile, fmt.Appendln(nil, h.process.Pid), 0o600); err != nil {
		t.Fatal(err)
	}
	conf := `{"socket": "SOCKET", "pidfile": "PIDFILE"}`
	w := h.watcher(t, conf)
	expect(t, look(t, w, time.Second), sdk.Pass, "")
	kill(t, h.process.Pid, syscall.SIGKILL) // and nobody waits for it
	for _, w := range []*watcher{w, h.watcher(t, conf)} {
		r := h.await(t, w, sdk.Fail, "ZOMBIE")
		believed(t, h.process.Pid)
		expect(t, r, sdk.Fail, "its parent did not notice")
	}
}

// TestMasterKilled shows that the end is told before anybody asks, and that the next master
// is watched too.
func TestMasterKilled(t *testing.T) {
	h := pair(t, config)
	w := h.watcher(t, all)
	told := make(chan sdk.Result, 8) // more than there are ends
	ended := make(chan error, 1)     // one answer
	go func() { ended <- w.Watch(t.Context(), func(r sdk.Result) { told <- r }) }()
	h.await(t, w, sdk.Pass, "")
	await := func() sdk.Result {
		select {
		case r := <-told:
			return r
		case <-time.After(10 * time.Second):
			t.Fatal("nobody told the end")
			return sdk.Result{}
		}
	}
	begin := time.Now()
	kill(t, h.process.Pid, syscall.SIGKILL)
	r := await()
	t.Logf("told after %v", time.Since(begin))
	expect(t, r, sdk.Fail, fmt.Sprintf("process %d has ended", h.process.Pid))
	believed(t, h.process.Pid) // nobody has reaped it
	h.await(t, w, sdk.Fail, "ZOMBIE")
	h.reap()
	h.await(t, w, sdk.Fail, "GONE")

	second := exec.Command(haproxytest.Program(t), "-W", "-S", h.master, "-p", h.pidfile, "-f", h.file)
	if err := second.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = second.Process.Kill(); _ = second.Wait() })
	h.await(t, w, sdk.Pass, "")
	kill(t, second.Process.Pid, syscall.SIGKILL)
	expect(t, await(), sdk.Fail, fmt.Sprintf("process %d has ended", second.Process.Pid))
}

// TestEndIsNotPolled: the end of the process is told while nobody could have asked for it. A
// check that began before hangs on a frozen worker, and returns only after the end was told.
func TestEndIsNotPolled(t *testing.T) {
	h := pair(t, config)
	w := h.watcher(t, `{"socket": "SOCKET", "pidfile": "PIDFILE"}`)
	h.await(t, w, sdk.Pass, "")
	told := make(chan sdk.Result, 1) // one end
	go func() { _ = w.Watch(t.Context(), func(r sdk.Result) { told <- r }) }()
	worker := h.worker(t, 0)
	kill(t, worker, syscall.SIGSTOP)
	t.Cleanup(func() { _ = syscall.Kill(worker, syscall.SIGKILL) }) // it cannot see that its master is gone
	begun, polled := make(chan struct{}), make(chan sdk.Result, 1)
	go func() {
		long, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		close(begun)
		r, _ := w.Check(long)
		polled <- r
	}()
	<-begun
	kill(t, h.process.Pid, syscall.SIGKILL)
	select {
	case r := <-told:
		expect(t, r, sdk.Fail, fmt.Sprintf("process %d has ended", h.process.Pid))
	case r := <-polled:
		t.Fatalf("the check came first: %s %s", r.Status, r.Detail)
	case <-time.After(30 * time.Second): // the check waits for longer
		t.Fatal("nobody told the end")
	}
	select {
	case r := <-polled:
		t.Errorf("the check returned %s %s with a worker that is frozen", r.Status, r.Detail)
	default:
	}
	kill(t, worker, syscall.SIGKILL)
	if r := <-polled; r.Status != sdk.Fail {
		t.Errorf("then the check says %s %s", r.Status, r.Detail)
	}
}

func TestWorkerKilled(t *testing.T) {
	for name, conf := range map[string]string{"with its master": all, "alone": `{"socket": "SOCKET"}`} {
		t.Run(name, func(t *testing.T) {
			h := pair(t, config)
			w := h.watcher(t, conf)
			h.await(t, w, sdk.Pass, "")
			told := make(chan sdk.Result, 8) // more than there are ends
			go func() { _ = w.Watch(t.Context(), func(r sdk.Result) { told <- r }) }()
			kill(t, h.worker(t, 0), syscall.SIGKILL)
			select {
			case r := <-told:
				expect(t, r, sdk.Fail, "has ended")
			case <-time.After(10 * time.Second):
				t.Error("nobody told the end")
			}
			h.await(t, w, sdk.Fail, "")
		})
	}
}

// TestAsNobody runs the plugin as it runs in production, where it may not read everything.
func TestAsNobody(t *testing.T) {
	nstest.Need(t, "root")
	h := pair(t, config)
	open := pair(t, strings.Replace(config, "mode 600 level admin", "mode 666 level user", 1))
	binary := compile(t)
	check := func(h *server, conf string) string {
		for _, f := range []string{filepath.Dir(h.socket), h.pidfile} {
			if err := os.Chmod(f, 0o755); err != nil {
				t.Fatal(err)
			}
		}
		cmd := exec.Command(binary, "-check", h.text(conf))
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
		out, _ := cmd.CombinedOutput() // the exit code is the verdict
		return string(out)
	}
	believed(t, h.process.Pid)
	if out := check(h, `{"socket": "SOCKET", "pidfile": "PIDFILE"}`); !strings.HasPrefix(out, "unknown: this user may not connect to") {
		t.Errorf("without permission: %s", out)
	}
	conf := `{"socket": "SOCKET", "pidfile": "PIDFILE", "frontends": ["fe_web"], "listen": ["127.0.0.1:PORT"]}`
	if out := check(open, conf); !strings.HasPrefix(out, "pass: ") {
		t.Errorf("with permission for the socket alone: %s", out)
	}
	kill(t, open.worker(t, 0), syscall.SIGSTOP)
	if out := check(open, conf); !strings.Contains(out, "does not answer") {
		t.Errorf("frozen: %s", out)
	}
}

// TestRestartGrace: what the service manager starts again within the grace was never down.
func TestRestartGrace(t *testing.T) {
	h := pair(t, config)
	w := h.watcher(t, `{"socket": "SOCKET", "pidfile": "PIDFILE", "restart_grace": "1h"}`)
	h.await(t, w, sdk.Pass, "")
	h.reap()
	r := h.await(t, w, sdk.Unknown, "GONE")
	if p := the(t, r, "runtime"); p.Status != sdk.Unknown {
		t.Errorf("meanwhile the socket is %+v, want unknown", p)
	}
	again := exec.Command(haproxytest.Program(t), "-W", "-S", h.master, "-p", h.pidfile, "-f", h.file)
	if err := again.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = again.Process.Kill(); _ = again.Wait() })
	for r.Status != sdk.Pass {
		if r = look(t, w, time.Second); r.Status == sdk.Fail {
			t.Fatalf("while it starts: %s %s", r.Status, r.Detail)
		}
	}
	short := h.watcher(t, `{"socket": "SOCKET", "pidfile": "PIDFILE", "restart_grace": "50ms"}`)
	h.await(t, short, sdk.Pass, "")
	_ = again.Process.Kill()
	h.await(t, short, sdk.Fail, "")
}

// TestUnit finds the master by what systemd's control group would say.
func TestUnit(t *testing.T) {
	h := pair(t, config)
	w := h.watcher(t, `{"socket": "SOCKET", "unit": "haproxy.service"}`)
	w.cgroups = shortDir(t)
	r := look(t, w, time.Second)
	expect(t, r, sdk.Warn, "haproxy.service")
	dir := filepath.Join(w.cgroups, "system.slice", "haproxy.service")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	text := fmt.Sprintf("%d\n%d\n", h.worker(t, 0), h.process.Pid)
	if err := os.WriteFile(filepath.Join(dir, "cgroup.procs"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	r = look(t, w, time.Second)
	if p := the(t, r, "process"); p.Status != sdk.Pass || !strings.Contains(p.Detail, fmt.Sprint(h.process.Pid)) {
		t.Errorf("the process is %+v, want the master %d", p, h.process.Pid)
	}
}
