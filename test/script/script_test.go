// Package script tests the hareconcile command as people and programs use it: its real
// binary, run by scripts.
package script

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/hareconcile/hareconcile/internal/haproxy/socket"
	"github.com/hareconcile/hareconcile/internal/nstest"
)

var update = flag.Bool("update", false, "write golden files instead of comparing with them")

// bin is the folder of the binaries under test.
var bin string

func TestMain(m *testing.M) {
	flag.Parse()
	os.Exit(buildAndRun(m))
}

func buildAndRun(m *testing.M) int {
	dir, err := os.MkdirTemp("", "hareconcile-script-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	bin = dir
	cmd := exec.Command("go", "build", "-o", dir, "../../cmd/hareconcile", "../../cmd/hareconcile-vrrpd")
	cmd.Stderr = os.Stderr
	if err := errors.Join(cmd.Run(), os.Chmod(dir, 0o755)); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return m.Run()
}

// params are what all scripts share; env adds to a script's environment.
func params(env ...string) testscript.Params {
	return testscript.Params{
		RequireUniqueNames: true,
		UpdateScripts:      *update,
		Setup: func(e *testscript.Env) error {
			e.Vars = append(e.Vars, "PATH="+bin+":"+os.Getenv("PATH")+":/usr/sbin:/sbin", "BIN="+bin)
			deps, err := filepath.Abs("../deps.sh")
			if err != nil {
				return err
			}
			e.Setenv("DEPS", deps)
			e.Vars = append(e.Vars, env...)
			e.Values[locksKey{}] = map[string]*os.File{}
			if err := writeAgentFile(e.WorkDir); err != nil {
				return err
			}
			return os.CopyFS(filepath.Join(e.WorkDir, "examples"), os.DirFS("../../examples"))
		},
		Condition: func(name string) (bool, error) {
			if name != "ip_vs" {
				return false, fmt.Errorf("unknown condition %q", name)
			}
			return hasIPVS(), nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exits":  exits,
			"nobody": nobody,
			"hold":   hold,
			"repeat": repeat,
			"until":  until,
			"told":   told,
		},
	}
}

// writeAgentFile writes an agent.hcl for node rs1 that keeps to the script's own folder.
func writeAgentFile(work string) error {
	text := fmt.Sprintf(`node_name   = "rs1"
data_dir    = "%[1]s/data"
socket      = "%[1]s/run/agent.sock"
vrrp_socket = "%[1]s/run/vrrpd.sock"

source "git" "primary" {
  url      = "%[1]s/cluster.git"
  ref      = { branch = "main" }
  interval = "1s"
}
`, work)
	return os.WriteFile(filepath.Join(work, "agent.hcl"), []byte(text), 0o644)
}

func TestAsAnybody(t *testing.T) {
	p := params()
	p.Dir = "testdata/user"
	testscript.Run(t, p)
}

func TestAsRootInANamespace(t *testing.T) {
	nstest.Need(t, "root", "netns", "nsenter", "ip", "git", "haproxy")
	files, err := filepath.Glob("testdata/root/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatalf("no scripts: %v", err)
	}
	for _, f := range files {
		t.Run(strings.TrimSuffix(filepath.Base(f), ".txtar"), func(t *testing.T) {
			ns := nstest.New(t)
			p := params("NS=" + ns.Path())
			p.Files = []string{f}
			testscript.Run(t, p)
		})
	}
}

func TestInALab(t *testing.T) {
	nstest.Need(t, "root", "netns", "curl", "ipvsadm")
	if !hasIPVS() {
		nstest.Need(t, "uml")
	}
	p := params()
	setup := p.Setup
	p.Setup = func(e *testscript.Env) error {
		e.Defer(func() { // of no effect where the script has come that far
			_ = exec.Command(filepath.Join(bin, "hareconcile"), "lab", "down", filepath.Join(e.WorkDir, "examples/lvs-dr")).Run()
		})
		return setup(e)
	}
	p.Dir = "testdata/lab"
	testscript.Run(t, p)
}

func hasIPVS() bool {
	_, err := os.Stat("/proc/net/ip_vs")
	return err == nil
}

// exits runs a program that must end with the given code: exits CODE PROGRAM [ARG]...
func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE PROGRAM [ARG]...")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	err = ts.Exec(args[1], args[2:]...)
	got := 0
	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit):
		got = exit.ExitCode()
	case err != nil:
		ts.Fatalf("%v", err)
	}
	if got != want {
		ts.Fatalf("%q exits with %d, want %d", args[1:], got, want)
	}
}

// told gives a command to a haproxy until its answer matches: told PATTERN SOCKET COMMAND.
func told(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 {
		ts.Fatalf("usage: told PATTERN SOCKET COMMAND")
	}
	pattern, err := regexp.Compile("(?m)" + args[0])
	ts.Check(err)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	var reply string
	for range 500 {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		reply, err = socket.Ask(ctx, ts.MkAbs(args[1]), args[2])
		cancel()
		if err == nil && pattern.MatchString(reply) {
			return
		}
		<-tick.C
	}
	ts.Fatalf("haproxy answers %q with %q (%v), want %q", args[2], reply, err, args[0])
}

// until runs a program again and again until its output matches: until PATTERN PROGRAM [ARG]...
func until(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: until PATTERN PROGRAM [ARG]...")
	}
	pattern, err := regexp.Compile("(?m)" + args[0])
	ts.Check(err)
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for range 100 {
		_ = ts.Exec(args[1], args[2:]...) // its exit code is part of what it says
		if pattern.MatchString(ts.ReadFile("stdout")) {
			return
		}
		<-tick.C
	}
	ts.Fatalf("%q never printed %q", args[1:], args[0])
}

// nobody runs hareconcile as an ordinary user, who must fail: nobody [ARG]...
func nobody(ts *testscript.TestScript, neg bool, args []string) {
	cmd := exec.Command(filepath.Join(bin, "hareconcile"), args...)
	cmd.Dir = "/"
	cmd.Stdout, cmd.Stderr = ts.Stdout(), ts.Stderr()
	if os.Geteuid() == 0 {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	}
	if err := cmd.Run(); (err != nil) != neg {
		ts.Fatalf("hareconcile %q as nobody: %v", args, err)
	}
}

// hold takes a lock; ! hold gives it back: [!] hold FILE
func hold(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 1 {
		ts.Fatalf("usage: [!] hold FILE")
	}
	held := ts.Value(locksKey{}).(map[string]*os.File)
	path := ts.MkAbs(args[0])
	if neg {
		ts.Check(held[path].Close())
		return
	}
	ts.Check(os.MkdirAll(filepath.Dir(path), 0o755))
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	ts.Check(err)
	ts.Check(syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB))
	ts.Defer(func() { f.Close() })
	held[path] = f
}

// locksKey finds the locks that a script holds, by path.
type locksKey struct{}

// repeat writes a file: repeat FILE N BEFORE MIDDLE AFTER writes BEFORE N times, MIDDLE, and AFTER N times.
func repeat(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 5 {
		ts.Fatalf("usage: repeat FILE N BEFORE MIDDLE AFTER")
	}
	n, err := strconv.Atoi(args[1])
	ts.Check(err)
	text := strings.Repeat(args[2], n) + args[3] + strings.Repeat(args[4], n)
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(text), 0o644))
}
