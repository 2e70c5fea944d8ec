package probe

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/hareconcile/hareconcile/internal/spec"
)

// scripts is a folder that nobody can reach into but root and us, and that all can read.
func scripts(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "probe-exec")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

func script(t *testing.T, dir, name, body string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	// A child that is forked while the file is open for writing has it open too until it
	// runs its own program, and meanwhile nobody can run the file (execve(2), ETXTBSY).
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"+body+"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}

// runs makes one look by a program.
func runs(t *testing.T, c spec.Check, command ...string) Outcome {
	t.Helper()
	c.Type, c.Exec = "exec", &spec.ExecCheck{Command: command}
	if c.Timeout == 0 {
		c.Timeout = 5 * time.Second
	}
	return seeWith(t, c, netip.MustParseAddrPort("192.0.2.7:8080"), Options{AllowExec: true})
}

func TestExec(t *testing.T) {
	dir := scripts(t)
	flood := "while :; do echo yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy; done"
	for _, tt := range []struct {
		name    string
		body    string
		dynamic bool
		timeout time.Duration
		want    Outcome
		err     string
	}{
		{"status 0 passes", "exit 0", false, 0, Outcome{Message: "exit status 0"}, ""},
		{"with the words of the program", "echo all is well; echo and more", false, 0, Outcome{Message: "all is well..."}, ""},
		{"status 1 fails", "echo no disk >&2; exit 1", false, 0, Outcome{}, "exit status 1: no disk"},
		{"status 7 fails", "exit 7", false, 0, Outcome{}, "exit status 7"},
		{"status 7 is weight 5 of a dynamic check", "exit 7", true, 0, Outcome{Message: "weight 5", Weight: 5, HasWeight: true}, ""},
		{"status 2 is weight 0", "exit 2", true, 0, Outcome{Message: "weight 0", HasWeight: true}, ""},
		{"status 255 is weight 253", "exit 255", true, 0, Outcome{Message: "weight 253", Weight: 253, HasWeight: true}, ""},
		{"status 0 leaves the weight as it is written", "exit 0", true, 0, Outcome{Message: "exit status 0"}, ""},
		{"status 1 fails there too", "exit 1", true, 0, Outcome{}, "exit status 1"},
		{"a signal is a failure", "kill -9 $$", true, 0, Outcome{}, "killed by signal 9"},
		{"who takes too long fails", "exec sleep 60", false, timeout, Outcome{}, "timed out after 300ms"},
		{"also who does not listen", "trap '' TERM; while :; do sleep 60 & wait; done", false, timeout, Outcome{}, "timed out after 300ms"},
		{"also who floods", flood, false, timeout, Outcome{}, "timed out after 300ms"},
		{"and who drips", "while :; do echo; sleep 0.05; done", false, timeout, Outcome{}, "timed out after 300ms"},
		{"a child that is left behind keeps nobody waiting", "sleep 60 & echo done", false, 0, Outcome{Message: "done"}, ""},
		{"garbage is made printable", `printf '\033[31m\377\000x\n'; exit 3`, false, 0, Outcome{}, "exit status 3: [31m? x"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			path := script(t, dir, strings.ReplaceAll(tt.name, " ", "-"), tt.body)
			began := time.Now()
			got := runs(t, spec.Check{Dynamic: tt.dynamic, Timeout: tt.timeout}, path)
			if took := time.Since(began); tt.timeout != 0 && took > tt.timeout+5*time.Second {
				t.Errorf("took %v", took)
			}
			if (got.Err != nil) != (tt.err != "") || got.Err != nil && got.Err.Error() != tt.err {
				t.Errorf("error %v, want %q", got.Err, tt.err)
			}
			if got.Err = nil; got != tt.want {
				t.Errorf("probe = %+v, want %+v", got, tt.want)
			}
		})
	}
}

func TestExecKnowsItsServerAndLittleElse(t *testing.T) {
	t.Setenv("SECRET", "x")
	dir := scripts(t)
	path := script(t, dir, "args", `echo "$*, $(env | cut -d= -f1 | grep -v -e '^_$' -e '^PWD$' -e '^SHLVL$' | tr '\n' ' ')in $(pwd)"`)
	out := runs(t, spec.Check{}, path, "{server}@{pool}", "{address}:{port}", "$x")
	compare(t, out, "rs1@web 192.0.2.7:8080 $x, PATH in /", "")
	status := script(t, dir, "status", `grep -e ^Uid -e ^NoNewPrivs -e ^CapEff /proc/self/status | tr -s '\t\n' '  '`)
	uid, caps := os.Getuid(), ""
	if uid == 0 {
		uid, caps = 65534, "CapEff: 0000000000000000 "
	}
	out = runs(t, spec.Check{}, status)
	if want := fmt.Sprintf("Uid: %[1]d %[1]d %[1]d %[1]d %sNoNewPrivs: 1", uid, caps); out.Message != want && caps != "" {
		t.Errorf("status = %q, want %q", out.Message, want)
	}
}

