package successor

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/hareconcile/hareconcile/internal/nstest"
	"github.com/hareconcile/hareconcile/internal/vrrpd/wire"
)

// actEnv makes the test binary act one of the programs below, in a folder.
const actEnv, dirEnv = "TEST_SUCCESSOR_ACT", "TEST_SUCCESSOR_DIR"

func TestMain(m *testing.M) {
	act := os.Getenv(actEnv)
	if act == "" {
		os.Exit(m.Run())
	}
	runtime.LockOSThread()
	if err := acts[act](os.Getenv(dirEnv)); err != nil {
		fmt.Println("error:", err)
		os.Exit(1)
	}
}

var acts = map[string]func(dir string) error{
	"succeed":  succeed,
	"realtime": realtime,
}

// play runs one of the acts and returns what it prints.
func play(t *testing.T, act string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), actEnv+"="+act, dirEnv+"="+t.TempDir())
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", act, err, out)
	}
	return string(out)
}

// succeed hands a lock and a listener to itself; the successor says what became of them.
func succeed(dir string) error {
	l, err := Inherit()
	if err != nil {
		return err
	}
	if l != nil {
		return succeeded(dir, l)
	}
	lock, err := os.Create(filepath.Join(dir, "lock"))
	if err != nil {
		return err
	}
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX); err != nil {
		return err
	}
	lis, err := net.ListenUnix("unix", &net.UnixAddr{Name: filepath.Join(dir, "sock")})
	if err != nil {
		return err
	}
	f, err := lis.File()
	if err != nil {
		return err
	}
	l = &Legacy{State: json.RawMessage(`{"pid":` + fmt.Sprint(os.Getpid()) + `}`), Lock: int(lock.Fd()), Listener: int(f.Fd()), Stopped: 1, Sockets: wire.Handed{Frames: -1}}
	p := Program{filepath.Join(dir, "nothing"), os.Args}
	if err := Exec(p, l); !errors.Is(err, syscall.ENOENT) {
		return fmt.Errorf("exec of nothing: %w", err)
	}
	for _, fd := range l.files() {
		if flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err != nil || flags&unix.FD_CLOEXEC == 0 {
			return fmt.Errorf("a failed exec left file %d open for children (%w)", fd, err)
		}
	}
	if p, err = OnDisk(); err != nil {
		return err
	}
	return Exec(p, l)
}

func succeeded(dir string, l *Legacy) error {
	other, err := os.Open(filepath.Join(dir, "lock"))
	if err != nil {
		return err
	}
	if err := unix.Flock(int(other.Fd()), unix.LOCK_EX|unix.LOCK_NB); !errors.Is(err, unix.EWOULDBLOCK) {
		return fmt.Errorf("lock: %w, want it held", err)
	}
	if err := unix.Flock(l.Lock, unix.LOCK_EX|unix.LOCK_NB); err != nil {
		return fmt.Errorf("lock is not ours: %w", err)
	}
	lis, err := net.FileListener(os.NewFile(uintptr(l.Listener), "listener"))
	if err != nil {
		return err
	}
	c, err := net.Dial("unix", lis.Addr().String())
	if err != nil {
		return err
	}
	_ = c.Close()
	if flags, err := unix.FcntlInt(uintptr(l.Lock), unix.F_GETFD, 0); err != nil || flags&unix.FD_CLOEXEC == 0 {
		return fmt.Errorf("the lock would leak to children (%w)", err)
	}
	if again, err := Inherit(); again != nil || err != nil {
		return fmt.Errorf("inherited twice: %v, %w", again, err)
	}
	var state struct {
		PID int `json:"pid"`
	}
	if err := json.Unmarshal(l.State, &state); err != nil || state.PID != os.Getpid() {
		return fmt.Errorf("process %d is not its predecessor %d (%w)", os.Getpid(), state.PID, err)
	}
	fmt.Println("done", int64(l.Stopped))
	return nil
}

func TestSuccessorGoesOnAsTheSameProcess(t *testing.T) {
	if got := play(t, "succeed"); got != "done 1\n" {
		t.Errorf("the successor says %q", got)
	}
}

// realtime turns SCHED_RR on and off again, each time for all threads of a successor.
func realtime(string) error {
	l, err := Inherit()
	if err != nil {
		return err
	}
	if l == nil {
		l = &Legacy{State: []byte("0"), Lock: 0, Listener: -1, Sockets: wire.Handed{Frames: -1}}
	}
	for range 3 { // threads that the runtime did not have at its start
		go func() {
			runtime.LockOSThread()
			select {}
		}()
	}
	runtime.Gosched()
	policies, locked, err := tasks()
	if err != nil {
		return err
	}
	fmt.Println(len(policies), Realtime(), locked)
	if l.Stopped++; l.Stopped == 3 {
		return nil
	}
	if err := SetRealtime(l.Stopped == 1, 0); err != nil {
		return err
	}
	return Exec(Running(), l)
}

