package control

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"sync"
	"syscall"
)

// ErrLocked says that another process is the writer on this host.
var ErrLocked = errors.New("another agent or apply is at work on this host")

// A Lock makes this process the only agent or apply on the host until it ends or calls Release.
type Lock struct{ f *os.File }

// TakeLock takes the lock at path, which it makes where it is missing, or returns ErrLocked.
func TakeLock(path string) (*Lock, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		err = ErrLocked
	}
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("lock %s: %w", path, err)
	}
	return &Lock{f}, nil
}

// Release gives the lock up. The file stays: removing it would let two holders be at once.
func (l *Lock) Release() error { return l.f.Close() }

// Listen makes the socket at path, for root alone. Whoever holds the lock knows that a
// socket already there is a dead agent's, and replaces it.
func (l *Lock) Listen(path string) (net.Listener, error) {
	st, err := os.Lstat(path)
	if err == nil && st.Mode()&os.ModeSocket == 0 {
		return nil, fmt.Errorf("listen on %s: a file that is no socket is in the way", path)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil, err
	}
	// The socket is born where nobody else can reach it and moves when its mode is right.
	dir, err := os.MkdirTemp(filepath.Dir(path), ".s")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	born := filepath.Join(dir, "s")
	u, err := net.ListenUnix("unix", &net.UnixAddr{Name: born, Net: "unix"})
	if err != nil {
		return nil, fmt.Errorf("listen on %s: %w", path, err)
	}
	u.SetUnlinkOnClose(false)
	if err := errors.Join(os.Chmod(born, 0o600), os.Rename(born, path)); err != nil {
		u.Close()
		return nil, fmt.Errorf("listen on %s: %w", path, err)
	}
	return &listener{UnixListener: u, path: path}, nil
}

// A listener removes its socket when it closes, once: a second Close may come when the
// path is a successor's.
type listener struct {
	*net.UnixListener
	path   string
	remove sync.Once
}

// Close implements net.Listener.
func (l *listener) Close() error {
	l.remove.Do(func() { _ = os.Remove(l.path) })
	return l.UnixListener.Close()
}
