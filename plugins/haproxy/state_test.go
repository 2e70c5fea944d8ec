package main

import (
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/hareconcile/hareconcile/plugins/sdk"
)

// The states of the table's rows.

func good(t *testing.T) *server {
	t.Helper()
	h := pair(t, config)
	h.await(t, h.watcher(t, all), sdk.Pass, "")
	return h
}

func frozen(t *testing.T) *server {
	t.Helper()
	h := good(t)
	worker := h.worker(t, 0)
	kill(t, worker, syscall.SIGSTOP)
	t.Cleanup(func() { _ = syscall.Kill(worker, syscall.SIGCONT) })
	return h
}

func softStopped(t *testing.T) *server {
	t.Helper()
	h := good(t)
	if _, err := fmt.Fprint(h.dial(t), "GET / HTTP/1.1\r\n"); err != nil {
		t.Fatal(err)
	}
	h.awaitConnections(t, 1)
	kill(t, h.process.Pid, syscall.SIGUSR1)
	h.awaitClosed(t)
	return h
}

func serversDown(t *testing.T) *server {
	t.Helper()
	h := pair(t, strings.Replace(inter("100ms"), "  monitor-uri /health\n", "  monitor-uri /servers\n  monitor fail if { nbsrv(be_app) lt 1 }\n", 1))
	h.await(t, h.watcher(t, backends), sdk.Fail, "DOWN")
	return h
}

func full(t *testing.T) *server {
	t.Helper()
	h := pair(t, inter("10m"))
	h.await(t, h.watcher(t, all), sdk.Pass, "")
	for range 3 { // which are served; the others wait
		h.dial(t)
	}
	h.awaitConnections(t, 3)
	return h
}

func zombie(t *testing.T) *server {
	t.Helper()
	h := good(t)
	kill(t, h.process.Pid, syscall.SIGKILL) // and nobody waits for it
	h.awaitClosed(t)
	return h
}

func reloaded(t *testing.T) *server {
	t.Helper()
	h := serversDown(t)
	h.write(t, inter("10m"))
	h.reload(t)
	return h
}

func busy(t *testing.T) *server {
	t.Helper()
	h := good(t)
	for range 12 {
		c := h.idle(t)
		t.Cleanup(func() { _ = c.Close() })
	}
	return h
}

func withoutFrontend(t *testing.T) *server {
	t.Helper()
	h := good(t)
	h.command(t, "disable frontend fe_web")
	return h
}

func killed(t *testing.T) *server {
	t.Helper()
	h := good(t)
	h.reap()
	h.awaitClosed(t)
	return h
}

// awaitClosed waits until nobody listens any more: a worker ends a moment after its master.
func (h *server) awaitClosed(t *testing.T) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); ; {
		if h.connect() == refused && h.socat(t, refused) == refused {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal("somebody still listens")
		}
		<-time.After(5 * time.Millisecond)
	}
}

// TestServersDownOnBothNodes: both nodes' gates say up, so the address stays with one of them,
// while both of the trackers for points say down.
func TestServersDownOnBothNodes(t *testing.T) {
	nodes := []*server{serversDown(t), serversDown(t)}
	for _, h := range nodes {
		h.await(t, h.watcher(t, all), sdk.Pass, "")
		r := h.await(t, h.watcher(t, backends), sdk.Fail, "DOWN")
		expect(t, r, sdk.Fail, "backend be_app has 0 servers up, want 1")
		if r.Metrics["backend_up{be_app}"] != 0 || r.Metrics["backend_weight_ratio{be_app}"] != 0 {
			t.Errorf("metrics %v", r.Metrics)
		}
	}
}
