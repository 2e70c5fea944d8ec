package haproxy_test

import (
	"bufio"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	parse "github.com/hareconcile/hareconcile/internal/haproxy"
	"github.com/hareconcile/hareconcile/internal/haproxy/haproxytest"
	"github.com/hareconcile/hareconcile/internal/haproxy/socket"
	"github.com/hareconcile/hareconcile/internal/nstest"
	"github.com/hareconcile/hareconcile/reconcile"
	"github.com/hareconcile/hareconcile/reconcile/kind/haproxy"
	"github.com/hareconcile/hareconcile/reconcile/resource"
)

// loadEnv makes this program a client that asks the URL in it until its input ends.
const loadEnv = "HARECONCILE_TEST_LOAD"

func TestMain(m *testing.M) {
	if url := os.Getenv(loadEnv); url != "" {
		load(url)
		return
	}
	os.Exit(m.Run())
}

// load counts requests and prints how many were answered and how many were not. One client has a
// connection for each request, the other one for as many as haproxy lets it.
func load(url string) {
	stop := make(chan struct{})
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		close(stop)
	}()
	var good, bad atomic.Int64
	var first atomic.Value
	var wg sync.WaitGroup
	for _, ask := range []func() error{single(url), kept(url)} {
		wg.Go(func() {
			pace := time.NewTicker(4 * time.Millisecond)
			defer pace.Stop()
			for {
				select {
				case <-stop:
					return
				case <-pace.C:
				}
				if err := ask(); err != nil {
					bad.Add(1)
					first.CompareAndSwap(nil, err.Error())
					continue
				}
				good.Add(1)
			}
		})
	}
	fmt.Println("started")
	wg.Wait()
	fmt.Println(good.Load(), bad.Load(), first.Load())
}

// single asks on a connection of its own each time.
func single(url string) func() error {
	c := http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	return func() error {
		r, err := c.Get(url)
		if err != nil {
			return err
		}
		_ = r.Body.Close()
		if r.StatusCode != http.StatusOK {
			return fmt.Errorf("status %s", r.Status)
		}
		return nil
	}
}

// kept asks on one connection until haproxy says that it closes it, and tries nothing twice,
// which net/http does.
func kept(url string) func() error {
	address := strings.TrimSuffix(strings.TrimPrefix(url, "http://"), "/")
	var conn net.Conn
	var in *bufio.Reader
	return func() error {
		if conn == nil {
			var err error
			if conn, err = net.Dial("tcp", address); err != nil {
				return err
			}
			in = bufio.NewReader(conn)
		}
		_ = conn.SetDeadline(time.Now().Add(5 * time.Second))
		_, err := fmt.Fprintf(conn, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
		var r *http.Response
		if err == nil {
			r, err = http.ReadResponse(in, nil)
		}
		if err == nil {
			_, err = io.Copy(io.Discard, r.Body)
			if r.StatusCode != http.StatusOK {
				err = fmt.Errorf("status %s", r.Status)
			}
		}
		if err != nil || r.Close {
			_ = conn.Close()
			conn = nil
		}
		if err != nil {
			return fmt.Errorf("kept connection: %w", err)
		}
		return nil
	}
}

// underLoad runs f while another process asks url, and wants every request answered.
func underLoad(t *testing.T, url string, f func()) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), loadEnv+"="+url)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = cmd.Process.Kill() }() // it has ended, or the test has failed
	lines := bufio.NewScanner(out)
	lines.Scan()
	f()
	_ = in.Close()
	lines.Scan()
	var good, bad int
	if _, err := fmt.Sscanf(lines.Text(), "%d %d", &good, &bad); err != nil || cmd.Wait() != nil {
		t.Fatalf("the client said %q", lines.Text())
	}
	t.Logf("%d requests answered, %d lost", good, bad)
	if good == 0 || bad > 0 {
		t.Errorf("client: %s; want no request lost", lines.Text())
	}
}

