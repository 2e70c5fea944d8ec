package main

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/hareconcile/hareconcile/internal/haproxy/haproxytest"
	"github.com/hareconcile/hareconcile/internal/haproxy/socket"
	"github.com/hareconcile/hareconcile/internal/spec"
)

// TestLintOfAHAProxy has warnings with places in the user's file, about what the definition
// would meet in it.
func TestLintOfAHAProxy(t *testing.T) {
	dir, err := os.MkdirTemp("", "hl") // sockets have short paths
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	user, ours, master := filepath.Join(dir, "a.cfg"), filepath.Join(dir, "c"), filepath.Join(dir, "m")
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	at := l.Addr().(*net.TCPAddr).AddrPort()
	_ = l.Close()
	text := fmt.Sprintf("global\n hard-stop-after 1m\ndefaults\n mode http\n timeout client 1s\n timeout connect 1s\nfrontend mine\n bind %s\n", at)
	if err := os.WriteFile(user, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(ours, 0o755); err != nil {
		t.Fatal(err)
	}
	check := func(c *spec.Cluster) string {
		t.Helper()
		var out bytes.Buffer
		h := &host{cfg: spec.Agent{NodeName: "a"}}
		if err := h.lint(t.Context(), &env{stderr: &out}, c); err != nil {
			t.Error(err)
		}
		return out.String()
	}
	bind := spec.HAProxyBind{Name: "http", Address: at.Addr(), Port: at.Port(), Nonlocal: "none"}
	c := &spec.Cluster{Name: "x", HAProxies: []spec.HAProxy{{
		Name: "edge", Nodes: []string{"a"}, ConfigDir: ours, RuntimeSocket: filepath.Join(dir, "r"), MasterSocket: master,
		Frontends: []spec.HAProxyFrontend{{Name: "web", Binds: []spec.HAProxyBind{bind}}},
	}}}
	if got := check(c); got != "" {
		t.Errorf("warnings without a haproxy:\n%s", got)
	}
	cmd := exec.Command(haproxytest.Program(t), "-W", "-S", master, "-f", user, "-f", ours)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Signal(syscall.SIGTERM); _ = cmd.Wait() })
	late := time.After(10 * time.Second)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for _, err := socket.Ask(t.Context(), master, "show proc"); err != nil; _, err = socket.Ask(t.Context(), master, "show proc") {
		select {
		case <-tick.C:
		case <-late:
			t.Fatalf("haproxy does not answer: %v", err)
		}
	}
	want := fmt.Sprintf("Warning: Two proxies listen on one port\n\n  on %s/50-hareconcile.cfg line ", ours)
	if got := check(c); !strings.HasPrefix(got, want) || !strings.Contains(got, "frontend mine at "+user+":8.") || strings.Count(got, "Warning:") != 1 {
		t.Errorf("warnings:\n%s\nwant one that begins\n%s", got, want)
	}
	c.HAProxies[0].Nodes = []string{"b"}
	if got := check(c); got != "" {
		t.Errorf("warnings of another node's:\n%s", got)
	}
}
