package ledger

import (
	"bufio"
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

	"github.com/hareconcile/hareconcile/reconcile/resource"
)

const (
	version = 1
	maxSize = 64 << 20 // bytes; an entry takes about 100
	maxLine = 64 << 10 // bytes
	// spare is how many lines about forgotten objects the file may have before it is made anew.
	spare = 4096
)

// The file is a header and then one entry per line: recording one object among ten
// thousand is one short write. It is never fsynced, because it lies in /run and is void
// after a boot.
type (
	header struct {
		Version   int    `json:"version"`
		BootID    string `json:"boot_id"`
		Namespace string `json:"network_namespace"`
	}
	entry struct {
		Kind  resource.Kind `json:"kind"`
		Name  string        `json:"name"`
		Prior string        `json:"prior,omitempty"`
		Gone  bool          `json:"gone,omitempty"`
	}
)

func read(path string) (header, objects, error) {
	f, err := os.Open(path)
	if err != nil {
		return header{}, nil, err
	}
	defer f.Close()
	return decode(f)
}

// decode reads a file. A last line without its end was broken off while it was written;
// the object was not touched yet, and the line does not count.
func decode(r io.Reader) (header, objects, error) {
	var h header
	list := objects{}
	in := bufio.NewReaderSize(r, maxLine)
	for size, n := 0, 1; ; n++ {
		line, err := in.ReadSlice('\n')
		size += len(line)
		switch {
		case err == io.EOF && n == 1:
			return h, nil, errors.New("it has no header")
		case err == io.EOF:
			return h, list, nil
		case err == bufio.ErrBufferFull, size > maxSize:
			return h, nil, fmt.Errorf("line %d: too long", n)
		case err != nil:
			return h, nil, err
		case n == 1:
			if err := json.Unmarshal(line, &h); err != nil {
				return h, nil, fmt.Errorf("line 1: %w", err)
			}
			if h.Version != version {
				return h, nil, fmt.Errorf("its version is %d; this program knows version %d", h.Version, version)
			}
			continue
		}
		var e entry
		if err := json.Unmarshal(line, &e); err != nil {
			return h, nil, fmt.Errorf("line %d: %w", n, err)
		}
		if e.Kind == "" || e.Name == "" {
			return h, nil, fmt.Errorf("line %d: an entry without kind or name", n)
		}
		list.apply(e)
	}
}

// write puts entries on disk and then into l.objects.
func (l *Ledger) write(entries ...entry) error {
	if l.appendable() {
		if err := l.append(entries); err != nil {
			l.close() // what is on disk is unknown: the next write makes the file anew
			return err
		}
		l.objects.apply(entries...)
		return nil
	}
	list := l.objects.clone()
	list.apply(entries...)
	if err := l.rewrite(list); err != nil {
		return err
	}
	l.objects = list
	return nil
}

func (l *Ledger) close() {
	_ = l.f.Close()
	l.f = nil
}

// appendable reports whether the file on disk is the one that we write, and tidy enough.
// If not, it is closed.
func (l *Ledger) appendable() bool {
	if l.f == nil {
		return false
	}
	ours, err := l.f.Stat()
	if err == nil && l.lines < l.count()*2+spare {
		onDisk, err := os.Stat(l.path)
		if err == nil && os.SameFile(ours, onDisk) {
			return true
		}
	}
	l.close()
	return false
}

func (l *Ledger) count() int {
	n := 0
	for _, names := range l.objects {
		n += len(names)
	}
	return n
}

// append writes entries in one call.
func (l *Ledger) append(entries []entry) error {
	b, err := encode(l.text[:0], entries)
	if err != nil {
		return err
	}
	if len(entries) <= maxRoom {
		l.text = b
	}
	l.lines += len(entries)
	_, err = l.f.Write(b)
	return err
}

// rewrite replaces the file on disk in one step.
func (l *Ledger) rewrite(list objects) error {
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
	b, err := encodeFile(l.header, list)
	if err != nil {
		return err
	}
	// One name, so that what a kill leaves behind is written over.
	f, err := os.OpenFile(l.path+".new", os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	if _, err = f.Write(b); err == nil {
		err = os.Rename(f.Name(), l.path)
	}
	if err != nil {
		return errors.Join(err, f.Close(), os.Remove(f.Name()))
	}
	l.f, l.lines = f, bytes.Count(b, []byte("\n"))
	return nil
}

// entries returns o in a fixed order.
func (o objects) entries() []entry {
	var out []entry
	for _, kind := range slices.Sorted(maps.Keys(o)) {
		for _, name := range slices.Sorted(maps.Keys(o[kind])) {
			out = append(out, entry{Kind: kind, Name: name, Prior: o[kind][name]})
		}
	}
	return out
}

// encodeFile returns a whole file.
func encodeFile(h header, list objects) ([]byte, error) {
	b, err := json.Marshal(h)
	if err != nil {
		return nil, err
	}
	return encode(append(b, '\n'), list.entries())
}

// encode appends entries to b. It refuses what decode would not read again.
func encode(b []byte, entries []entry) ([]byte, error) {
	b = slices.Grow(b, 96*len(entries)) // what most take
	for i := range entries {
		e, before := &entries[i], len(b)
		var err error
		if b, err = appendEntry(b, e); err != nil {
			return nil, err
		}
		if len(b)-before > maxLine || e.Kind == "" || e.Name == "" {
			return nil, fmt.Errorf("%.60q has no place in the ledger", e.Name)
		}
	}
	return b, nil
}

// appendEntry is json.Marshal, which costs more than making the object does, for entries
// that have only kind and name and nothing to escape.
func appendEntry(b []byte, e *entry) ([]byte, error) {
	if e.Prior == "" && plain(string(e.Kind)) && plain(e.Name) {
		b = append(append(b, `{"kind":"`...), e.Kind...)
		b = append(append(b, `","name":"`...), e.Name...)
		if e.Gone {
			return append(b, "\",\"gone\":true}\n"...), nil
		}
		return append(b, "\"}\n"...), nil
	}
	line, err := json.Marshal(e)
	return append(append(b, line...), '\n'), err
}

// plain reports whether JSON has s between quotes as it is. It looks at eight bytes at once:
// the names of a large table are half a megabyte.
func plain(s string) bool {
	for ; len(s) >= 8; s = s[8:] {
		// Each byte's top bit is kept out of it, so that no sum reaches the next byte.
		v := uint64(s[0]) | uint64(s[1])<<8 | uint64(s[2])<<16 | uint64(s[3])<<24 |
			uint64(s[4])<<32 | uint64(s[5])<<40 | uint64(s[6])<<48 | uint64(s[7])<<56
		const ones, tops = 0x0101010101010101, 0x8080808080808080
		low := v &^ tops
		fine := (low + (0x80-' ')*ones) &^ (low + ones) // neither control nor DEL
		fine &= (low ^ '"'*ones) + 0x7f*ones            // another
		fine &= (low ^ '\\'*ones) + 0x7f*ones
		if fine&^v&tops != tops {
			return false
		}
	}
	for i := range len(s) {
		if s[i] < ' ' || s[i] > '~' || s[i] == '"' || s[i] == '\\' {
			return false
		}
	}
	return true
}
