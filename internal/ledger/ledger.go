// Package ledger records which kernel objects without a mark of their own are ours.
package ledger

import (
	"errors"
	"fmt"
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

// A Ledger is the list of our objects. It holds for one boot and one network namespace,
// as the objects do: what another boot or namespace wrote is kept beside it, as NAME.old,
// once this one writes. Its methods may be called from several goroutines.
type Ledger struct {
	path   string
	header header

	mu      sync.Mutex
	objects objects
	old     bool     // the file on disk is of another boot or namespace
	f       *os.File // open for appending; nil before the first write
	lines   int      // written to f since it was made
	entries []entry  // room for those of a write
	text    []byte   // room for what is written of them
}

// objects holds what is recorded with each object, by kind and by resource.ID.Name.
type objects map[resource.Kind]map[string]string

// Open reads the ledger in dir, which may not exist yet. It writes nothing.
func Open(dir string) (*Ledger, error) {
	here, err := current()
	if err != nil {
		return nil, fmt.Errorf("open the ledger: %w", err)
	}
	l := &Ledger{path: filepath.Join(dir, Name), header: here, objects: objects{}}
	found, list, err := read(l.path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return nil, fmt.Errorf("read the ledger %s: %w", l.path, err)
	case found != here:
		l.old = true
	default:
		l.objects = list
	}
	return l, nil
}

// current returns the header for this boot and namespace.
func current() (header, error) {
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return header{}, err
	}
	ns, err := os.Readlink("/proc/thread-self/ns/net")
	if err != nil {
		return header{}, err
	}
	return header{version, strings.TrimSpace(string(boot)), ns}, nil
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
	prior, ok := l.objects[id.Kind][id.Name]
	return prior, ok
}

// IDs returns our objects of one kind, sorted.
func (l *Ledger) IDs(kind resource.Kind) []resource.ID {
	l.mu.Lock()
	defer l.mu.Unlock()
	names := slices.Sorted(maps.Keys(l.objects[kind]))
	out := make([]resource.ID, len(names))
	for i, name := range names {
		out[i] = resource.ID{Kind: kind, Name: name}
	}
	return out
}

// Count returns how many objects of one kind are ours.
func (l *Ledger) Count(kind resource.Kind) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.objects[kind])
}

// Record makes the object ours and is on disk when it returns: it is called before the
// object is made. An object that is ours already keeps what was recorded first.
func (l *Ledger) Record(id resource.ID, prior string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if _, ok := l.objects[id.Kind][id.Name]; ok {
		return nil
	}
	e := entry{Kind: id.Kind, Name: id.Name, Prior: prior}
	if err := l.write(e); err != nil {
		return fmt.Errorf("record %s in the ledger: %w", id, err)
	}
	return nil
}

// RecordAll is Record for many objects with nothing to remember of each, in one write. It
// makes all of them ours or none. It leaves those in ids that were not ours before, as
// slices.DeleteFunc does, and returns them.
func (l *Ledger) RecordAll(ids []resource.ID) (fresh []resource.ID, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	var kind resource.Kind // of names
	var names map[string]string
	fresh = slices.DeleteFunc(ids, func(id resource.ID) bool {
		if id.Kind != kind {
			kind, names = id.Kind, l.objects[id.Kind]
		}
		_, ok := names[id.Name]
		return ok
	})
	if len(fresh) == 0 {
		return nil, nil
	}
	entries := l.room(len(fresh))
	for _, id := range fresh {
		entries = append(entries, entry{Kind: id.Kind, Name: id.Name})
	}
	if err := l.write(entries...); err != nil {
		return nil, fmt.Errorf("record %d objects in the ledger: %w", len(fresh), err)
	}
	return fresh, nil
}

// Amend replaces what is recorded with an object, and makes it ours if it is not.
func (l *Ledger) Amend(id resource.ID, prior string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if have, ok := l.objects[id.Kind][id.Name]; ok && have == prior {
		return nil
	}
	if err := l.write(entry{Kind: id.Kind, Name: id.Name, Prior: prior}); err != nil {
		return fmt.Errorf("record %s in the ledger: %w", id, err)
	}
	return nil
}

// Forget ends our ownership of the objects. It is called after they are gone.
func (l *Ledger) Forget(ids ...resource.ID) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	gone := l.room(len(ids))
	for _, id := range ids {
		if _, ok := l.objects[id.Kind][id.Name]; ok {
			gone = append(gone, entry{Kind: id.Kind, Name: id.Name, Gone: true})
		}
	}
	return l.forget(gone)
}

// ForgetIf is Forget for the objects of one kind whose names which picks.
func (l *Ledger) ForgetIf(kind resource.Kind, which func(name string) bool) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	var gone []entry
	for name := range l.objects[kind] {
		if which(name) {
			gone = append(gone, entry{Kind: kind, Name: name, Gone: true})
		}
	}
	return l.forget(gone)
}

func (l *Ledger) forget(gone []entry) error {
	if len(gone) == 0 {
		return nil
	}
	if err := l.write(gone...); err != nil {
		return fmt.Errorf("forget %d objects in the ledger: %w", len(gone), err)
	}
	return nil
}

// Retain ends our ownership of the objects of one kind whose names do not exist any more:
// what appears under such a name later is somebody else's. It is on disk with the next
// write, since looking must work where writing does not.
func (l *Ledger) Retain(kind resource.Kind, exists func(name string) bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	before := len(l.objects[kind])
	maps.DeleteFunc(l.objects[kind], func(name, _ string) bool { return !exists(name) })
	if len(l.objects[kind]) < before && l.f != nil {
		l.close() // the next write makes the file anew
	}
}

// maxRoom is how many entries room is kept for: more are rare.
const maxRoom = 4096

// room returns an empty list for n entries, which the next call writes over.
func (l *Ledger) room(n int) []entry {
	if n > maxRoom {
		return make([]entry, 0, n)
	}
	l.entries = slices.Grow(l.entries[:0], n)
	return l.entries
}

// apply changes o as entries say, most of which are of one kind.
func (o objects) apply(entries ...entry) {
	var kind resource.Kind
	var names map[string]string
	for i := range entries {
		e := &entries[i]
		if names == nil || e.Kind != kind {
			kind, names = e.Kind, o[e.Kind]
		}
		switch {
		case e.Gone:
			delete(names, e.Name)
		case names == nil:
			names = map[string]string{e.Name: e.Prior}
			o[kind] = names
		default:
			names[e.Name] = e.Prior
		}
	}
}

func (o objects) clone() objects {
	out := make(objects, len(o))
	for kind, names := range o {
		out[kind] = maps.Clone(names)
	}
	return out
}
