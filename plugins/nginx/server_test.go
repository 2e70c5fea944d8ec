package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/hareconcile/hareconcile/internal/nstest"
	"github.com/hareconcile/hareconcile/internal/proc"
	"github.com/hareconcile/hareconcile/plugins/sdk"
)

// A server is a real nginx, of this test, on loopback.
type server struct {
	t       *testing.T
	dir     string
	port    int
	tlsPort int
	process *os.Process
	reap    func() // waits for the master's end and takes the zombie away
	seen    map[int]uint64
}

const frame = `
daemon off;
%[4]s
pid %[1]s/nginx.pid;
error_log %[1]s/error.log;
events { worker_connections 15; }
http {
	access_log off;
	client_body_temp_path %[1]s/t1;
	proxy_temp_path %[1]s/t2;
	fastcgi_temp_path %[1]s/t3;
	uwsgi_temp_path %[1]s/t4;
	scgi_temp_path %[1]s/t5;
	server {
		listen 127.0.0.1:%[2]d;
		location / { return 200 "fine\n"; }
		location /moved { return 302 /; }
		location /broken { return 500; }
		location /stub { stub_status; }
	}
	%[3]s
}
`

// two is what most tests say outside of http.
const two = "worker_processes 2;"

// start starts Debian's nginx with two workers; it and its workers end with the test.
func start(t *testing.T) *server { return startWith(t, two, "") }

func startWith(t *testing.T, top, more string) *server {
	t.Helper()
	nstest.Need(t, "nginx")
	s := &server{t: t, dir: openDir(t), port: freePort(t), tlsPort: freePort(t), seen: map[int]uint64{}}
	if os.Geteuid() == 0 {
		top = "user root; " + top
	}
	s.configure(top, more)
	cmd := exec.Command(nginxBin(), "-c", s.file(), "-p", s.dir)
	// A file, not a pipe: workers without a master would keep a pipe open.
	out, err := os.Create(filepath.Join(s.dir, "said"))
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	s.process = cmd.Process
	s.reap = sync.OnceFunc(func() { _ = cmd.Wait() })
	t.Cleanup(func() {
		s.workers()
		_ = s.process.Kill()
		s.killSeen()
		s.reap()
		if t.Failed() {
			said, _ := os.ReadFile(filepath.Join(s.dir, "said"))
			logged, _ := os.ReadFile(filepath.Join(s.dir, "error.log"))
			t.Logf("nginx said: %s%s", said, logged)
		}
	})
	s.await(s.watcher(nil), sdk.Pass, "")
	all := 1
	if strings.Contains(top, two) {
		all = 2
	}
	await(t, func() bool { return len(s.workers()) == all })
	return s
}

func nginxBin() string {
	if path, err := exec.LookPath("nginx"); err == nil {
		return path
	}
	return "/usr/sbin/nginx" // where users other than root do not look
}

func (s *server) file() string { return filepath.Join(s.dir, "nginx.conf") }

func (s *server) configure(top, more string) {
	s.t.Helper()
	more = strings.NewReplacer("TLSPORT", strconv.Itoa(s.tlsPort), "DIR", s.dir).Replace(more)
	if err := os.WriteFile(s.file(), fmt.Appendf(nil, frame, s.dir, s.port, more, top), 0o644); err != nil {
		s.t.Fatal(err)
	}
}

func (s *server) url(path string) string { return fmt.Sprintf("http://127.0.0.1:%d%s", s.port, path) }

// workers returns the pids of those that take connections.
func (s *server) workers() []int {
	m, err := proc.Look(s.process.Pid)
	if err != nil {
		return nil
	}
	f, _ := lookAtFamily(m)
	var out []int
	for _, w := range slices.Concat(f.workers, f.old) {
		s.seen[w.PID] = w.Start
	}
	for _, w := range f.workers {
		out = append(out, w.PID)
	}
	return out
}