// A host runs a haproxy of its own with a file of the user's and ours.
type host struct {
	t       *testing.T
	dir     string
	cmd     *exec.Cmd
	managed haproxy.Managed
	hs      []reconcile.Handler
	ns      *nstest.NS // where haproxy runs; nil is here
	user    uint16     // port that the user's file answers on
	port    uint16     // port of our frontend
}

// freePort returns a port that nobody has.
func freePort(t *testing.T) uint16 {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).AddrPort().Port()
}

// newHost starts haproxy. Without args it loads the folder of our file.
func newHost(t *testing.T, args ...string) *host {
	t.Helper()
	h := prepared(t)
	if args == nil {
		args = []string{"-f", "conf"}
	}
	h.start(args...)
	return h
}

// prepared makes the files and the handlers and starts nothing.
func prepared(t *testing.T) *host {
	t.Helper()
	haproxytest.Program(t)
	dir, err := os.MkdirTemp("", "hk") // sockets have short paths
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	h := &host{t: t, dir: dir, user: freePort(t), port: freePort(t)}
	h.write("user.cfg", fmt.Sprintf("global\n maxconn 500\ndefaults\n mode http\n timeout connect 2s\n timeout client 5s\n timeout server 5s\n"+
		"frontend user\n bind 127.0.0.1:%d\n http-request return status 200\nbackend mine\n server s 127.0.0.1:%[1]d\n", h.user))
	if err := os.Mkdir(h.path("conf"), 0o755); err != nil {
		t.Fatal(err)
	}
	h.managed = haproxy.Managed{
		Path: h.path("conf/50-hareconcile.cfg"), RuntimeSocket: h.path("r.sock"), MasterSocket: h.path("m.sock"),
		Reload: haproxy.Reload{Timeout: 15 * time.Second},
	}
	h.hs = haproxy.New(haproxy.Config{Managed: func() []haproxy.Managed { return []haproxy.Managed{h.managed} }, State: h.path("state"), Log: slog.New(slog.NewTextHandler(t.Output(), nil))})
	return h
}

func (h *host) path(name string) string { return filepath.Join(h.dir, name) }

func (h *host) write(name, text string) {
	h.t.Helper()
	if err := os.WriteFile(h.path(name), []byte(text), 0o644); err != nil {
		h.t.Fatal(err)
	}
}

func (h *host) read(path string) string {
	h.t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		h.t.Fatal(err)
	}
	return string(b)
}

// start starts haproxy and waits until its master answers.
func (h *host) start(args ...string) {
	h.t.Helper()
	args = append([]string{"-W", "-S", h.managed.MasterSocket, "-f", "user.cfg"}, args...)
	program := haproxytest.Program(h.t)
	if h.ns != nil {
		h.cmd = h.ns.Cmd(program, args...)
	} else {
		h.cmd = exec.Command(program, args...)
	}
	h.cmd.Dir = h.dir
	h.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM}
	log, err := os.Create(h.path("log"))
	if err != nil {
		h.t.Fatal(err)
	}
	h.cmd.Stderr = log
	if err := h.cmd.Start(); err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(h.stop)
	h.wait("haproxy answers", func() bool {
		_, err := socket.Ask(h.t.Context(), h.managed.MasterSocket, "show proc")
		return err == nil
	})
}

// stop ends haproxy.
func (h *host) stop() {
	if h.cmd == nil {
		return
	}
	_ = h.cmd.Process.Signal(syscall.SIGTERM)
	_ = h.cmd.Wait()
	h.cmd = nil
}

// wait waits for something that haproxy does.
func (h *host) wait(what string, done func() bool) {
	h.t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	late := time.After(10 * time.Second)
	for !done() {
		select {
		case <-tick.C:
		case <-late:
			b, _ := os.ReadFile(h.path("log"))
			h.t.Fatalf("waited in vain until %s\n%s", what, b)
		}
	}
}

