package pluginhost

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/hareconcile/hareconcile/internal/haproxy/haproxytest"
	"github.com/hareconcile/hareconcile/internal/spec"
	"github.com/hareconcile/hareconcile/reconcile"
)

const haproxyConfig = `
global
  stats socket %s mode 666 level user
defaults
  mode http
  timeout connect 1s
  timeout client 1s
  timeout server 1s
frontend fe_web
  bind 127.0.0.1:%d
`

// TestHaproxyPlugin follows a real haproxy through the shipped plugin.
func TestHaproxyPlugin(t *testing.T) {
	program := haproxytest.Program(t)
	b := newBench(t, quiet)
	if out, err := exec.Command("go", "build", "-o", filepath.Join(folder, "hareconcile-plugin-haproxy"),
		"../../plugins/haproxy").CombinedOutput(); err != nil {
		t.Fatalf("build the plugin: %v\n%s", err, out)
	}
	socket, file := filepath.Join(b.dir, "s"), filepath.Join(b.dir, "haproxy.cfg")
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := l.Addr().(*net.TCPAddr).Port
	l.Close()
	if err := os.WriteFile(file, fmt.Appendf(nil, haproxyConfig, socket, port), 0o600); err != nil {
		t.Fatal(err)
	}
	haproxy := func() *exec.Cmd {
		cmd := exec.Command(program, "-f", file, "-db")
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
		return cmd
	}
	signal := func(cmd *exec.Cmd, s syscall.Signal) {
		if err := cmd.Process.Signal(s); err != nil {
			t.Fatal(err)
		}
	}

	a := b.track("a", "haproxy")
	a.Config = fmt.Appendf(nil, `{"socket": %q, "frontends": ["fe_web"]}`, socket)
	a.Rise, a.Fall, a.Timeout = 2, 2, time.Second
	b.Set([]spec.Tracker{a})
	b.await("a", reconcile.Down, "there is no socket")
	first := haproxy()
	b.await("a", reconcile.Up, "frontend fe_web is OPEN")
	signal(first, syscall.SIGSTOP)
	b.await("a", reconcile.Down, "does not answer")
	signal(first, syscall.SIGCONT)
	b.await("a", reconcile.Up, "frontend fe_web is OPEN")
	signal(first, syscall.SIGKILL)
	b.await("a", reconcile.Down, "nobody listens")
	haproxy()
	b.await("a", reconcile.Up, "frontend fe_web is OPEN")
}