// killSeen ends workers that have lost their master.
func (s *server) killSeen() {
	for pid, start := range s.seen {
		if p, err := proc.Open(pid); err == nil {
			if p.Start == start {
				_ = unix.Kill(pid, unix.SIGKILL)
				ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
				_ = p.Wait(ctx)
				cancel()
			}
			_ = p.Close()
		}
	}
}

func (s *server) signal(pid int, sig unix.Signal) {
	s.t.Helper()
	s.workers() // those that lose their master by it are known then, and end with the test
	if err := unix.Kill(pid, sig); err != nil {
		s.t.Fatal(err)
	}
}

// kill0 asserts that kill -0, as in the scripts that people write, calls the pid alive.
func (s *server) kill0() {
	s.t.Helper()
	if err := unix.Kill(s.process.Pid, 0); err != nil {
		s.t.Errorf("kill -0 of the pid says %v; the trap of this row is that it succeeds", err)
	}
}

// watcher makes a watcher of the server, with its defaults changed by change.
func (s *server) watcher(change func(*config)) *watcher {
	s.t.Helper()
	i, err := newTracker().New(s.t.Context(), sdk.Value{})
	if err != nil {
		s.t.Fatal(err)
	}
	c := i.(*watcher).config
	c.pidfile, c.binaries, c.configFile = filepath.Join(s.dir, "nginx.pid"), []string{nginxBin()}, s.file()
	c.listen = []netip.AddrPort{netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), uint16(s.port))}
	if change != nil {
		change(&c)
	}
	w := newWatcher(c, newDesk())
	s.t.Cleanup(func() { _ = w.Close() })
	return w
}

// web lets a watcher ask for a path, too.
func (s *server) web(path string) func(*config) {
	return func(c *config) {
		c.web.url = s.url(path)
		c.web.timeout = 300 * time.Millisecond
	}
}

func (s *server) check(w *watcher) sdk.Result {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), 5*time.Second)
	defer cancel()
	r, err := w.Check(ctx)
	if err != nil {
		s.t.Fatal(err)
	}
	return r
}

// await checks until the result is as wanted.
func (s *server) await(w *watcher, want sdk.Status, code string) sdk.Result {
	s.t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	deadline := time.NewTimer(20 * time.Second)
	defer deadline.Stop()
	for {
		r := s.check(w)
		if r.Status == want && r.Code == code {
			return r
		}
		select {
		case <-tick.C:
		case <-deadline.C:
			s.t.Fatalf("result is still %s, want %s %s", text(r), want, code)
		}
	}
}

// expect looks once.
func (s *server) expect(w *watcher, want sdk.Status, code string) sdk.Result {
	s.t.Helper()
	r := s.check(w)
	if r.Status != want || r.Code != code {
		s.t.Errorf("result %s, want %s %s", text(r), want, code)
	}
	return r
}

func text(r sdk.Result) string {
	out := fmt.Sprintf("%s %s %q", r.Status, r.Code, r.Detail)
	for _, p := range r.Parts {
		out += fmt.Sprintf("\n\t%s: %s %s %q", p.Name, p.Status, p.Code, p.Detail)
	}
	return out
}

// expectPart looks at one part of a result.
func expectPart(t *testing.T, r sdk.Result, name string, want sdk.Status, code string) {
	t.Helper()
	for _, p := range r.Parts {
		if p.Name == name {
			if p.Status != want || p.Code != code {
				t.Errorf("part %s is %s %s %q, want %s %s", name, p.Status, p.Code, p.Detail, want, code)
			}
			return
		}
	}
	t.Errorf("no part %s in %s", name, text(r))
}

// openDir is a folder that every user may enter, with a path short enough for a socket.
func openDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "nginx")
	if err == nil {
		err = os.Chmod(dir, 0o755)
	}
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

// hold opens a connection whose request does not end.
func (s *server) hold() net.Conn {
	s.t.Helper()
	c, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", s.port))
	if err == nil {
		_, err = c.Write([]byte("GET / HTTP/1.1\r\nHost: "))
	}
	if err != nil && !errors.Is(err, unix.ECONNRESET) {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { _ = c.Close() })
	return c
}
