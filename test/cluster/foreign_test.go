package cluster_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hareconcile/hareconcile/internal/control"
	"github.com/hareconcile/hareconcile/internal/nstest"
	"github.com/hareconcile/hareconcile/reconcile"
)

// foreignCluster has an address for each of two plugins. The one in Go may take its address
// back at once, the one in Python only when the other node loses it.
const foreignCluster = `
cluster "pair" {
  node "a" { address = "192.0.2.1" }
  node "b" { address = "192.0.2.2" }
}

tracker "go" {
  plugin   = "heartbeat"
  config   = { path = "/run/go", max_age = "1h" }
  interval = "500ms"
  timeout  = "400ms"
  rise     = 1
  fall     = 2
}

tracker "python" {
  plugin   = "beat"
  config   = { path = "/run/python", max_age = 3600 }
  interval = "500ms"
  timeout  = "400ms"
  rise     = 1
  fall     = 2
}

vrrp_instance "go" {
  interface         = "eth0"
  virtual_router_id = 7
  advert_interval   = "100ms"
  priority          = { a = 150, b = 100 }
  preempt           = "immediate"
  addresses         = ["192.0.2.7/24"]
  gates             = [tracker.go]
}

vrrp_instance "python" {
  interface         = "eth0"
  virtual_router_id = 8
  advert_interval   = "100ms"
  priority          = { a = 100, b = 150 }
  preempt           = "never"
  addresses         = ["192.0.2.8/24"]
  gates             = [tracker.python]
}
`

// foreignLab restarts what died after so long that what an agent's death does is seen before
// the next agent has started.
const foreignLab = `
segment "lan" {
  prefix = "192.0.2.0/24"
  nodes  = ["a", "b"]
}

restart { delay = "4s" }
`

const (
	goAddress     = "192.0.2.7"
	pythonAddress = "192.0.2.8"
)

// plugins are those of foreignCluster by their trackers.
var plugins = map[string]string{"go": "hareconcile-plugin-heartbeat", "python": "hareconcile-plugin-beat"}

// TestForeignPlugins is one story of two plugins that this repository does not build: one in
// Go, of `plugin new` and docs/plugins.md alone, and the one in Python.
func TestForeignPlugins(t *testing.T) {
	t.Parallel()
	nstest.Need(t, "root", "netns", "git", "go", "protoc", "setpriv")
	if err := exec.Command("/usr/bin/python3", "-c", "import grpc, google.protobuf").Run(); err != nil {
		nstest.Need(t, "python3-grpcio and python3-protobuf") // which no program is called
	}
	s := travel(t)
	for _, chapter := range []struct {
		name string
		play func(*testing.T, *abroad)
	}{
		{"an address comes to the node whose plugin says up", comeUp},
		{"what the plugin in Go sees moves its address and brings it back", moveByGo},
		{"what the plugin in Python sees moves its address", moveByPython},
		{"a swapped binary does not replace the one that runs", swapped},
		{"a killed agent leaves no plugin, and the next one starts no swapped binary", killedAndSwapped},
		{"the locked binary runs again", restored},
	} {
		if !t.Run(chapter.name, func(t *testing.T) { chapter.play(t, s) }) {
			return // each begins where the one before has ended
		}
	}
}

func comeUp(t *testing.T, s *abroad) {
	for _, n := range []string{"a", "b"} {
		s.tracked(t, n, "go", "down", reports(reconcile.Down, "/run/go does not exist"))
		s.tracked(t, n, "python", "down", reports(reconcile.Down, "/run/python does not exist"))
	}
	s.at(t, "", "")
	s.sh(t, "a", "touch /run/go")
	s.sh(t, "b", "touch /run/go /run/python")
	s.at(t, "a", "b")
	s.sh(t, "a", "touch /run/python")
	s.tracked(t, "a", "python", "up", reports(reconcile.Up, "last beat"))
}

func moveByGo(t *testing.T, s *abroad) {
	s.sh(t, "a", "touch -d '2 hours ago' /run/go")
	s.at(t, "b", "b")
	s.tracked(t, "a", "go", "down", reports(reconcile.Down, "last heartbeat 2h0m"))
	if out := s.sh(t, "a", "hareconcile status"); !strings.Contains(out, "last heartbeat 2h0m") {
		t.Errorf("status on a does not say why:\n%s", out)
	}
	s.sh(t, "a", "touch /run/go")
	s.at(t, "a", "b")
}

func moveByPython(t *testing.T, s *abroad) {
	s.sh(t, "b", "rm /run/python")
	s.at(t, "a", "a")
	s.tracked(t, "b", "python", "down", reports(reconcile.Down, "/run/python does not exist"))
	s.sh(t, "b", "touch /run/python")
	s.tracked(t, "b", "python", "up", reports(reconcile.Up, "last beat"))
	s.at(t, "a", "a") // preempt = "never"
	s.sh(t, "a", "rm /run/python")
	s.at(t, "a", "b")
	s.sh(t, "a", "touch /run/python")
	s.tracked(t, "a", "python", "up", reports(reconcile.Up, "last beat"))
}