// TestExecLeavesNobodyBehind: what a program started ends with it.
func TestExecLeavesNobodyBehind(t *testing.T) {
	dir := scripts(t)
	for name, body := range map[string]string{
		"ends": "sleep 60 & echo $!", "hangs": "sleep 60 & echo $! >&2; echo $! > %s; wait",
	} {
		note := filepath.Join(dir, name+".pid")
		if err := os.WriteFile(note, nil, 0o666); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(note, 0o666); err != nil {
			t.Fatal(err)
		}
		if name == "ends" {
			body = "sleep 60 & echo $! > %s"
		}
		runs(t, spec.Check{Timeout: time.Second}, script(t, dir, name, fmt.Sprintf(body, note)))
		b, err := os.ReadFile(note)
		if err != nil {
			t.Fatal(err)
		}
		var pid int
		if _, err := fmt.Sscan(string(b), &pid); err != nil {
			t.Fatalf("%s: the child's id: %v", name, err)
		}
		awaitDeath(t, pid)
	}
}

// awaitDeath waits until a process is gone or a zombie of somebody else's.
func awaitDeath(t *testing.T, pid int) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(5 * time.Second); time.Now().Before(deadline); <-tick.C {
		b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if err != nil || strings.Contains(string(b), ") Z ") {
			return
		}
	}
	t.Errorf("process %d lives on", pid)
}

func TestExecIsOffUnlessItIsAllowed(t *testing.T) {
	c := spec.Check{Type: "exec", Exec: &spec.ExecCheck{Command: []string{"/bin/true"}}}
	if _, err := New(c, Target{}, Options{}); err == nil || err.Error() != "this host runs no programs for checks" {
		t.Errorf("New = %v, want a refusal", err)
	}
}

// TestProgramsThatOthersCanChangeAreNotRun also is what happens to those that are not there:
// nothing can be said of the server.
func TestProgramsThatOthersCanChangeAreNotRun(t *testing.T) {
	dir := scripts(t)
	change := func(name string, f func(path string) error) string {
		path := script(t, dir, name, "exit 0")
		if err := f(path); err != nil {
			t.Fatal(err)
		}
		return path
	}
	open := filepath.Join(dir, "open")
	if err := os.Mkdir(open, 0o755); err != nil {
		t.Fatal(err)
	}
	inOpen := script(t, open, "program", "exit 0")
	if err := os.Chmod(open, 0o777); err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(dir, "link")
	if err := os.Symlink(inOpen, link); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ name, path, want string }{
		{"writable by others", change("others", func(p string) error { return os.Chmod(p, 0o757) }), "can be written by its group or by others"},
		{"writable by a group", change("group", func(p string) error { return os.Chmod(p, 0o775) }), "can be written by its group or by others"},
		{"in a folder that is", inOpen, "can be written by its group or by others"},
		{"behind a link to one that is", link, "can be written by its group or by others"},
		{"setuid", change("setuid", func(p string) error { return os.Chmod(p, 0o755|os.ModeSetuid) }), "is setuid or setgid"},
		{"not executable", change("data", func(p string) error { return os.Chmod(p, 0o644) }), "is not executable"},
		{"a folder", dir, "is no regular file"},
		{"not there", filepath.Join(dir, "none"), "no such file or directory"},
		{"not absolute", "true", "is no absolute path"},
		{"of no program", change("text", func(p string) error { return os.WriteFile(p, []byte("\x00"), 0o755) }), "exec format error"},
	} {
		out := runs(t, spec.Check{}, tt.path)
		if out.Err == nil || !out.Unmeasured || !strings.Contains(out.Err.Error(), tt.want) {
			t.Errorf("%s: probe = %+v, want %q, unmeasured", tt.name, out, tt.want)
		}
	}
	if os.Getuid() == 0 {
		path := change("theirs", func(p string) error { return os.Chown(p, 65534, 65534) })
		if out := runs(t, spec.Check{}, path); !out.Unmeasured || !strings.HasSuffix(out.Err.Error(), "belongs to user 65534, want root") {
			t.Errorf("probe = %+v, want a refusal of another's program", out)
		}
	}
}
