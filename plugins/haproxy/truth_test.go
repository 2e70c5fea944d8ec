package main

import (
	"errors"
	"fmt"
	"net"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/hareconcile/hareconcile/internal/listening"
	"github.com/hareconcile/hareconcile/internal/proc"
	"github.com/hareconcile/hareconcile/plugins/sdk"
)

// checked has servers that are looked at, and limits that a test can reach.
const checked = `
global
  stats socket SOCKET mode 600 level admin
  hard-stop-after 20s
defaults
  mode http
  timeout connect 1s
  timeout client 30s
  timeout server 30s
  timeout queue 1s
frontend fe_web
  bind 127.0.0.1:PORT backlog 4
  maxconn 3
  monitor-uri /health
  stats enable
  stats uri /stats
  default_backend be_app
backend be_app
  server a 127.0.0.1:1 check inter INTER
  server b 127.0.0.1:2 check inter INTER
`

// all asks for everything that may move an address.
const all = `{"socket": "SOCKET", "master_socket": "MASTER", "pidfile": "PIDFILE", "frontends": ["fe_web"],
	"listen": ["127.0.0.1:PORT"], "startup_grace": "1h"}`

// believed asserts that signal 0 finds nothing wrong, to the process and by name: this is what
// check scripts ask, and what the plugin must be better than.
func believed(t *testing.T, pid int) {
	t.Helper()
	if err := syscall.Kill(pid, 0); err != nil {
		t.Errorf("kill -0 %d says %v; it is not what this row is about", pid, err)
	}
	if killall, err := exec.LookPath("killall"); err == nil {
		if out, err := exec.Command(killall, "-0", "haproxy").CombinedOutput(); err != nil {
			t.Errorf("killall -0 haproxy says %v: %s", err, out)
		}
	}
}

