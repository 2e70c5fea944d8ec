package haproxy_test

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/hareconcile/hareconcile/internal/haproxy/socket"
	"github.com/hareconcile/hareconcile/reconcile"
	"github.com/hareconcile/hareconcile/reconcile/reconciletest"
)

// TestAHAProxyThatIsStopping: it is told to stop, and lives on for the sake of one connection.
func TestAHAProxyThatIsStopping(t *testing.T) {
	h := newHost(t)
	reconciletest.Apply(t, h.hs, h.set(h.plain()))
	before := h.procs()
	c, err := net.DialTimeout("tcp", fmt.Sprintf("127.0.0.1:%d", h.port), 5*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := fmt.Fprint(c, "GET / HTTP/1.1\r\n"); err != nil {
		t.Fatal(err)
	}
	h.wait("haproxy has the connection", func() bool { return strings.Contains(h.ask("show info"), "\nCurrConns: 1\n") })
	if err := syscall.Kill(before.Master.PID, syscall.SIGUSR1); err != nil {
		t.Fatal(err)
	}
	h.wait("the runtime socket is gone", func() bool {
		_, err := socket.Ask(t.Context(), h.managed.RuntimeSocket, "show info")
		return errors.Is(err, syscall.ECONNREFUSED)
	})
	if err := h.apply(h.file(h.plain())); !errors.Is(err, reconcile.ErrRefused) || !strings.Contains(err.Error(), "haproxy is stopping") {
		t.Errorf("Apply = %v, want a refusal that says why", err)
	}
	if now := h.procs(); now.Master != before.Master || len(now.Workers) != 1 || now.Workers[0].PID != before.Workers[0].PID {
		t.Errorf("haproxy is %+v, want it to end as it was told: %+v", now, before)
	}
}

// TestAnAgentThatEndedDuringAReload: haproxy took the file, and nobody was there to keep it as the
// last good one. It comes back all the same when the next reload fails.
func TestAnAgentThatEndedDuringAReload(t *testing.T) {
	h := newHost(t)
	reconciletest.Apply(t, h.hs, h.set(h.plain()))
	good, err := filepath.Glob(h.path("state/*.good"))
	if err != nil || len(good) != 1 {
		t.Fatalf("the last good files are %v, %v", good, err)
	}
	older := h.read(good[0])
	c := h.plain()
	c.client = "9s"
	reconciletest.Apply(t, h.hs, h.set(c))
	if err := os.WriteFile(good[0], []byte(older), 0o600); err != nil {
		t.Fatal(err)
	}
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	bad := c
	bad.lines = []string{fmt.Sprintf("bind localhost:%d", taken.Addr().(*net.TCPAddr).Port)}
	if err := h.apply(h.file(bad)); err == nil || !strings.Contains(err.Error(), "the last good file is back and loaded") {
		t.Fatalf("Apply = %v, want an error that says what was done", err)
	}
	if got := h.read(h.managed.Path); got != h.file(c).Text {
		t.Errorf("the file that came back is not the one that ran:\n%s", got)
	}
}
