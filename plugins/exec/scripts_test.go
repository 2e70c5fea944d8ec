package main

import (
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/hareconcile/hareconcile/internal/nstest"
	"github.com/hareconcile/hareconcile/internal/proc"
	"github.com/hareconcile/hareconcile/plugins/sdk"
)

// child starts a process that waits, and brings it into a state.
func child(t *testing.T, bring syscall.Signal, state byte) string {
	t.Helper()
	cmd := exec.Command("/bin/sleep", "60")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	if err := cmd.Process.Signal(bring); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(10 * time.Second); ; {
		s, err := proc.Look(cmd.Process.Pid)
		if err == nil && s.State == state {
			return strconv.Itoa(cmd.Process.Pid)
		}
		if time.Now().After(deadline) {
			t.Fatalf("the process is %+v, %v", s, err)
		}
		<-time.After(time.Millisecond)
	}
}

// TestScriptsPeopleWrite has the scripts that are found in the wild, row by row, and what comes
// of them here: what is no program is refused with a reason when it is written; what runs and
// answers wrongly does so here too, which is why the other plugins are there.
func TestScriptsPeopleWrite(t *testing.T) {
	dir := scripts(t)
	frozen, zombie := child(t, syscall.SIGSTOP, 'T'), child(t, syscall.SIGKILL, 'Z')
	sh := func(body string) []string { return []string{"/bin/sh", "-c", body} }
	const refused = sdk.Status("refused")
	for _, tt := range []struct {
		name    string
		command []string
		want    sdk.Status
		says    string
	}{
		{"killall -0 of a frozen process passes", []string{write(t, dir, "frozen", "kill -0 "+frozen)}, sdk.Pass, ""},
		{"killall -0 of a zombie passes", []string{write(t, dir, "zombie", "kill -0 "+zombie)}, sdk.Pass, ""},
		{"killall -0 haproxy in one string", []string{"killall -0 haproxy"}, refused, "a line for a shell"},
		{"pidof haproxy in a script string", []string{"pidof haproxy"}, refused, "a line for a shell"},
		{"pidof without its path", []string{"pidof", "haproxy"}, refused, "no absolute path"},
		{"echo 5 instead of exit 5 always passes, and shows what it said", sh("echo 5"), sdk.Pass, "5"},
		{"exit 5 is down and no weight", sh("exit 5"), sdk.Fail, "exit status 5"},
		{"curl .. || exit 1 without a shell", []string{"/usr/bin/curl -fsS http://127.0.0.1/ || exit 1"}, refused, "a line for a shell"},
		{"a name with blanks is one word", []string{write(t, blanks(t, dir), "up", "exit 0")}, sdk.Pass, ""},
		{"/dev/tcp on dash always fails", sh("</dev/tcp/127.0.0.1/1"), sdk.Fail, "exit status"},
		{"ps -C nginx | wc -l in one string", []string{"ps -C nginx --no-headers | wc -l"}, refused, "a line for a shell"},
		{"a curl without a limit ends at the tracker's", sh("sleep 60"), sdk.Fail, "did not end in time"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			status, says := result(t, tt.command)
			if status != tt.want || !strings.Contains(says, tt.says) {
				t.Errorf("%q: %s %q, want %s %q", tt.command, status, says, tt.want, tt.says)
			}
		})
	}
}

// blanks makes a folder whose name has blanks.
func blanks(t *testing.T, dir string) string {
	t.Helper()
	path := dir + "/a folder of checks"
	if err := os.Mkdir(path, 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}

// result runs a command once, or says why it is refused.
func result(t *testing.T, command []string) (sdk.Status, string) {
	t.Helper()
	err := checkCommand(command)
	if err != nil {
		var a *sdk.AttributeError
		if !errors.As(err, &a) || a.Attribute != "command" {
			t.Errorf("%v blames no attribute", err)
		}
		return "refused", err.Error()
	}
	r := look(t, instance(t, newTracker(), map[string]any{"command": command}), time.Second)
	return r.Status, r.Detail
}

// TestKillAsNobody: as the user that checks run as, kill -0 of another user's process is refused,
// and the script calls it down for ever.
func TestKillAsNobody(t *testing.T) {
	nstest.Need(t, "root")
	dir := scripts(t)
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	binary := dir + "/hareconcile-plugin-exec"
	if out, err := exec.Command("go", "build", "-o", binary, ".").CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	config, err := json.Marshal(map[string]any{"command": []string{write(t, dir, "alive", "kill -0 "+strconv.Itoa(os.Getpid()))}})
	if err != nil {
		t.Fatal(err)
	}
	for uid, want := range map[uint32]string{0: "pass: ", 65534: "fail: "} {
		cmd := exec.Command(binary, "-check", string(config))
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: uid}}
		out, _ := cmd.CombinedOutput() // the exit code is the verdict
		if !strings.HasPrefix(string(out), want) {
			t.Errorf("as user %d: %q, want %s", uid, out, want)
		}
	}
}
