package control

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"testing"
)

func TestThereIsOneHolderOfTheLock(t *testing.T) {
	path := filepath.Join(t.TempDir(), "run", "lock")
	l, err := TakeLock(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := TakeLock(path); !errors.Is(err, ErrLocked) {
		t.Errorf("second TakeLock = %v, want ErrLocked", err)
	}
	if err := l.Release(); err != nil {
		t.Fatal(err)
	}
	l, err = TakeLock(path)
	if err != nil {
		t.Errorf("TakeLock after Release = %v", err)
	}
	l.Release()
}

func TestListenReplacesADeadAgentsSocketAndNothingElse(t *testing.T) {
	dir := t.TempDir()
	lock, err := TakeLock(filepath.Join(dir, "lock"))
	if err != nil {
		t.Fatal(err)
	}
	defer lock.Release()
	path := filepath.Join(dir, "s")
	dead, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	dead.SetUnlinkOnClose(false)
	dead.Close()
	if _, err := Dial(path); !errors.Is(err, ErrNoAgent) {
		t.Errorf("Dial of a dead socket = %v, want ErrNoAgent", err)
	}
	first, err := lock.Listen(path)
	if err != nil {
		t.Fatal(err)
	}
	if st, err := os.Stat(path); err != nil || st.Mode().Perm() != 0o600 {
		t.Errorf("socket mode = %v (%v), want 0600", st.Mode(), err)
	}
	first.Close()
	second, err := lock.Listen(path)
	if err != nil {
		t.Fatal(err)
	}
	first.Close() // a late second Close leaves the successor alone
	if _, err := Dial(path); err != nil {
		t.Errorf("Dial = %v", err)
	}
	second.Close()
	if _, err := Dial(path); !errors.Is(err, ErrNoAgent) {
		t.Errorf("Dial of no socket = %v, want ErrNoAgent", err)
	}

	if err := os.WriteFile(path, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := lock.Listen(path); err == nil {
		t.Error("Listen replaced a file that is no socket")
	}
}
