// Package disk replaces files so that a crash at any moment leaves the old one or the new one.
package disk

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// Access is whose a file is and who may use it.
type Access struct {
	Mode     fs.FileMode
	UID, GID int // -1 is this process's own
}

// private is this process's own, and nobody else's.
var private = Access{0o600, -1, -1}

// Replace puts b in the place of the file name, readable by its owner alone, and makes the
// folder if it is not there. It returns once the change is on the disk; on an error the old
// file stays. A link of that name is replaced, and not what it leads to. It is not for
// concurrent use with one name.
func Replace(name string, b []byte) error { return ReplaceAs(name, b, private) }

// ReplaceAs is Replace for a file that is not this process's own matter. Nobody finds it under
// its name before it is as a says.
func ReplaceAs(name string, b []byte, a Access) (err error) {
	dir := filepath.Dir(name)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	sweep(name)
	// Others may write to the folder: nobody foretells a random name, and what has it is not
	// followed, waited for or written to.
	f, err := os.OpenFile(name+suffix(), os.O_WRONLY|os.O_CREATE|os.O_EXCL|syscall.O_NOFOLLOW, 0o600)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = f.Close()
			_ = os.Remove(f.Name())
		}
	}()
	if _, err = f.Write(b); err != nil {
		return err
	}
	// The mode first: it can be changed by the owner alone, or with CAP_FOWNER (chmod(2)).
	if err = f.Chmod(a.Mode.Perm()); err != nil {
		return err
	}
	if a.UID >= 0 || a.GID >= 0 {
		if err = f.Chown(a.UID, a.GID); err != nil {
			return err
		}
	}
	if err = f.Sync(); err != nil {
		return err
	}
	if err = f.Close(); err != nil {
		return err
	}
	if err = os.Rename(f.Name(), name); err != nil {
		return err
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer func() { _ = d.Close() }()
	return d.Sync()
}

// What a new file is called until it has its name: NAME.new-RANDOM.
const marker, random = ".new-", 26 // the length of rand.Text

func suffix() string { return marker + rand.Text() }

// sweep removes what a kill left behind of earlier replacements of name.
func sweep(name string) {
	entries, _ := os.ReadDir(filepath.Dir(name)) // the replacement says what is wrong with it
	for _, e := range entries {
		rest, ok := strings.CutPrefix(e.Name(), filepath.Base(name)+marker)
		if ok && len(rest) == random && e.Type().IsRegular() {
			_ = os.Remove(filepath.Join(filepath.Dir(name), e.Name())) // else it stays
		}
	}
}

// Read returns a regular file of at most limit bytes, or nil if there is none. It never waits,
// and follows no link of that name: where others may write to the folder, it would read for
// them what only this process may.
func Read(name string, limit int64) ([]byte, error) { return read(name, limit, syscall.O_NOFOLLOW) }

// ReadLinked is Read for a name that may be a link.
func ReadLinked(name string, limit int64) ([]byte, error) { return read(name, limit, 0) }

func read(name string, limit int64, flags int) ([]byte, error) {
	// Opening a FIFO would wait for a writer (fifo(7)).
	f, err := os.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK|flags, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if errors.Is(err, syscall.ELOOP) {
		return nil, fmt.Errorf("read %s: it is a link, want a regular file", name)
	}
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	st, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !st.Mode().IsRegular() {
		return nil, fmt.Errorf("read %s: it is no regular file", name)
	}
	b, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	if int64(len(b)) > limit {
		return nil, fmt.Errorf("%s is longer than %d bytes", name, limit)
	}
	return b, nil
}
