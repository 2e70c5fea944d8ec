package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/hareconcile/hareconcile/plugins/sdk"
	"github.com/hareconcile/hareconcile/plugins/sdk/sdktest"
)

// scripts is a folder that nobody can write to but this process's user.
func scripts(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "exec")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

func write(t *testing.T, dir, name, body string) string {
	t.Helper()
	path := filepath.Join(dir, strings.ReplaceAll(name, " ", "-"))
	// A child that is forked while the file is open for writing has it open too until it
	// runs its own program, and meanwhile nobody can run the file (execve(2), ETXTBSY).
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"+body+"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}

// instance makes a script of a configuration.
func instance(t *testing.T, tr tracker, config map[string]any) *script {
	t.Helper()
	b, err := json.Marshal(config)
	if err != nil {
		t.Fatal(err)
	}
	v, err := sdk.ParseValue(tr.Schema(), b)
	if err != nil {
		t.Fatal(err)
	}
	i, err := tr.New(t.Context(), v)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = i.(*script).Close() })
	return i.(*script)
}

func look(t *testing.T, s *script, timeout time.Duration) sdk.Result {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), timeout)
	defer cancel()
	r, err := s.Check(ctx)
	if err != nil {
		return sdk.Result{Status: sdk.Unknown, Detail: err.Error()}
	}
	return r
}

// TestExitStatus has a row for each sentence of keepalived.conf(5) on what a vrrp_script's
// end means.
func TestExitStatus(t *testing.T) {
	dir := scripts(t)
	flood := "while :; do echo yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy; done"
	for _, tt := range []struct {
		name, body   string
		want         sdk.Status
		code, detail string
	}{
		{"status 0 is up", "exit 0", sdk.Pass, "", "exit status 0"},
		{"with its first line", "echo all is well; echo and more", sdk.Pass, "", "all is well..."},
		{"status 1 is down", "echo no disk >&2; exit 1", sdk.Fail, codeStatus, "exit status 1: no disk"},
		{"status 2 is down and no weight", "exit 2", sdk.Fail, codeStatus, "exit status 2"},
		{"status 127 is down", "no-such-program 2>/dev/null", sdk.Fail, codeStatus, "exit status 127"},
		{"status 255 is down", "exit 255", sdk.Fail, codeStatus, "exit status 255"},
		{"what it says is no status", "echo 5", sdk.Pass, "", "5"},
		{"a signal is down", "kill -9 $$", sdk.Fail, codeSignal, "killed by signal 9"},
		{"who takes too long is down", "exec sleep 60", sdk.Fail, codeTimeout, "did not end in time"},
		{"also who does not listen", "trap '' TERM; while :; do sleep 60 & wait; done", sdk.Fail, codeTimeout, "did not end in time"},
		{"also who floods", flood, sdk.Fail, codeTimeout, "did not end in time"},
		{"a child that is left behind keeps nobody waiting", "sleep 60 & echo done", sdk.Pass, "", "done"},
		{"garbage is made printable", `printf '\033[31m\377\000x\n'; exit 3`, sdk.Fail, codeStatus, "exit status 3: [31m? x"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			config := map[string]any{"command": []string{write(t, dir, tt.name, tt.body)}}
			if tt.code == codeTimeout {
				config["timeout"] = "200ms"
			}
			began := time.Now()
			got := look(t, instance(t, newTracker(), config), 10*time.Second)
			if got.Status != tt.want || got.Code != tt.code || got.Detail != tt.detail {
				t.Errorf("result %s %s %q, want %s %s %q", got.Status, got.Code, got.Detail, tt.want, tt.code, tt.detail)
			}
			if took := time.Since(began); took > 5*time.Second {
				t.Errorf("took %v", took)
			}
		})
	}
}

// TestArguments: no shell reads them, and little is inherited.
func TestArguments(t *testing.T) {
	t.Setenv("SECRET", "x")
	path := write(t, scripts(t), "args", `echo "$# $2, $(env | cut -d= -f1 | grep -v -e '^_$' -e '^PWD$' -e '^SHLVL$' | tr '\n' ' ')in $(pwd)"`)
	got := look(t, instance(t, newTracker(), map[string]any{"command": []string{path, "a b", "|| exit 1; $HOME"}}), 5*time.Second)
	if want := "2 || exit 1; $HOME, PATH in /"; got.Status != sdk.Pass || got.Detail != want {
		t.Errorf("result %s %q, want %q", got.Status, got.Detail, want)
	}
	status := write(t, scripts(t), "status", `grep ^NoNewPrivs /proc/self/status | tr '\t' ' '`)
	if got := look(t, instance(t, newTracker(), map[string]any{"command": []string{status}}), 5*time.Second); got.Detail != "NoNewPrivs: 1" {
		t.Errorf("status %q, want no new privileges", got.Detail)
	}
}

