package cluster_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hareconcile/hareconcile/internal/control"
	"github.com/hareconcile/hareconcile/internal/lab"
	"github.com/hareconcile/hareconcile/reconcile"
	"github.com/hareconcile/hareconcile/test/scene"
)

// An abroad is a lab whose plugins were made outside of this repository.
type abroad struct {
	*scene.Scene
	bin string // also the folder of plugins
}

// travel makes the plugins, locks them, and builds the lab.
func travel(t *testing.T) *abroad {
	t.Helper()
	bin, dir := t.TempDir(), t.TempDir()
	for _, name := range []string{"hareconcile", "hareconcile-vrrpd"} {
		if err := scene.Build(t.Context(), "../..", "./cmd/"+name, filepath.Join(bin, name)); err != nil {
			t.Fatal(err)
		}
	}
	passable(t, bin)
	agent := filepath.Join(dir, "agent.hcl")
	write(t, agent, fmt.Sprintf("node_name = \"a\"\nsource \"git\" \"o\" {\n  url = \"/x\"\n  ref = { branch = \"main\" }\n}\nplugins { dir = %q }\n", bin))
	cluster := filepath.Join(dir, "pair")
	if err := os.Mkdir(cluster, 0o755); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(cluster, "cluster.hcl"), foreignCluster)
	write(t, filepath.Join(cluster, "lab.hcl"), foreignLab)

	tool := filepath.Join(bin, "hareconcile")
	var makers sync.WaitGroup
	makers.Go(func() { makeInGo(t, tool, bin) })
	makers.Go(func() { makeInPython(t, bin) })
	makers.Wait()
	if t.Failed() {
		t.FailNow()
	}
	for _, args := range [][]string{
		{"-config", `{"path": "/nonexistent"}`, filepath.Join(bin, plugins["go"])},
		{"-plain", "-config", `{"path": "/nonexistent"}`, filepath.Join(bin, plugins["python"])},
	} {
		makers.Go(func() {
			says(t, "", "all 11 tests passed", tool, append([]string{"plugin", "verify", "-agent", agent}, args...)...)
		})
	}
	makers.Wait()
	lockBoth(t, tool, agent, cluster)
	return settle(t, bin, cluster)
}

// makeInGo follows "Write a track plugin" of docs/plugins.md: the scaffold, with the page's
// program in the place of its own.
func makeInGo(t *testing.T, tool, bin string) {
	dir := filepath.Join(t.TempDir(), "heartbeat")
	sdk, err := filepath.Abs("../..")
	if err != nil {
		t.Error(err)
		return
	}
	if !says(t, "", "plugin verify", tool, "plugin", "new", "-sdk", sdk, "-dir", dir, "heartbeat") {
		return
	}
	page, err := os.ReadFile("../../docs/plugins.md")
	if err != nil {
		t.Error(err)
		return
	}
	_, program, _ := strings.Cut(string(page), "```go\npackage main\n")
	program, _, ok := strings.Cut(program, "```\n")
	if !ok {
		t.Error("docs/plugins.md has no program in Go")
		return
	}
	write(t, filepath.Join(dir, "main.go"), "package main\n"+program)
	says(t, dir, "", "go", "build", "-trimpath", "-o", filepath.Join(bin, plugins["go"]), ".")
}

// makeInPython installs the example as its first lines say.
func makeInPython(t *testing.T, bin string) {
	const example = "../../plugins/examples/python/hareconcile-plugin-beat"
	binary := filepath.Join(bin, plugins["python"])
	lib := binary + ".lib"
	program, err := os.ReadFile(example)
	if err == nil {
		err = errors.Join(os.WriteFile(binary, program, 0o755), os.Mkdir(lib, 0o755))
	}
	files, globErr := filepath.Glob("../../plugins/proto/hareconcile/plugin/v1/*.proto")
	if err = errors.Join(err, globErr); err != nil {
		t.Error(err)
		return
	}
	says(t, "", "", "protoc", append([]string{"-I", "../../plugins/proto", "--python_out=" + lib}, files...)...)
}

