package proc

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

const tail = " 1 1 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 8675309 1 2 3"

func TestParseStat(t *testing.T) {
	for _, tt := range []struct {
		text string
		want Stat
		ok   bool
	}{
		{"17 (nginx) S 4" + tail, Stat{17, "nginx", 'S', 4, 8675309}, true},
		{"17 (a) R (b) Z) T 4" + tail, Stat{17, "a) R (b) Z", 'T', 4, 8675309}, true},
		{"17 () Z 0" + tail + "\n", Stat{17, "", 'Z', 0, 8675309}, true},
		{text: ""}, {text: "17"}, {text: "17 (nginx"}, {text: ") ("}, {text: "17 (nginx)"}, {text: "17 (nginx) S 1 2 3"},
		{text: "17 (nginx) S 4" + strings.Replace(tail, "8675309", "-1", 1)},
		{text: "x (nginx) S 4" + tail}, {text: "17 (nginx) S -4" + tail},
	} {
		if got, ok := ParseStat([]byte(tt.text)); got != tt.want || ok != tt.ok {
			t.Errorf("ParseStat(%q) = %v, %v, want %v, %v", tt.text, got, ok, tt.want, tt.ok)
		}
	}
}

// start starts a process and waits until the program runs.
func start(t *testing.T) *exec.Cmd {
	t.Helper()
	cmd := exec.Command("cat", "-u")
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
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	if _, err := in.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	if _, err := out.Read(make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	return cmd
}

// TestProcess follows one process until it is a zombie, which kill -0 takes for alive.
func TestProcess(t *testing.T) {
	cmd := start(t)
	pid := cmd.Process.Pid
	p, err := Open(pid)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	if p.PID != pid || p.Parent != os.Getpid() || p.Start == 0 || p.Ended() {
		t.Errorf("Open(%d) = %+v, ended %v", pid, p.Stat, p.Ended())
	}
	if title, err := Title(pid); err != nil || title != "cat -u" {
		t.Errorf("Title = %q, %v", title, err)
	}
	if exe, err := Exe(pid); err != nil || !strings.HasSuffix(exe, "/cat") && !strings.HasSuffix(exe, "/coreutils") {
		t.Errorf("Exe = %q, %v", exe, err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if err := p.Wait(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Wait for a process that runs: %v", err)
	}
	ended := make(chan error, 1)
	go func() { ended <- p.Wait(t.Context()) }()
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; err != nil || !p.Ended() {
		t.Errorf("Wait for a process that was killed: %v, ended %v", err, p.Ended())
	}
	if err := unix.Kill(pid, 0); err != nil {
		t.Errorf("kill -0 of a zombie: %v, want success", err)
	}
	if s, err := Look(pid); err != nil || !s.Gone() {
		t.Errorf("Look at a zombie = %v, %v", s, err)
	}
	if _, err := Open(pid); !errors.Is(err, ErrGone) {
		t.Errorf("Open of a zombie: %v, want %v", err, ErrGone)
	}
	_ = cmd.Wait()
	if _, err := Look(pid); !errors.Is(err, ErrGone) {
		t.Errorf("Look at nothing: %v, want %v", err, ErrGone)
	}
	for _, pid := range []int{pid, 0, -1} {
		if _, err := Open(pid); !errors.Is(err, ErrGone) {
			t.Errorf("Open(%d): %v, want %v", pid, err, ErrGone)
		}
	}
	if _, err := Children(pid); !errors.Is(err, ErrGone) {
		t.Errorf("Children of nothing: %v, want %v", err, ErrGone)
	}
}

func TestChildren(t *testing.T) {
	pid := start(t).Process.Pid
	kids, err := Children(os.Getpid())
	if err != nil || !slices.Contains(kids, pid) {
		t.Errorf("Children = %v, %v, want %d among them", kids, err, pid)
	}
	all, err := All()
	if err != nil {
		t.Fatal(err)
	}
	if got := childrenOf(all, os.Getpid()); !slices.Contains(got, pid) {
		t.Errorf("by a scan: %v, want %d among them", got, pid)
	}
}

func TestSockets(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	f, err := l.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	var st unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil {
		t.Fatal(err)
	}
	for _, open := range []bool{true, false} {
		if held, err := Sockets(os.Getpid()); err != nil || held[uint32(st.Ino)] != open {
			t.Errorf("Sockets = %v, %v, want %d among them: %v", held, err, st.Ino, open)
		}
		f.Close()
		l.Close()
	}
}

// TestUnit finds the main process among those of a control group.
func TestUnit(t *testing.T) {
	dir := t.TempDir()
	is := func(s Stat) bool { return s.Comm == "cat" }
	if _, err := Unit(dir, "a.service", is); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Unit without a group: %v", err)
	}
	group := filepath.Join(dir, "unified", "system.slice", "a.service")
	if err := os.MkdirAll(group, 0o755); err != nil {
		t.Fatal(err)
	}
	cat := start(t).Process.Pid
	for _, tt := range []struct {
		pids string
		want int
	}{
		{"", 0}, {"0\n-1\nx\n", 0}, {fmt.Sprintf("%d\n", os.Getpid()), 0},
		{fmt.Sprintf("%d\n%d\n", os.Getpid(), cat), 0}, // its parent is part of it, and is something else
		{fmt.Sprintf("1\n%d\n", cat), cat},
		{fmt.Sprintf("%d\n%s", cat, strings.Repeat("1\n", maxMembers)), cat},
	} {
		if err := os.WriteFile(filepath.Join(group, "cgroup.procs"), []byte(tt.pids), 0o600); err != nil {
			t.Fatal(err)
		}
		if got, err := Unit(dir, "a.service", is); got != tt.want || (tt.want == 0) != errors.Is(err, ErrNone) {
			t.Errorf("Unit of %.40q = %d, %v, want %d", tt.pids, got, err, tt.want)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add("17 (nginx) S 4" + tail)
	f.Fuzz(func(t *testing.T, text string) {
		if s, ok := ParseStat([]byte(text)); ok && (s.PID <= 0 || s.Parent < 0) {
			t.Errorf("ParseStat(%q) = %v", text, s)
		}
	})
}
