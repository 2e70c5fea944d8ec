package main

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/hareconcile/hareconcile/internal/nstest"
	"github.com/hareconcile/hareconcile/plugins/sdk"
	"github.com/hareconcile/hareconcile/plugins/sdk/sdktest"
)

// The tests below are the traps in which track scripts fall, each with a real nginx.

func TestFrozenWorkers(t *testing.T) {
	s := start(t)
	plain, web := s.watcher(nil), s.watcher(s.web("/"))
	s.expect(web, sdk.Pass, "")
	workers := s.workers()
	s.signal(workers[0], unix.SIGSTOP)
	s.await(plain, sdk.Warn, "WORKERS_STOPPED")
	s.signal(workers[1], unix.SIGSTOP)
	s.await(plain, sdk.Fail, "WORKERS_STOPPED")
	expectPart(t, s.check(web), "http", sdk.Fail, "HTTP_TIMEOUT")
	if c, err := net.Dial("tcp", s.url("")[len("http://"):]); err != nil {
		t.Errorf("a frozen nginx takes no connection: %v; the trap is that the kernel does", err)
	} else {
		c.Close()
	}
	s.kill0()
	for _, w := range workers {
		s.signal(w, unix.SIGCONT)
	}
	s.await(web, sdk.Pass, "")
}

func TestOrphansServe(t *testing.T) {
	s := start(t)
	w := s.watcher(s.web("/"))
	s.expect(w, sdk.Pass, "")
	s.workers()
	s.signal(s.process.Pid, unix.SIGKILL)
	s.await(w, sdk.Fail, "ZOMBIE") // nobody has taken the zombie away
	s.kill0()
	s.reap()
	if err := unix.Kill(s.process.Pid, 0); err == nil {
		t.Error("kill -0 of a pid that is nobody's succeeds")
	}
	r := s.expect(w, sdk.Fail, "DEAD")
	expectPart(t, r, "orphans", sdk.Fail, "ORPHANS")
	expectPart(t, r, "listener", sdk.Pass, "")
	expectPart(t, r, "http", sdk.Pass, "") // GET says that all is well
	r = s.check(s.watcher(nil))            // one that never saw the workers under their master
	expectPart(t, r, "orphans", sdk.Fail, "ORPHANS")
	elsewhere := s.watcher(func(c *config) { c.listen[0] = netipPort(freePort(t)) })
	expectPart(t, s.check(elsewhere), "orphans", sdk.Pass, "")
}

func TestShutdownWithALongConnection(t *testing.T) {
	s := start(t)
	w := s.watcher(s.web("/"))
	s.hold()
	s.await(w, sdk.Pass, "")
	awaitActive(s)
	s.signal(s.process.Pid, unix.SIGQUIT)
	r := s.await(w, sdk.Fail, "STOPPING")
	s.kill0()
	expectPart(t, r, "process", sdk.Pass, "")
	r = s.await(w, sdk.Fail, "STOPPING")
	expectPart(t, r, "listener", sdk.Fail, "NOT_LISTENING")
	expectPart(t, r, "http", sdk.Fail, "HTTP_REFUSED")
}

// awaitActive waits until nginx has taken the connections that are held.
func awaitActive(s *server) {
	s.t.Helper()
	w := s.watcher(func(c *config) { c.stub = s.url("/stub"); c.maxActive = 2; c.warnRatio = 1 })
	s.await(w, sdk.Warn, "NEARLY_FULL") // the held one and that of stub_status
}

// TestExhaustedConnections: figures never move an address, and die with what they measure.
func TestExhaustedConnections(t *testing.T) {
	s := startWith(t, "worker_processes 1;", "")
	figures := s.watcher(func(c *config) { c.stub = s.url("/stub"); c.maxActive = 1000 })
	web := s.watcher(s.web("/"))
	s.expect(figures, sdk.Pass, "")
	var held []net.Conn
	await(t, func() bool {
		held = append(held, s.hold())
		r := s.check(figures)
		return r.Status == sdk.Pass && partOf(r, "stub_status").Status == sdk.Unknown
	})
	r := s.expect(web, sdk.Fail, "HTTP_RESET")
	expectPart(t, r, "workers", sdk.Pass, "")
	expectPart(t, r, "listener", sdk.Pass, "")
	s.kill0()
	for _, c := range held {
		c.Close()
	}
	s.await(figures, sdk.Warn, "DROPPED")
	s.await(web, sdk.Pass, "")
}

func partOf(r sdk.Result, name string) sdk.Part {
	k := slices.IndexFunc(r.Parts, func(p sdk.Part) bool { return p.Name == name })
	if k < 0 {
		return sdk.Part{}
	}
	return r.Parts[k]
}

func await(t *testing.T, f func() bool) {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	deadline := time.NewTimer(20 * time.Second)
	defer deadline.Stop()
	for !f() {
		select {
		case <-tick.C:
		case <-deadline.C:
			t.Fatal("what the test waits for does not come")
		}
	}
}

