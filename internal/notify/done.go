package notify

import (
	"encoding/json"
	"errors"
	"io/fs"
	"log/slog"
	"maps"
	"os"
	"path/filepath"

	"github.com/hareconcile/hareconcile/internal/disk"
)

// done is which state of each instance a program has heard of. It is in /run: what a program
// did to the host, a boot undoes.
type done struct {
	path   string
	log    *slog.Logger
	states map[string]string // by subject
}

// maxDone bounds the file, in bytes.
const maxDone = 1 << 20

func openDone(dir, name string, log *slog.Logger) *done {
	d := &done{path: filepath.Join(dir, name+".json"), log: log, states: map[string]string{}}
	b, err := disk.Read(d.path, maxDone)
	if err == nil {
		err = json.Unmarshal(b, &d.states)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		log.Warn("it is not known what the program has heard of; it is told again", "err", err)
	}
	if d.states == nil {
		d.states = map[string]string{}
	}
	return d
}

func (d *done) has(subject, state string) bool { return d.states[subject] == state }

func (d *done) put(subject, state string) {
	d.states[subject] = state
	d.save()
}

func (d *done) forget(subject string) {
	if _, there := d.states[subject]; there {
		delete(d.states, subject)
		d.save()
	}
}

// save writes the states. Without a disk the program is told once more after a restart.
func (d *done) save() {
	b, err := json.Marshal(maps.Clone(d.states))
	if err == nil {
		err = os.MkdirAll(filepath.Dir(d.path), 0o700)
	}
	if err == nil {
		err = disk.Replace(d.path, b)
	}
	if err != nil {
		d.log.Warn("what the program has heard of is not written", "err", err)
	}
}