// install puts another file in the place of a plugin, as a package would.
func (s *abroad) install(t *testing.T, name string, content []byte) {
	t.Helper()
	path := filepath.Join(s.bin, name)
	if err := errors.Join(os.WriteFile(path+".new", content, 0o755), os.Rename(path+".new", path)); err != nil {
		t.Fatal(err)
	}
}

// canary is a program that leaves a trace wherever it runs.
const canary = "#!/bin/sh\n: >/run/canary/ran\n"

// silent fails the test if the canary has run.
func (s *abroad) silent(t *testing.T) {
	t.Helper()
	for _, n := range []string{"a", "b"} {
		if out := s.sh(t, n, "ls /run/canary"); out != "" {
			t.Errorf("on %s the swapped binary has run: %s", n, out)
		}
	}
}

// swapped puts the canary in the place of both plugins while they run.
func swapped(t *testing.T, s *abroad) {
	for _, n := range []string{"a", "b"} {
		// Run by the plugins' user it does leave the trace.
		line := "mkdir -m 777 /run/canary && cat >/run/try && chmod 755 /run/try && " +
			"setpriv --reuid nobody --regid nogroup --clear-groups /run/try && rm /run/canary/ran"
		if r, err := s.ExecInput(t.Context(), canary, n, "sh", "-c", line); err != nil || r.Code != 0 {
			t.Fatalf("try the canary on %s: %v %+v", n, err, r)
		}
	}
	for _, plugin := range plugins {
		old := filepath.Join(s.bin, plugin)
		if err := os.Link(old, old+".locked"); err != nil {
			t.Fatal(err)
		}
		s.install(t, plugin, []byte(canary))
	}
	for name := range plugins {
		for _, n := range []string{"a", "b"} {
			s.tracked(t, n, name, "says that its binary was changed", func(k control.Tracker) bool {
				return k.Verdict == reconcile.Up && k.Report.Status == "pass" && refused(k.Report.Note) &&
					strings.Contains(k.Report.Note, "the old one goes on")
			})
		}
	}
	s.silent(t)
	s.at(t, "a", "b")
}

// refused reports whether a text says why a binary does not run and what to do.
func refused(text string) bool {
	return strings.Contains(text, "is not the one in the lock file") && strings.Contains(text, "hareconcile plugin lock")
}

// processes returns the plugins' processes of all nodes: those that were started as such.
func (s *abroad) processes(t *testing.T) []string {
	t.Helper()
	// The lab's hosts share a process namespace. grep finds nothing in zombies, and fails for
	// what ends meanwhile.
	return strings.Fields(s.sh(t, "a", "grep -lzs ^HARECONCILE_PLUGIN_MAGIC_COOKIE= /proc/[0-9]*/environ || :"))
}

func killedAndSwapped(t *testing.T, s *abroad) {
	running := s.processes(t)
	if len(running) != 4 {
		t.Fatalf("processes of plugins: %v, want two on each of two nodes", running)
	}
	var pids []string
	starts := map[string]int{}
	for _, n := range []string{"a", "b"} {
		st, err := s.Status(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		v, ok := st.Service(n, "agent")
		if !ok || v.PID == 0 {
			t.Fatalf("no agent runs on %s: %+v", n, v)
		}
		pids, starts[n] = append(pids, fmt.Sprint(v.PID)), v.Restarts
	}
	s.sh(t, "a", "kill -KILL "+strings.Join(pids, " "))
	took := until(t, 10*time.Second, "no plugin without an agent", func(context.Context) error {
		if left := s.processes(t); len(left) > 0 {
			return fmt.Errorf("%v are left of %v", left, running)
		}
		return nil
	})
	st, err := s.Status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for n, before := range starts {
		// Its process may not have been waited for yet; what counts is that no other was started.
		if v, _ := st.Service(n, "agent"); v.Restarts != before {
			t.Fatalf("the agent of %s is back already, so nobody knows who ended the plugins: %+v", n, v)
		}
	}
	t.Logf("the plugins were gone after %v", took.Round(time.Millisecond))
	s.at(t, "a", "b")
	for _, n := range []string{"a", "b"} {
		for name := range plugins {
			s.tracked(t, n, name, "does not run", func(k control.Tracker) bool {
				return k.Report.Status == "unknown" && refused(k.Report.Detail)
			})
		}
	}
	if out := s.sh(t, "a", "hareconcile status"); !refused(out) {
		t.Errorf("status on a does not say why and what to do:\n%s", out)
	}
	s.silent(t)
	s.at(t, "a", "b") // vrrpd goes by the last verdicts
	if left := s.processes(t); len(left) > 0 {
		t.Errorf("processes of plugins: %v, want none", left)
	}
}

func restored(t *testing.T, s *abroad) {
	for _, plugin := range plugins {
		if err := os.Rename(filepath.Join(s.bin, plugin+".locked"), filepath.Join(s.bin, plugin)); err != nil {
			t.Fatal(err)
		}
	}
	for _, n := range []string{"a", "b"} {
		s.tracked(t, n, "go", "up", reports(reconcile.Up, "last heartbeat"))
		s.tracked(t, n, "python", "up", reports(reconcile.Up, "last beat"))
	}
	s.silent(t)
	s.at(t, "a", "b")
}