// TestBrokenConfiguration: nginx -t fails, and the nginx that runs is fine.
func TestBrokenConfiguration(t *testing.T) {
	s := start(t)
	w := s.watcher(func(c *config) { c.configTest = true })
	await(t, func() bool { return partOf(s.check(w), "config_test").Status == sdk.Pass })
	s.configure(two, "server { listen 127.0.0.1:TLSPORT; location / { proxy_pass http://nowhere.invalid; } }")
	r := s.await(w, sdk.Warn, "CONFIG_BROKEN")
	if !strings.Contains(r.Detail, "host not found") {
		t.Errorf("detail %q does not say that the host was not found", r.Detail)
	}
	s.configure(two, "")
	s.await(w, sdk.Pass, "")
}

func TestReloadIsNoCrash(t *testing.T) {
	s := start(t)
	w := s.watcher(func(c *config) { c.maxOld = 1 })
	before := s.expect(w, sdk.Pass, "")
	old := s.workers()
	s.hold()
	s.hold()
	s.signal(s.process.Pid, unix.SIGHUP)
	await(t, func() bool {
		s.check(w) // as the agent does meanwhile
		now := s.workers()
		return len(now) == 2 && !slices.ContainsFunc(now, func(pid int) bool { return slices.Contains(old, pid) })
	})
	after := s.check(w)
	expectPart(t, after, "respawn", sdk.Pass, "")
	if after.Metrics["respawns"] != 0 || after.Facts["worker_generation"] == before.Facts["worker_generation"] {
		t.Errorf("after a reload: %v respawns, generation %s and %s, want 0 and another one",
			after.Metrics["respawns"], before.Facts["worker_generation"], after.Facts["worker_generation"])
	}
	if after.Status == sdk.Fail {
		t.Errorf("after a reload: %s", text(after))
	}
}

func TestWorkersThatCrash(t *testing.T) {
	s := start(t)
	w := s.watcher(func(c *config) { c.respawnMax = 3 })
	s.expect(w, sdk.Pass, "")
	for n := 1; n <= 4; n++ {
		old := s.workers()
		s.signal(old[0], unix.SIGKILL)
		await(t, func() bool {
			now := s.workers()
			return len(now) == 2 && !slices.Contains(now, old[0])
		})
		if r := s.check(w); r.Metrics["respawns"] != float64(n) {
			t.Errorf("after %d crashes: %v respawns", n, r.Metrics["respawns"])
		}
	}
	s.expect(w, sdk.Warn, "RESPAWNING")
	s.kill0()
}

func TestPidfile(t *testing.T) {
	s := start(t)
	w := s.watcher(nil)
	for _, tt := range []struct {
		text string
		code string
	}{
		{strconv.Itoa(os.Getpid()), "STALE_PIDFILE"},
		{strconv.Itoa(s.workers()[0]), "STALE_PIDFILE"}, // nginx, and no master
		{"", "BAD_PIDFILE"}, {"-1", "BAD_PIDFILE"}, {"12 34", "BAD_PIDFILE"}, {strings.Repeat("1", 100), "BAD_PIDFILE"},
	} {
		if err := os.WriteFile(w.pidfile, []byte(tt.text), 0o644); err != nil {
			t.Fatal(err)
		}
		s.expect(w, sdk.Fail, tt.code)
	}
	if err := unix.Kill(os.Getpid(), 0); err != nil {
		t.Errorf("kill -0 of another process: %v", err)
	}
	if err := os.Remove(w.pidfile); err != nil {
		t.Fatal(err)
	}
	s.expect(w, sdk.Fail, "NO_PIDFILE")
	s.kill0()
}