// tasks returns the scheduling policies that threads of this process have, and whether
// its memory is locked once it was asked to be.
func tasks() (map[string]int, bool, error) {
	if Realtime() {
		if err := LockMemory(); err != nil {
			return nil, false, err
		}
	}
	stats, err := filepath.Glob("/proc/self/task/*/stat")
	if err != nil {
		return nil, false, err
	}
	policies := map[string]int{}
	for _, path := range stats {
		b, err := os.ReadFile(path)
		if err != nil {
			return nil, false, err
		}
		fields := strings.Fields(string(b[strings.LastIndexByte(string(b), ')'):]))
		policies[fields[39]]++ // field 41 of proc(5), from the second one on
	}
	f, err := os.Open("/proc/self/status")
	if err != nil {
		return nil, false, err
	}
	defer f.Close()
	for s := bufio.NewScanner(f); s.Scan(); {
		if kb, ok := strings.CutPrefix(s.Text(), "VmLck:"); ok {
			return policies, !strings.HasSuffix(kb, "\t       0 kB"), nil
		}
	}
	return policies, false, errors.New("no VmLck")
}

func TestRealtimeIsForAllThreads(t *testing.T) {
	nstest.Need(t, "root")
	want := "1 false false\n1 true true\n1 false false\n"
	if got := play(t, "realtime"); got != want {
		t.Errorf("number of policies, SCHED_RR, locked memory:\n%swant\n%s", got, want)
	}
}

func TestTry(t *testing.T) {
	dir := t.TempDir()
	script := func(name, text string, mode os.FileMode) Program {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), mode); err != nil {
			t.Fatal(err)
		}
		return Program{Path: path}
	}
	for _, tt := range []struct {
		name string
		p    Program
		want string // of the error
		says string
	}{
		{"one that can", script("good", "#!/bin/sh\ntest \"$1\" = -try && cat > /dev/null && echo program 7", 0o755), "", "program 7"},
		{"one that reads the legacy", script("grep", "#!/bin/sh\ngrep -q '\"lock\":5'", 0o755), "", ""},
		{"one that refuses", script("bad", "#!/bin/sh\necho no\necho thanks\nexit 3", 0o755), "exit status 3: no thanks", ""},
		{"one that hangs", script("slow", "#!/bin/sh\nexec sleep 100", 0o755), "deadline exceeded", ""},
		{"one that talks without end", script("loud", "#!/bin/sh\nyes | head -c 100000\nexit 1", 0o755), "exit status 1: y y", ""},
		{"garbage", script("garbage", "\x7fELF and then nothing", 0o755), "exec format error", ""},
		{"a file that is no program", script("plain", "hello", 0o644), "permission denied", ""},
		{"nothing", Program{Path: filepath.Join(dir, "nothing")}, "no such file", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			ctx, cancel := t.Context(), context.CancelFunc(func() {})
			if tt.want == "deadline exceeded" {
				ctx, cancel = context.WithTimeout(ctx, 50*time.Millisecond)
			}
			defer cancel()
			says, err := Try(ctx, tt.p, &Legacy{Lock: 5, State: []byte("{}")})
			if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) || says != tt.says {
				t.Errorf("Try = %q, %v, want %q and an error with %q", says, err, tt.says, tt.want)
			}
			if err != nil && len(err.Error()) > 2*tryOutput {
				t.Errorf("an error of %d bytes", len(err.Error()))
			}
		})
	}
}

func TestReadRefuses(t *testing.T) {
	for name, text := range map[string]string{
		"nothing":               "",
		"no version":            "{}",
		"another version":       `{"version":2,"state":{}}`,
		"a list":                "[]",
		"a socket that is none": `{"version":1,"sockets":[7]}`,
	} {
		if l, err := Read(strings.NewReader(text)); err == nil {
			t.Errorf("%s: read as %+v", name, l)
		}
	}
}

func TestInheritRefusesWhatIsNoLegacy(t *testing.T) {
	f, err := os.Create(filepath.Join(t.TempDir(), "file"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for _, text := range []string{"x", "-1", "9999", fmt.Sprint(f.Fd())} {
		t.Setenv(envName, text)
		if l, err := Inherit(); err == nil {
			t.Errorf("%s=%s: inherited %+v", envName, text, l)
		}
	}
}

func FuzzRead(f *testing.F) {
	for _, s := range []string{
		`{"version":1,"state":{"a":[1]},"lock":3,"listener":-1,"sockets":{"frames":4,"ears":[{"port":{"Index":2,"IPv6":true},"device":"eth0","peers":5,"others":6}]},"stopped":7}`,
		`{"version":1}`, `{"version":2}`, `{`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		l, err := Read(strings.NewReader(string(b)))
		if err != nil {
			return
		}
		if l.State == nil {
			l.State = json.RawMessage("null")
		}
		file, err := l.write()
		if err != nil {
			t.Fatalf("what was read is not written: %v", err)
		}
		defer file.Close()
		if _, err := file.Seek(0, 0); err != nil {
			t.Fatal(err)
		}
		if again, err := Read(file); err != nil || again.Lock != l.Lock || len(again.Sockets.Ears) != len(l.Sockets.Ears) {
			t.Errorf("%+v is read back as %+v (%v)", l, again, err)
		}
	})
}
