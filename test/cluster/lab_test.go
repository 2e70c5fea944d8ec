// Package cluster_test plays stories on the reference lab: real kernels, real programs, a
// client, and everything that may go wrong.
package cluster_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hareconcile/hareconcile/internal/control"
	"github.com/hareconcile/hareconcile/internal/lab"
	"github.com/hareconcile/hareconcile/internal/nstest"
	"github.com/hareconcile/hareconcile/test/scene"
)

// The reference lab's names and numbers.
const (
	vip     = "172.25.254.100"
	service = "tcp " + vip + ":80"
	rs1     = "172.25.254.110:80"
	rs2     = "172.25.254.120:80"
	web     = "web-80"
)

var (
	nodes     = []string{"ka1", "ka2", "rs1", "rs2"}
	directors = []string{"ka1", "ka2"}
)

// proxyTracker makes the reference cluster depend on a plugin.
const proxyTracker = `
tracker "proxy" {
  plugin = "haproxy"
  config = { socket = "/run/proxy/admin.sock" }
}
`

const proxyConfig = `global
  stats socket /run/proxy/admin.sock mode 666 level user
defaults
  mode http
  timeout connect 1s
  timeout client 1s
  timeout server 1s
frontend idle
  bind 127.0.0.1:8404
`

// A story is a lab with the cluster that is in force on it.
type story struct {
	*scene.Scene
	dir    string
	text   string // cluster.hcl in force
	commit string
}

// programsDir is the folder of what labs run, once a test has asked for it.
var programsDir string

// programs builds what labs run, once for all of them.
var programs = sync.OnceValues(func() (dir string, err error) {
	if dir, err = os.MkdirTemp("", "hareconcile-cluster-"); err != nil {
		return "", err
	}
	programsDir = dir
	for pkg, name := range map[string]string{
		"./cmd/hareconcile": "hareconcile", "./cmd/hareconcile-vrrpd": "hareconcile-vrrpd",
		"./plugins/haproxy": "hareconcile-plugin-haproxy", "./test/load": "load",
	} {
		if err := scene.Build(context.Background(), "../..", pkg, filepath.Join(dir, name)); err != nil {
			return "", err
		}
	}
	return dir, os.Chmod(dir, 0o755) // plugins run as a user of their own
})

func TestMain(m *testing.M) {
	code := m.Run()
	if programsDir != "" {
		_ = os.RemoveAll(programsDir)
	}
	os.Exit(code)
}

// raise builds a lab of an example, whose cluster.hcl is changed first.
func raise(t *testing.T, example string, change func(string) string) *story {
	t.Helper()
	bin, err := programs()
	if err != nil {
		t.Fatal(err)
	}
	s := &story{dir: t.TempDir()}
	if err := os.CopyFS(s.dir, os.DirFS(example)); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(filepath.Join(s.dir, "cluster.hcl"))
	if err != nil {
		t.Fatal(err)
	}
	s.text = change(string(b))
	if err := os.WriteFile(filepath.Join(s.dir, "cluster.hcl"), []byte(s.text), 0o644); err != nil {
		t.Fatal(err)
	}
	c, err := lab.Up(t.Context(), s.dir, lab.Options{
		Bin: bin, Report: os.Stderr, Say: func(text string) { t.Log(text) },
	})
	if err != nil {
		t.Fatal(err)
	}
	s.Scene = &scene.Scene{Client: c, LoadClient: filepath.Join(bin, "load")}
	t.Cleanup(func() {
		if t.Failed() {
			s.logs(t)
		}
		if _, err := lab.Down(context.Background(), c.Name()); err != nil {
			t.Error(err)
		}
	})
	return s
}

// tell builds the reference lab, whose directors run a haproxy that the cluster depends on.
func tell(t *testing.T) *story {
	t.Helper()
	nstest.Need(t, "root", "netns", "nginx", "git", "ipvsadm", "haproxy")
	if _, err := os.Stat("/proc/net/ip_vs"); err != nil {
		nstest.Need(t, "uml")
	}
	s := raise(t, "../../examples/lvs-dr", func(text string) string {
		return strings.Replace(text, "[tracker.uplink]", "[tracker.uplink, tracker.proxy]", 1) + proxyTracker
	})
	for _, n := range directors {
		line := "mkdir -m 755 /run/proxy && cat >/run/proxy/cfg && haproxy -D -f /run/proxy/cfg"
		if r, err := s.ExecInput(t.Context(), proxyConfig, n, "sh", "-c", line); err != nil || r.Code != 0 {
			t.Fatalf("start haproxy on %s: %v %+v", n, err, r)
		}
	}
	return s
}