func TestForeignListener(t *testing.T) {
	s := start(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	w := s.watcher(func(c *config) { c.listen[0] = netipPort(l.Addr().(*net.TCPAddr).Port) })
	s.expect(w, sdk.Fail, "FOREIGN_LISTENER")
	l.Close()
	s.expect(w, sdk.Fail, "NOT_LISTENING")
}

// TestFullQueue: the kernel takes no more connections, as nobody accepts those that wait.
func TestFullQueue(t *testing.T) {
	s := startWith(t, two, "server { listen 127.0.0.1:TLSPORT backlog=1; return 200; }")
	w := s.watcher(func(c *config) { c.listen[0] = netipPort(s.tlsPort) })
	s.expect(w, sdk.Pass, "")
	frozen(s)
	for range 2 { // one more than the queue holds fills it
		c, err := net.Dial("tcp", netipPort(s.tlsPort).String())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
	}
	r := s.await(w, sdk.Fail, "WORKERS_STOPPED")
	expectPart(t, r, "listener", sdk.Warn, "QUEUE_FULL")
	if q := r.Metrics["listen_queued{"+netipPort(s.tlsPort).String()+"}"]; q != 2 {
		t.Errorf("%v connections wait, want 2", q)
	}
}

// TestUnit finds the master by what systemd's control group would say, and holds on to it.
func TestUnit(t *testing.T) {
	s := start(t)
	group := openDir(t)
	w := s.watcher(func(c *config) { c.unit, c.cgroups = "nginx.service", group })
	s.expect(w, sdk.Fail, "NO_UNIT")
	dir := filepath.Join(group, "system.slice", "nginx.service")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, pids := range [][]int{append(s.workers(), s.process.Pid), nil} { // who is held needs no more naming
		text := ""
		for _, pid := range pids {
			text += strconv.Itoa(pid) + "\n"
		}
		if err := os.WriteFile(filepath.Join(dir, "cgroup.procs"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if r := s.expect(w, sdk.Pass, ""); r.Facts["pid"] != strconv.Itoa(s.process.Pid) {
			t.Errorf("the master is %s, want %d", r.Facts["pid"], s.process.Pid)
		}
	}
	s.signal(s.process.Pid, unix.SIGKILL)
	s.reap()
	s.expect(w, sdk.Fail, "NO_UNIT")
}

// TestSharedLooks: watchers that look at the same time take one look at all sockets and
// processes of the host, and orphans are seen at once all the same.
func TestSharedLooks(t *testing.T) {
	s := start(t)
	d := newDesk()
	var ws []*watcher
	for range 3 {
		w := newWatcher(s.watcher(nil).config, d)
		t.Cleanup(func() { _ = w.Close() })
		s.expect(w, sdk.Pass, "")
		ws = append(ws, w)
	}
	s.signal(s.process.Pid, unix.SIGKILL)
	s.reap()
	for _, w := range ws {
		expectPart(t, s.expect(w, sdk.Fail, "DEAD"), "orphans", sdk.Fail, "ORPHANS")
	}
}

// TestDeathIsToldAtOnce kills the master while nobody asks.
func TestDeathIsToldAtOnce(t *testing.T) {
	s := start(t)
	w := s.watcher(nil)
	told := make(chan sdk.Result, 8) // more than there are changes
	ended := make(chan error, 1)
	go func() { ended <- w.Watch(t.Context(), func(r sdk.Result) { told <- r }) }()
	s.workers()
	begin := time.Now()
	s.signal(s.process.Pid, unix.SIGKILL)
	r := <-told
	t.Logf("told after %v", time.Since(begin))
	if r.Status != sdk.Fail || r.Code != "ZOMBIE" && r.Code != "DEAD" {
		t.Errorf("told %s, want fail", text(r))
	}
	if err := <-ended; err == nil || !strings.Contains(err.Error(), "no master to watch") {
		t.Errorf("Watch = %v, want that there is nobody to watch", err)
	}
}

// TestRights runs the plugin as the user that the agent runs plugins as.
func TestRights(t *testing.T) {
	nstest.Need(t, "root")
	s := start(t)
	binary := program(t)
	run := func() (string, int) {
		cmd := exec.Command(binary, "-check", `{"pidfile": "`+s.dir+`/nginx.pid", "listen": ["`+s.url("")[len("http://"):]+`"], "http_url": "`+s.url("/")+`"}`)
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
		out, _ := cmd.CombinedOutput()
		return string(out), cmd.ProcessState.ExitCode()
	}
	if out, code := run(); code != 0 || !strings.HasPrefix(out, "pass: ") {
		t.Errorf("as nobody: %q, exit code %d, want pass", out, code)
	}
	if err := os.Chmod(filepath.Join(s.dir, "nginx.pid"), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, code := run(); code != 2 || !strings.HasPrefix(out, "unknown: cannot read the pid file") {
		t.Errorf("without the pid file: %q, exit code %d, want unknown", out, code)
	}
	cmd := exec.Command("kill", "-0", strconv.Itoa(s.process.Pid))
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	if err := cmd.Run(); err == nil {
		t.Error("kill -0 as nobody succeeds; the trap is that it says dead")
	}
}

func program(t *testing.T) string {
	t.Helper()
	binary := filepath.Join(openDir(t), "hareconcile-plugin-nginx")
	if out, err := exec.Command("go", "build", "-o", binary, ".").CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	return binary
}

func TestBinary(t *testing.T) {
	s := start(t)
	sdktest.Verify(t, program(t), `{"pidfile": "`+s.dir+`/nginx.pid", "http_url": "`+s.url("/")+`"}`)
}

// TestOnlyRootsNginxIsRun: what another user could replace is not run as the plugins' user.
func TestOnlyRootsNginxIsRun(t *testing.T) {
	nstest.Need(t, "root")
	dir := t.TempDir()
	bin := filepath.Join(dir, "nginx")
	if err := os.WriteFile(bin, []byte("#!/bin/sh\ntouch "+dir+"/ran\n"), 0o777); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(bin, 0o777); err != nil {
		t.Fatal(err)
	}
	s := newSyntax([]string{filepath.Join(dir, "none"), bin}, "/etc/nginx/nginx.conf")
	defer s.close()
	if p := s.run(); p.Code != "CONFIG_UNTESTED" || !strings.Contains(p.Detail, bin) {
		t.Errorf("part = %+v, want that it is not run", p)
	}
	if _, err := os.Stat(filepath.Join(dir, "ran")); err == nil {
		t.Error("it was run")
	}
}