// lockBoth locks the plugins and, as the docs say, writes into the lock file that one of
// them has no certificates.
func lockBoth(t *testing.T, tool, agent, cluster string) {
	t.Helper()
	says(t, "", "+ heartbeat 1.0.0 sha256:", tool, "plugin", "lock", "-agent", agent, cluster)
	path := filepath.Join(cluster, ".hareconcile.lock.hcl")
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	before, after, ok := strings.Cut(string(text), `plugin "heartbeat"`) // entries are sorted by name
	if !ok || strings.Count(before, "automtls = true") != 1 {
		t.Fatalf("the lock file is\n%s", text)
	}
	write(t, path, strings.Replace(before, "automtls = true", "automtls = false", 1)+`plugin "heartbeat"`+after)
	says(t, "", "Nothing to do", tool, "plugin", "lock", "-agent", agent, cluster)
	says(t, "", "pass: last beat", "sh", "-c", `touch "$3/beat" && "$1" plugin check -agent "$2" -plain -config '{"path": "'"$3/beat"'"}' beat`, "sh", tool, agent, filepath.Dir(agent))
	says(t, "", "Success!", tool, "validate", cluster)
	if t.Failed() {
		t.FailNow()
	}
}

// settle builds the lab.
func settle(t *testing.T, bin, cluster string) *abroad {
	t.Helper()
	c, err := lab.Up(t.Context(), cluster, lab.Options{Bin: bin, Report: os.Stderr, Say: func(text string) { t.Log(text) }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		for _, host := range []string{"a", "b"} {
			if b, err := os.ReadFile(c.Log(host, "agent")); err == nil && t.Failed() {
				t.Logf("agent on %s:\n%s", host, b[max(0, len(b)-6000):])
			}
		}
		if _, err := lab.Down(context.Background(), c.Name()); err != nil {
			t.Error(err)
		}
	})
	return &abroad{&scene.Scene{Client: c}, bin}
}

// says runs a command that must succeed and print a text. It may run beside the test.
func says(t *testing.T, dir, want, name string, args ...string) bool {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), name, args...)
	cmd.Dir = dir
	// A module of its own, which asks nobody: what it needs is what this repository needs.
	cmd.Env = append(os.Environ(), "GOFLAGS=-mod=mod", "GOPROXY=off", "GOSUMDB=off", "GOWORK=off")
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), want) {
		t.Errorf("%s: %v, want %q in its output:\n%s", cmd, err, want, out)
		return false
	}
	return true
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Error(err)
	}
}

// sh runs a shell line that must succeed.
func (s *abroad) sh(t *testing.T, host, line string) string {
	t.Helper()
	out, err := s.Output(t.Context(), host, "sh", "-c", line)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// at waits until the two addresses are where they should be.
func (s *abroad) at(t *testing.T, inGo, inPython string) {
	t.Helper()
	took := until(t, 60*time.Second, "the addresses in place", func(ctx context.Context) error {
		for address, want := range map[string]string{goAddress: inGo, pythonAddress: inPython} {
			got, err := s.Holders(ctx, address)
			if err != nil {
				return err
			}
			if !slices.Equal(got, strings.Fields(want)) {
				return fmt.Errorf("%s is on %v, want it on [%s]", address, got, want)
			}
		}
		return nil
	})
	t.Logf("%s is on %s and %s on %s after %v", goAddress, inGo, pythonAddress, inPython, took.Round(100*time.Millisecond))
}

// tracked waits until a node's tracker is as wanted.
func (s *abroad) tracked(t *testing.T, node, name, what string, is func(control.Tracker) bool) {
	t.Helper()
	until(t, time.Minute, "tracker "+name+" of "+node+" "+what, func(ctx context.Context) error {
		st, err := s.Agent(ctx, node)
		if err != nil {
			return err
		}
		for _, k := range st.Trackers {
			if k.Name == name && k.Report != nil && is(k) {
				return nil
			}
		}
		return fmt.Errorf("the trackers of %s are %s", node, describe(st.Trackers))
	})
}

func describe(all []control.Tracker) string {
	var b strings.Builder
	for _, k := range all {
		fmt.Fprintf(&b, "%s %s (%s) %+v; ", k.Name, k.Verdict, k.Message, k.Report)
	}
	return b.String()
}

// reports makes a condition for tracked.
func reports(v reconcile.Verdict, detail string) func(control.Tracker) bool {
	return func(k control.Tracker) bool { return k.Verdict == v && strings.Contains(k.Report.Detail, detail) }
}