// passable lets everybody into a test's folder: plugins run as a user of their own.
func passable(t *testing.T, dir string) {
	t.Helper()
	for ; dir != os.TempDir() && dir != "/"; dir = filepath.Dir(dir) {
		if err := os.Chmod(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
}

// logs prints the end of what every program said.
func (s *story) logs(t *testing.T) {
	for _, host := range slices.Concat(nodes, []string{"a", "b"}) {
		for _, name := range []string{"vrrpd", "agent", "haproxy"} {
			if b, err := os.ReadFile(s.Log(host, name)); err == nil {
				t.Logf("%s on %s:\n%s", name, host, b[max(0, len(b)-6000):])
			}
		}
	}
}

// until fails the test unless try returns nil in time; it returns how long that took.
func until(t *testing.T, limit time.Duration, what string, try func(context.Context) error) time.Duration {
	t.Helper()
	took, err := scene.Until(t.Context(), limit, what, try)
	if err != nil {
		t.Fatal(err)
	}
	return took
}

// settled waits until every node is converged, ka1 is master, and both servers have their weights.
func (s *story) settled(t *testing.T) time.Duration {
	t.Helper()
	return until(t, 120*time.Second, "a settled cluster", func(ctx context.Context) error {
		return errors.Join(
			onAll(nodes, func(n string) error { return s.converged(ctx, n) }),
			s.holder(ctx, "ka1"),
			s.weights(ctx, 2, 1),
		)
	})
}

// converged returns an error unless a node is converged on the commit in force.
func (s *story) converged(ctx context.Context, node string) error {
	st, err := s.Agent(ctx, node)
	if err != nil {
		return err
	}
	if st.Phase != control.Converged || s.commit != "" && st.Revision.Commit != s.commit {
		return fmt.Errorf("%s is %s on %.7s: %s %+v", node, st.Phase, st.Revision.Commit, st.Message, st.Refused)
	}
	return nil
}

func (s *story) weights(ctx context.Context, one, two int) error {
	return onAll(directors, func(n string) error {
		table, err := s.Table(ctx, n)
		if err != nil {
			return err
		}
		w1, ok1 := table.Weight(service, rs1)
		w2, ok2 := table.Weight(service, rs2)
		if !ok1 || !ok2 || w1 != one || w2 != two {
			return fmt.Errorf("the table of %s is %v, want weights %d and %d", n, table, one, two)
		}
		return nil
	})
}

func (s *story) holder(ctx context.Context, want string) error {
	got, err := s.Holders(ctx, vip)
	if err != nil {
		return err
	}
	if !slices.Equal(got, []string{want}) {
		return fmt.Errorf("%s is on %v, want it on %s alone", vip, got, want)
	}
	return nil
}

// sh runs a shell line that must succeed.
func (s *story) sh(t *testing.T, host, line string) string {
	t.Helper()
	out, err := s.Output(t.Context(), host, "bash", "-c", line)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// noChanges checks that plan has nothing to say on the named nodes.
func (s *story) noChanges(t *testing.T, names ...string) {
	t.Helper()
	err := onAll(names, func(n string) error {
		r, err := s.Exec(t.Context(), n, "hareconcile", "plan", "-detailed-exitcode")
		if err == nil && (r.Code != 0 || !strings.Contains(r.Stdout, "No changes.")) {
			err = fmt.Errorf("plan on %s: exit code %d, want 0 and \"No changes.\":\n%s%s", n, r.Code, r.Stdout, r.Stderr)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

// withoutAgents stops the agents of the named nodes while f runs.
func (s *story) withoutAgents(t *testing.T, f func(), names ...string) {
	t.Helper()
	if err := onAll(names, func(n string) error { return s.Stop(t.Context(), n, "agent") }); err != nil {
		t.Fatal(err)
	}
	f()
	if err := onAll(names, func(n string) error { return s.Start(t.Context(), n, "agent") }); err != nil {
		t.Fatal(err)
	}
}

// push commits a cluster.hcl to the lab's repository.
func (s *story) push(t *testing.T, text, message string) string {
	t.Helper()
	commit, err := s.PushFiles(t.Context(), map[string][]byte{"cluster.hcl": []byte(text)}, message)
	if err != nil {
		t.Fatal(err)
	}
	return commit
}

// onAll runs f for every name at once.
func onAll(names []string, f func(name string) error) error {
	errs := make([]error, len(names))
	var wg sync.WaitGroup
	for k, name := range names {
		wg.Go(func() { errs[k] = f(name) })
	}
	wg.Wait()
	return errors.Join(errs...)
}
