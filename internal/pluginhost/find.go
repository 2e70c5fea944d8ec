package pluginhost

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/hareconcile/hareconcile/internal/spawn"
	"github.com/hareconcile/hareconcile/internal/spec"
	"github.com/hareconcile/hareconcile/plugins/proto"
)

// ValidName is what the name of a plugin matches.
var ValidName = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,62}[a-z0-9])?$`)

// A binary is a plugin's file, opened once: what is judged, hashed and run is the same file,
// whatever becomes of its path meanwhile.
type binary struct {
	path string
	file *os.File
	id   identity
}

// An identity tells one state of a file from another.
type identity struct {
	dev, ino uint64
	size     int64
	changed  time.Time // ctime: nobody can set it back
}

func identityOf(info os.FileInfo) identity {
	st := info.Sys().(*syscall.Stat_t)
	return identity{uint64(st.Dev), st.Ino, st.Size, time.Unix(int64(st.Ctim.Sec), int64(st.Ctim.Nsec))}
}

// Inspect returns the path of a plugin's binary in a folder, and its hash as lock files have
// it, or why a host would not run it.
func Inspect(dir, name string) (path, hash string, err error) {
	b, err := find(dir, name)
	if err != nil {
		return "", "", err
	}
	hash, err = b.hash()
	return b.path, hash, errors.Join(err, b.file.Close())
}

// find opens a plugin's binary. Nobody but root and the host's own user may be able to change
// the binary, what interprets it, or the way to them.
func find(dir, name string) (*binary, error) {
	if !ValidName.MatchString(name) {
		return nil, fmt.Errorf("%q is no name of a plugin", name)
	}
	folder, err := os.Open(dir)
	if err != nil {
		return nil, fmt.Errorf("plugin folder: %w", err)
	}
	defer func() { _ = folder.Close() }() // it was only looked at
	info, err := folder.Stat()
	switch {
	case err != nil:
		return nil, fmt.Errorf("plugin folder: %w", err)
	case !info.IsDir():
		return nil, fmt.Errorf("plugin folder %s is no folder", dir)
	}
	if err := spawn.Guarded(dir, info); err != nil {
		return nil, err
	}
	path := filepath.Join(dir, proto.BinaryPrefix+name)
	// Not to block on a FIFO, and not to follow a link.
	fd, err := unix.Openat(int(folder.Fd()), filepath.Base(path), unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	switch {
	case errors.Is(err, unix.ELOOP):
		return nil, fmt.Errorf("binary %s is no regular file", path)
	case err != nil:
		return nil, fmt.Errorf("binary: %w", &os.PathError{Op: "open", Path: path, Err: err})
	}
	b := &binary{path: path, file: os.NewFile(uintptr(fd), path)}
	err = b.judge()
	if err == nil {
		_, err = spawn.Program(path) // also the way to it, and an interpreter
	}
	if err != nil {
		return nil, errors.Join(err, b.file.Close())
	}
	return b, nil
}

func (b *binary) judge() error {
	info, err := b.file.Stat()
	if err != nil {
		return err
	}
	b.id = identityOf(info)
	switch {
	case !info.Mode().IsRegular():
		return fmt.Errorf("binary %s is no regular file", b.path)
	case info.Mode()&(os.ModeSetuid|os.ModeSetgid) != 0:
		return fmt.Errorf("binary %s is setuid or setgid", b.path)
	case info.Mode()&0o111 == 0:
		return fmt.Errorf("binary %s is not executable", b.path)
	}
	return spawn.Guarded(b.path, info)
}

// Platform is how a lock file names this one.
const Platform = runtime.GOOS + "_" + runtime.GOARCH

// hash returns the SHA-256 of the binary as a lock file has it.
func (b *binary) hash() (string, error) {
	sum := sha256.New()
	if _, err := io.Copy(sum, io.NewSectionReader(b.file, 0, b.id.size)); err != nil {
		return "", fmt.Errorf("hash %s: %w", b.path, err)
	}
	return "sha256:" + hex.EncodeToString(sum.Sum(nil)), nil
}

// matches returns an error unless the binary is the one that a lock's entry lists.
func (b *binary) matches(p spec.LockedPlugin) error {
	want, ok := p.Hashes[Platform]
	if !ok {
		return fmt.Errorf("the lock file lists no hash of it for %s: run hareconcile plugin lock on such a host and commit", Platform)
	}
	got, err := b.hash()
	if err != nil {
		return err
	}
	if got != want {
		// Shortened, because a report keeps 300 bytes, and what to do stands at the end.
		return fmt.Errorf("binary %s (%.19s) is not the one in the lock file (%.19s): "+
			"if the change is meant, run hareconcile plugin lock and commit; if not, install the locked one", b.path, got, want)
	}
	return nil
}