// procs asks the master, which closes a connection that came while it started again.
func (h *host) procs() parse.Procs {
	h.t.Helper()
	var p parse.Procs
	h.wait("the master tells its processes", func() bool {
		reply, err := socket.Ask(h.t.Context(), h.managed.MasterSocket, "show proc")
		if err != nil {
			return false
		}
		p, err = parse.ParseProcs(reply)
		return err == nil
	})
	return p
}

// ask is somebody at haproxy's socket.
func (h *host) ask(commands ...string) string {
	h.t.Helper()
	ctx, cancel := context.WithTimeout(h.t.Context(), 10*time.Second)
	defer cancel()
	reply, err := socket.Ask(ctx, h.managed.RuntimeSocket, commands...)
	if err != nil {
		h.t.Fatal(err)
	}
	return reply
}

// info is what the worker says of itself, by way of the master: our file may not be loaded.
func (h *host) info() string {
	h.t.Helper()
	reply, err := socket.Ask(h.t.Context(), h.managed.MasterSocket, "@1 show info")
	if err != nil {
		h.t.Fatal(err)
	}
	return reply
}

// A conf is what a managed file says.
type conf struct {
	client  string   // timeout
	lines   []string // of the frontend
	balance string
	servers []resource.HAProxyServer
}

// plain is the file of most tests.
func (h *host) plain() conf {
	return conf{client: "5s", servers: []resource.HAProxyServer{h.server("a", 10), h.server("b", 20)}}
}

func (h *host) server(name string, weight int) resource.HAProxyServer {
	return resource.HAProxyServer{
		Socket: h.managed.RuntimeSocket, Backend: "app", Name: name, Weight: weight, Admin: "ready",
		Address: netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), h.user),
	}
}

// file returns the managed file: what a reload alone brings, and values of servers.
func (h *host) file(c conf) resource.HAProxyFile {
	balance := c.balance
	if balance == "" {
		balance = "roundrobin"
	}
	text := func(values bool, fingerprint string) string {
		var b strings.Builder
		fmt.Fprintf(&b, "# managed by hareconcile; cluster=test name=edge\nglobal\n stats socket %s mode 600 level admin\n setenv %s %s\n",
			h.managed.RuntimeSocket, parse.StructureVariable, fingerprint)
		fmt.Fprintf(&b, "defaults hr-x\n mode http\n timeout connect 2s\n timeout client %s\n timeout server 5s\n", c.client)
		fmt.Fprintf(&b, "frontend web from hr-x\n option idle-close-on-response\n bind 127.0.0.1:%d\n", h.port)
		for _, l := range c.lines {
			fmt.Fprintf(&b, " %s\n", l)
		}
		fmt.Fprintf(&b, " default_backend app\nbackend app from hr-x\n load-server-state-from-file none\n balance %s\n", balance)
		for i, s := range c.servers {
			fmt.Fprintf(&b, " server %s", s.Name)
			if values {
				fmt.Fprintf(&b, " %s weight %d", s.Address, s.Weight)
				if s.MaxConn > 0 {
					fmt.Fprintf(&b, " maxconn %d", s.MaxConn)
				}
			}
			fmt.Fprintf(&b, " id %d\n", i+1)
		}
		return b.String()
	}
	f := resource.HAProxyFile{Path: h.managed.Path, Structure: fmt.Sprintf("%x", sha256.Sum256([]byte(text(false, ""))))}
	f.Text = text(true, f.Structure)
	return f
}

// set is what a definition with c wants.
func (h *host) set(c conf) resource.Set {
	f := h.file(c)
	out := resource.Set{f.ID(): f}
	for _, s := range c.servers {
		out[s.ID()] = s
	}
	return out
}

// write a file directly into Apply.
func (h *host) apply(f resource.HAProxyFile) error {
	return h.hs[2].Apply(h.t.Context(), reconcile.Change{Action: reconcile.Update, ID: f.ID(), After: f})
}