func (h *server) worker(t *testing.T, old int) int {
	t.Helper()
	kids, err := proc.Children(h.process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range kids {
		if k != old {
			return k
		}
	}
	t.Fatalf("the master has no worker but %v", kids)
	return 0
}

func kill(t *testing.T, pid int, s syscall.Signal) {
	t.Helper()
	if err := syscall.Kill(pid, s); err != nil {
		t.Fatalf("%v for %d: %v", s, pid, err)
	}
}

func (h *server) dial(t *testing.T) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", h.port))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func inter(d string) string { return strings.ReplaceAll(checked, "INTER", d) }

func TestFrozenWorker(t *testing.T) {
	h := pair(t, config)
	for _, conf := range []string{`{"socket": "SOCKET"}`, all} {
		w := h.watcher(t, conf)
		h.await(t, w, sdk.Pass, "")
		worker := h.worker(t, 0)
		kill(t, worker, syscall.SIGSTOP)
		r := h.await(t, w, sdk.Fail, "FROZEN")
		believed(t, h.process.Pid)
		believed(t, worker)
		expect(t, r, sdk.Fail, "does not answer")
		for range 3 { // connections pile up where the kernel accepts them
			begin := time.Now()
			expect(t, look(t, w, 200*time.Millisecond), sdk.Fail, fmt.Sprintf("process %d is stopped", worker))
			if took := time.Since(begin); took > 2*time.Second {
				t.Errorf("took %v, the deadline is 200ms", took)
			}
		}
		kill(t, worker, syscall.SIGCONT)
		h.await(t, w, sdk.Pass, "")
	}
}

func TestSoftStop(t *testing.T) {
	h := pair(t, config)
	w, alone := h.watcher(t, all), h.watcher(t, `{"socket": "SOCKET", "pidfile": "PIDFILE"}`)
	h.await(t, w, sdk.Pass, "")
	c := h.dial(t) // keeps the process alive while it stops
	if _, err := fmt.Fprint(c, "GET / HTTP/1.1\r\n"); err != nil {
		t.Fatal(err)
	}
	h.awaitConnections(t, 1)
	kill(t, h.process.Pid, syscall.SIGUSR1)
	r := h.await(t, w, sdk.Fail, "STOPPING")
	believed(t, h.process.Pid)
	expect(t, r, sdk.Fail, "is stopping")
	if p := the(t, r, "process"); p.Status != sdk.Pass {
		t.Errorf("the process is there, and the part says %+v", p)
	}
	expect(t, h.await(t, alone, sdk.Fail, ""), sdk.Fail, "nobody listens on")
}

// awaitConnections waits until haproxy serves as many.
func (h *server) awaitConnections(t *testing.T, n float64) {
	t.Helper()
	w := h.watcher(t, `{"socket": "SOCKET"}`)
	for deadline := time.Now().Add(10 * time.Second); ; {
		if look(t, w, time.Second).Metrics["curr_conns"] >= n {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("haproxy does not take %v connections", n)
		}
		<-time.After(5 * time.Millisecond)
	}
}

func TestSaturatedFrontend(t *testing.T) {
	h := pair(t, inter("10m"))
	w := h.watcher(t, strings.Replace(all, `"frontends"`, `"http_url": "http://127.0.0.1:PORT/health", "frontends"`, 1))
	h.await(t, w, sdk.Pass, "")
	for range 8 { // three are served, and four and one may wait
		h.dial(t)
	}
	h.awaitConnections(t, 3)
	r := h.await(t, w, sdk.Warn, "SATURATED")
	believed(t, h.process.Pid)
	if p := the(t, r, "http"); p.Status != sdk.Warn || p.Code != "SATURATED" {
		t.Errorf("a request that waits in vain is %+v", p)
	}
	if p := the(t, r, "listener fe_web"); p.Status != sdk.Pass {
		t.Errorf("a full frontend is %+v", p)
	}
	sockets, err := listening.TCP()
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range sockets {
		if int(s.Address.Port()) == h.port && s.Queue <= s.Limit {
			t.Errorf("%d connections wait of %d", s.Queue, s.Limit)
		}
	}
}

func TestBusySocket(t *testing.T) {
	h := pair(t, config)
	w := h.watcher(t, all)
	h.await(t, w, sdk.Pass, "")
	for range 12 {
		defer h.idle(t).Close()
	}
	for _, w := range []*watcher{w, h.watcher(t, `{"socket": "SOCKET"}`)} {
		r := h.await(t, w, sdk.Unknown, "CLI_FULL")
		expect(t, r, sdk.Unknown, "clients keep")
	}
	// One that is frozen with all its slots taken is still told apart.
	worker := h.worker(t, 0)
	kill(t, worker, syscall.SIGSTOP)
	defer kill(t, worker, syscall.SIGCONT)
	h.await(t, w, sdk.Fail, "FROZEN")
}

// idle connects to the runtime socket. Where few may wait, the next has to come again.
func (h *server) idle(t *testing.T) net.Conn {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); ; {
		c, err := net.Dial("unix", h.socket)
		if err == nil {
			return c
		}
		if !errors.Is(err, syscall.EAGAIN) || time.Now().After(deadline) {
			t.Fatal(err)
		}
		<-time.After(5 * time.Millisecond)
	}
}

func TestPausedFrontend(t *testing.T) {
	h := pair(t, config)
	h.await(t, h.watcher(t, all), sdk.Pass, "")
	h.command(t, "disable frontend fe_web")
	strict := h.watcher(t, strings.Replace(all, `"frontends"`, `"pause_grace": "0s", "frontends"`, 1))
	r := look(t, strict, time.Second)
	expect(t, r, sdk.Fail, "frontend fe_web is PAUSED, nobody listens on")
	believed(t, h.process.Pid)
	patient := h.watcher(t, strings.Replace(all, `"frontends"`, `"pause_grace": "150ms", "frontends"`, 1))
	expect(t, look(t, patient, time.Second), sdk.Unknown, "PAUSED")
	h.await(t, patient, sdk.Fail, "PAUSED")
	h.command(t, "enable frontend fe_web")
	h.await(t, patient, sdk.Pass, "")
	h.command(t, "shutdown frontend fe_web")
	expect(t, look(t, patient, time.Second), sdk.Fail, "frontend fe_web is STOP")
}

func TestListenerMissing(t *testing.T) {
	h := pair(t, config)
	missing := fmt.Sprintf(`{"socket": "SOCKET", "pause_grace": "0s", "listen": ["127.0.0.1:%d"]}`, freePort(t))
	expect(t, look(t, h.watcher(t, missing), time.Second), sdk.Fail, "nobody listens on 127.0.0.1")
	believed(t, h.process.Pid)
}
