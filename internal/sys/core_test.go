package sys

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

const crashVariable = "HARECONCILE_TEST_CRASH"

func TestMain(m *testing.M) {
	switch os.Getenv(crashVariable) {
	case "sealed":
		if err := NoCore(); err != nil {
			panic(err)
		}
		fallthrough
	case "open":
		if err := unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{Cur: unix.RLIM_INFINITY, Max: unix.RLIM_INFINITY}); err != nil {
			panic(err)
		}
		panic("as asked for")
	}
	os.Exit(m.Run())
}

// TestNoCoreIsDumped of a program that panics, with GOTRACEBACK=crash and no limit, where
// another one leaves a core, if this kernel lets it.
func TestNoCoreIsDumped(t *testing.T) {
	for _, kind := range []string{"open", "sealed"} {
		dir := t.TempDir()
		cmd := exec.Command(os.Args[0])
		cmd.Env = []string{crashVariable + "=" + kind, "GOTRACEBACK=crash"}
		cmd.Dir = dir
		var out bytes.Buffer
		cmd.Stderr = &out
		var exit *exec.ExitError
		if err := cmd.Run(); !errors.As(err, &exit) || !bytes.Contains(out.Bytes(), []byte("as asked for")) {
			t.Fatalf("%s: %v, want a crash:\n%s", kind, err, &out)
		}
		w, ok := exit.Sys().(syscall.WaitStatus)
		if !ok || !w.Signaled() {
			t.Fatalf("%s: %v, want a signal", kind, exit)
		}
		files, err := filepath.Glob(filepath.Join(dir, "*"))
		if err != nil {
			t.Fatal(err)
		}
		if kind == "open" {
			t.Logf("without it: core dumped %v, files %v", w.CoreDump(), files)
			continue
		}
		if w.CoreDump() || len(files) > 0 {
			t.Errorf("a core was dumped: %v, %v", w.CoreDump(), files)
		}
	}
}