// TestTimeoutLeavesNothing: the answer comes at the timeout, and then nothing of the group is
// left, not even a zombie, before the program runs again.
func TestTimeoutLeavesNothing(t *testing.T) {
	dir := scripts(t)
	note := filepath.Join(dir, "pids")
	path := write(t, dir, "hangs", fmt.Sprintf("trap '' TERM\nsleep 60 &\necho $$ $! >> %s\nwhile :; do wait; done", note))
	s := instance(t, newTracker(), map[string]any{"command": []string{path}, "on_timeout": "unknown"})
	for range 3 {
		began := time.Now()
		got := look(t, s, 400*time.Millisecond)
		if got.Status != sdk.Unknown || got.Code != codeTimeout {
			t.Errorf("result %s %s %q, want unknown", got.Status, got.Code, got.Detail)
		}
		if took := time.Since(began); took > 400*time.Millisecond+busy {
			t.Errorf("answered after %v", took)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(note)
	if err != nil {
		t.Fatal(err)
	}
	for _, word := range strings.Fields(string(b)) {
		pid, err := strconv.Atoi(word)
		if err != nil {
			t.Fatal(err)
		}
		awaitDeath(t, pid)
	}
	var info syscall.WaitStatus
	if pid, err := syscall.Wait4(-1, &info, syscall.WNOHANG, nil); !errors.Is(err, syscall.ECHILD) && pid != 0 {
		t.Errorf("process %d was a zombie", pid)
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

// TestNeverTwice: while a run is being ended there is no second one, and that is a timeout too.
func TestNeverTwice(t *testing.T) {
	dir := scripts(t)
	path := write(t, dir, "slow", "trap '' TERM\nmkdir "+dir+"/running || touch "+dir+"/twice\nwhile :; do sleep 60 & wait; done")
	s := instance(t, newTracker(), map[string]any{"command": []string{path}, "timeout": "100ms"})
	for seen, tries := 0, 0; seen < 2; tries++ {
		switch got := look(t, s, 150*time.Millisecond); {
		case got.Status == sdk.Fail && got.Code == codeTimeout:
			seen++
		case strings.Contains(got.Detail, "this host was busy") && tries < 20: // and may be, while tests run
		default:
			t.Fatalf("result %s %s %q, want a timeout", got.Status, got.Code, got.Detail)
		}
	}
	if _, err := os.Stat(dir + "/twice"); err == nil {
		t.Error("the program ran while it was running")
	}
}

// TestBound: programs of other trackers that hang delay a check, and are no verdict on it.
func TestBound(t *testing.T) {
	dir := scripts(t)
	tr := tracker{make(chan struct{}, 1)}
	slow := instance(t, tr, map[string]any{"command": []string{write(t, dir, "slow", "touch "+dir+"/up; exec sleep 60")}})
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { _, err := slow.Check(ctx); ended <- err }()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for _, err := os.Stat(dir + "/up"); err != nil; _, err = os.Stat(dir + "/up") {
		select {
		case <-tick.C:
		case err := <-ended:
			t.Fatalf("the program did not run: %v", err)
		}
	}
	quick := instance(t, tr, map[string]any{"command": []string{write(t, dir, "quick", "exit 0")}})
	if got := look(t, quick, 100*time.Millisecond); got.Status != sdk.Unknown || !strings.Contains(got.Detail, "1 programs of other trackers") {
		t.Errorf("result %s %q, want unknown", got.Status, got.Detail)
	}
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("a check that was given up: %v, want no verdict", err)
	}
	if got := look(t, quick, 5*time.Second); got.Status != sdk.Pass {
		t.Errorf("result %s %q, want pass", got.Status, got.Detail)
	}
}

// TestFrozenPlugin tells a program that took too long from a plugin that was stopped itself.
func TestFrozenPlugin(t *testing.T) {
	s := instance(t, newTracker(), map[string]any{"command": []string{"/bin/true"}})
	ctx, cancel := context.WithDeadline(t.Context(), time.Now().Add(-5*time.Second))
	defer cancel()
	if r, err := s.late(ctx, "x"); err == nil || !strings.Contains(err.Error(), "stopped for 5") {
		t.Errorf("long after the deadline: %v, %v, want no word on the program", r, err)
	}
}

// TestPaths: a program that others could replace is not run, and that is no verdict.
func TestPaths(t *testing.T) {
	dir := scripts(t)
	change := func(name string, f func(path string) error) string {
		path := write(t, dir, name, "exit 0")
		if err := f(path); err != nil {
			t.Fatal(err)
		}
		return path
	}
	open := filepath.Join(dir, "open")
	if err := errors.Join(os.Mkdir(open, 0o755), os.Chmod(open, 0o777)); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ path, want string }{
		{change("writable", func(p string) error { return os.Chmod(p, 0o775) }), "can be written by its group or by others (mode 0775)"},
		{write(t, open, "inside", "exit 0"), open + " can be written"},
		{change("link", func(p string) error {
			return errors.Join(os.Remove(p), os.Symlink(filepath.Join(open, "inside"), p))
		}), open + " can be written"},
		{change("setuid", func(p string) error { return os.Chmod(p, 0o755|os.ModeSetuid) }), "is setuid or setgid"},
		{change("plain", func(p string) error { return os.Chmod(p, 0o644) }), "is not executable"},
		{dir, "is no regular file"},
		{filepath.Join(dir, "absent"), "no such file"},
		{change("interpreter", func(p string) error {
			return errors.Join(os.Remove(p), os.WriteFile(p, []byte("#!/no/such/shell\n"), 0o755))
		}), "the interpreter of "},
		{change("format", func(p string) error { return os.WriteFile(p, []byte("no program\n"), 0o755) }), "exec format error"},
	} {
		got := look(t, instance(t, newTracker(), map[string]any{"command": []string{tt.path}}), 5*time.Second)
		if got.Status != sdk.Unknown || !strings.Contains(got.Detail, tt.want) {
			t.Errorf("%s: result %s %q, want unknown %q", tt.path, got.Status, got.Detail, tt.want)
		}
	}
}

// TestPathsChange: keepalived looks at paths when it starts; here each run is judged.
func TestPathsChange(t *testing.T) {
	dir := scripts(t)
	inner := filepath.Join(dir, "inner")
	if err := os.Mkdir(inner, 0o755); err != nil {
		t.Fatal(err)
	}
	good, other := write(t, inner, "good", "echo good"), write(t, inner, "other", "echo other")
	link := filepath.Join(dir, "link")
	if err := os.Symlink(good, link); err != nil {
		t.Fatal(err)
	}
	s := instance(t, newTracker(), map[string]any{"command": []string{link}})
	for _, tt := range []struct {
		name   string
		change func() error
		want   sdk.Status
		detail string
	}{
		{"at first", func() error { return nil }, sdk.Pass, "good"},
		{"its group may write to it", func() error { return os.Chmod(good, 0o775) }, sdk.Unknown, good + " can be written by its group"},
		{"it may no more", func() error { return os.Chmod(good, 0o755) }, sdk.Pass, "good"},
		{"others may write to its folder", func() error { return os.Chmod(inner, 0o757) }, sdk.Unknown, inner + " can be written by its group or by others"},
		{"in which nobody may replace what is another's", func() error { return os.Chmod(inner, 0o777|os.ModeSticky) }, sdk.Pass, "good"},
		{"the link leads elsewhere", func() error { return errors.Join(os.Remove(link), os.Symlink(other, link)) }, sdk.Pass, "other"},
		{"and to a binary", func() error { return errors.Join(os.Remove(link), os.Symlink("/bin/false", link)) }, sdk.Fail, "exit status 1"},
		{"and nowhere", func() error { return os.Remove(link) }, sdk.Unknown, "no such file"},
	} {
		if err := tt.change(); err != nil {
			t.Fatal(err)
		}
		if got := look(t, s, 5*time.Second); got.Status != tt.want || !strings.Contains(got.Detail, tt.detail) {
			t.Errorf("%s: result %s %q, want %s %q", tt.name, got.Status, got.Detail, tt.want, tt.detail)
		}
	}
}

// TestBinaryIsCalledWhatItIs: it runs by a descriptor, and sees its name and its file.
func TestBinaryIsCalledWhatItIs(t *testing.T) {
	link := filepath.Join(scripts(t), "my-readlink")
	if err := os.Symlink("/usr/bin/readlink", link); err != nil {
		t.Fatal(err)
	}
	got := look(t, instance(t, newTracker(), map[string]any{"command": []string{link, "/proc/self/exe"}}), 5*time.Second)
	if !strings.HasSuffix(got.Detail, "/readlink") {
		t.Errorf("its file is %q, want readlink's", got.Detail)
	}
	got = look(t, instance(t, newTracker(), map[string]any{"command": []string{link, "--no-such-option"}}), 5*time.Second)
	if got.Status != sdk.Fail || !strings.Contains(got.Detail, link) {
		t.Errorf("it calls itself %q, want %s", got.Detail, link)
	}
}

func TestConfiguration(t *testing.T) {
	many, err := json.Marshal(map[string]any{"command": strings.Split("/bin/true"+strings.Repeat(" x", maxWords), " ")})
	if err != nil {
		t.Fatal(err)
	}
	sdktest.Run(t, newTracker(), []sdktest.Case{
		{Name: "a program will do", Config: `{"command": ["/bin/true"]}`, Want: sdk.Pass, Detail: "exit status 0"},
		{Name: "all that there is", Config: `{"command": ["/bin/false"], "timeout": "2s", "on_timeout": "fail"}`, Want: sdk.Fail, Detail: "exit status 1"},
		{Name: "the tracker's timeout is enough", Config: `{"command": ["/bin/sleep", "60"]}`, Timeout: time.Second, Want: sdk.Fail, Detail: "did not end in time"},
		{Name: "a command is required", Config: `{}`, Mistakes: []string{"command"}},
		{Name: "of one word at least", Config: `{"command": []}`, Mistakes: []string{"command"}},
		{Name: "a line for a shell is refused", Config: `{"command": ["killall -0 haproxy"]}`, Mistakes: []string{"command"}},
		{Name: "a name without a path is refused", Config: `{"command": ["pidof", "haproxy"]}`, Mistakes: []string{"command"}},
		{Name: "too many words are refused", Config: string(many), Mistakes: []string{"command"}},
		{Name: "a NUL is refused", Config: `{"command": ["/bin/true", "\u0000"]}`, Mistakes: []string{"command"}},
		{Name: "a number is no duration", Config: `{"command": ["/bin/true"], "timeout": "3"}`, Mistakes: []string{"timeout"}},
		{Name: "no time at all is refused", Config: `{"command": ["/bin/true"], "timeout": "0s"}`, Mistakes: []string{"timeout"}},
		{Name: "a timeout is no success", Config: `{"command": ["/bin/true"], "on_timeout": "pass"}`, Mistakes: []string{"on_timeout"}},
	})
}

func TestBinary(t *testing.T) {
	binary := filepath.Join(scripts(t), "hareconcile-plugin-exec")
	if out, err := exec.Command("go", "build", "-o", binary, ".").CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	sdktest.Verify(t, binary, `{"command": ["/bin/true"]}`)
	if os.Geteuid() == 0 {
		t.Run("as a user without rights", func(t *testing.T) { unprivileged(t, binary) })
	}
}

// unprivileged runs what root has made and others may run, and may not read or may not change.
func unprivileged(t *testing.T, binary string) {
	dir := filepath.Dir(binary)
	echo, err := os.ReadFile("/bin/echo")
	if err != nil {
		t.Fatal(err)
	}
	hidden, theirs := filepath.Join(dir, "hidden"), write(t, dir, "theirs", "exit 0")
	err = errors.Join(os.Chmod(dir, 0o755), os.WriteFile(hidden, echo, 0o711), os.Chown(theirs, 12345, -1))
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ command, want string }{
		{write(t, dir, "plain", "id -u"), "pass: 65534"},
		{hidden, "pass: exit status 0"},
		{theirs, "unknown: " + theirs + " belongs to user 12345, want root"},
	} {
		cmd := exec.Command(binary, "-check", `{"command": ["`+tt.command+`"]}`)
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
		out, err := cmd.CombinedOutput()
		if !strings.HasPrefix(string(out), tt.want+"\n") {
			t.Errorf("%s: %v\n%s, want %q", tt.command, err, out, tt.want)
		}
	}
}
