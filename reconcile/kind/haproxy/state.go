package haproxy

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/hareconcile/hareconcile/internal/disk"
)

// maxFile bounds the files that are read.
const maxFile = 16 << 20

// A record is what is remembered of one managed file, beside the last good one.
type record struct {
	Managed    Managed
	Written    string    // fingerprint of the text that we wrote last, or were about to write
	Replaced   string    `json:",omitempty"` // that of the one before, which is there if we ended too soon
	ReloadedAt time.Time // zero if never
	// Failed is the fingerprint of a text with which a reload failed, when and why.
	Failed   string    `json:",omitempty"`
	FailedAt time.Time `json:",omitzero"`
	Reason   string    `json:",omitempty"`
	Maps     []string  `json:",omitempty"` // files that we wrote
	Grown    *grown    `json:",omitempty"`
	// Loading is the fingerprint of a text of which a reload has begun and not ended.
	Loading string `json:",omitempty"`
	// Before is what was managed when this was written.
	Before Managed `json:"-"`
	// Servers are the values that we gave, by backend/name, where people may set others.
	Servers map[string]values `json:",omitempty"`
}

// values are those of a server that people may set.
type values struct {
	Admin  string
	Weight int
}

// sum returns the fingerprint of a text.
func sum(text string) string {
	h := sha256.Sum256([]byte(text))
	return hex.EncodeToString(h[:])
}

// statePath returns the path in the state folder for what is kept of a managed file.
func (n *node) statePath(path, ext string) string {
	return filepath.Join(n.State, sum(path)[:16]+ext)
}

// record returns what is remembered of m.
func (n *node) record(m Managed) (record, error) {
	r, err := readRecord(n.statePath(m.Path, ".json"))
	r.Before, r.Managed = r.Managed, m
	return r, err
}

func readRecord(path string) (record, error) {
	var r record
	b, err := disk.Read(path, maxFile)
	if err == nil && b != nil {
		err = json.Unmarshal(b, &r)
	}
	if err != nil {
		return record{}, fmt.Errorf("read what is remembered of haproxy in %s: %w", path, err)
	}
	return r, nil
}

// records returns all that is remembered.
func (n *node) records() ([]record, error) {
	entries, err := os.ReadDir(n.State)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	var out []record
	for _, e := range entries {
		if !strings.HasSuffix(e.Name(), ".json") {
			continue
		}
		r, err := readRecord(filepath.Join(n.State, e.Name()))
		if err != nil {
			return nil, err
		}
		if r.Managed.Path != "" {
			out = append(out, r)
		}
	}
	return out, nil
}

// remember keeps r.
func (n *node) remember(r record) error {
	b, err := json.Marshal(r)
	if err == nil {
		err = disk.Replace(n.statePath(r.Managed.Path, ".json"), append(b, '\n'))
	}
	if err != nil {
		return fmt.Errorf("remember what was done to haproxy: %w", err)
	}
	return nil
}

// forget drops what is remembered of a file, unless there are maps of it.
func (n *node) forget(r record) error {
	if len(r.Maps) > 0 {
		r.Written = ""
		return n.remember(r)
	}
	for _, ext := range []string{".json", ".good"} {
		if err := os.Remove(n.statePath(r.Managed.Path, ext)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// replace puts text in the place of a file, whose owner and mode stay; a new one has mode. On
// an error the old file stays.
func replace(path, text string, mode fs.FileMode) error {
	a := disk.Access{Mode: mode, UID: -1, GID: -1}
	st, err := os.Lstat(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err == nil && st.Mode().IsRegular() {
		sys := st.Sys().(*syscall.Stat_t)
		a = disk.Access{Mode: st.Mode(), UID: int(sys.Uid), GID: int(sys.Gid)}
	}
	if err := disk.ReplaceAs(path, []byte(text), a); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return nil
}
