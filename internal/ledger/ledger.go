// Package ledger records which kernel objects without a mark of their own are ours.
package ledger

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/hareconcile/hareconcile/reconcile/resource"
)

// Name is the ledger's file in the folder that Open gets.
const Name = "agent.ledger"

const (
	version = 1
	maxSize = 64 << 20 // bytes; a record takes about 100
)

// A Ledger is the list of our objects. It holds for one boot and one network namespace,
// as the objects do: what another boot or namespace wrote is kept beside it, as NAME.old,
// once this one writes. Its methods may be called from several goroutines.
type Ledger struct {
	path string
	mu   sync.Mutex
	file file
	old  bool // the file on disk is of another boot or namespace
}

// file is the format on disk. Unlike other files of ours it is never fsynced: it lies in
// /run and is void after a boot.
type file struct {
	Version   int               `json:"version"`
	BootID    string            `json:"boot_id"`
	Namespace string            `json:"network_namespace"`
	Objects   map[string]record `json:"objects"` // by resource.ID.String()
}

// record is what is known of one object.
type record struct {
	Prior string `json:"prior,omitempty"`
}

// Open reads the ledger in dir, which may not exist yet.
func Open(dir string) (*Ledger, error) {
	here, err := current()
	if err != nil {
		return nil, fmt.Errorf("open the ledger: %w", err)
	}
	l := &Ledger{path: filepath.Join(dir, Name), file: here}
	found, err := read(l.path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return l, nil
	case err != nil:
		return nil, fmt.Errorf("read the ledger %s: %w", l.path, err)
	case found.BootID != here.BootID || found.Namespace != here.Namespace:
		l.old = true
		return l, nil
	}
	maps.Copy(l.file.Objects, found.Objects)
	return l, nil
}

// current returns an empty file for this boot and namespace.
func current() (file, error) {
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return file{}, err
	}
	ns, err := os.Readlink("/proc/thread-self/ns/net")
	if err != nil {
		return file{}, err
	}
	return file{version, strings.TrimSpace(string(boot)), ns, map[string]record{}}, nil
}

func read(path string) (file, error) {
	f, err := os.Open(path)
	if err != nil {
		return file{}, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxSize+1))
	if err != nil {
		return file{}, err
	}
	if len(b) > maxSize {
		return file{}, fmt.Errorf("it is larger than %d bytes", maxSize)
	}
	var v struct {
		Version int `json:"version"`
	}
	if err := json.Unmarshal(b, &v); err != nil {
		return file{}, err
	}
	if v.Version != version {
		return file{}, fmt.Errorf("its version is %d; this program knows version %d", v.Version, version)
	}
	var out file
	err = json.Unmarshal(b, &out)
	return out, err
}

// Has reports whether the object is ours.
func (l *Ledger) Has(id resource.ID) bool {
	_, ok := l.Prior(id)
	return ok
}

// Prior returns what was recorded with the object, and whether the object is ours.
func (l *Ledger) Prior(id resource.ID) (string, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	r, ok := l.file.Objects[id.String()]
	return r.Prior, ok
}

// IDs returns our objects of one kind, sorted.
func (l *Ledger) IDs(kind resource.Kind) []resource.ID {
	l.mu.Lock()
	defer l.mu.Unlock()
	var out []resource.ID
	for _, key := range slices.Sorted(maps.Keys(l.file.Objects)) {
		if name, ok := strings.CutPrefix(key, string(kind)+"/"); ok {
			out = append(out, resource.ID{Kind: kind, Name: name})
		}
	}
	return out
}

// Record makes the object ours and is on disk when it returns: it is called before the
// object is made. An object that is ours already keeps what was recorded first.
func (l *Ledger) Record(id resource.ID, prior string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if _, ok := l.file.Objects[id.String()]; ok {
		return nil
	}
	l.file.Objects[id.String()] = record{prior}
	if err := l.write(); err != nil {
		delete(l.file.Objects, id.String())
		return fmt.Errorf("record %s in the ledger: %w", id, err)
	}
	return nil
}

// Forget ends our ownership of the objects. It is called after they are gone.
func (l *Ledger) Forget(ids ...resource.ID) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	removed := map[string]record{}
	for _, id := range ids {
		if r, ok := l.file.Objects[id.String()]; ok {
			removed[id.String()] = r
			delete(l.file.Objects, id.String())
		}
	}
	if len(removed) == 0 {
		return nil
	}
	if err := l.write(); err != nil {
		maps.Copy(l.file.Objects, removed)
		return fmt.Errorf("forget %s in the ledger: %w", ids, err)
	}
	return nil
}

// write replaces the file on disk in one step.
func (l *Ledger) write() error {
	dir := filepath.Dir(l.path)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	if l.old {
		if err := os.Rename(l.path, l.path+".old"); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		l.old = false
	}
	var b bytes.Buffer
	if err := json.NewEncoder(&b).Encode(l.file); err != nil {
		return err
	}
	f, err := os.CreateTemp(dir, "."+Name+"-*") // 0600
	if err != nil {
		return err
	}
	_, err = f.Write(b.Bytes())
	err = errors.Join(err, f.Close())
	if err == nil {
		err = os.Rename(f.Name(), l.path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return nil
}
