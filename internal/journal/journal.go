// Package journal keeps on disk what an agent is about to do and what became of it: the
// attempt under way, the revisions that failed, what people suspended, and the history. With it
// a crash at any moment leads to the old revision or to the new one.
package journal

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/hareconcile/hareconcile/internal/disk"
)

// The files in the data folder, and how much of them is read and kept.
const (
	attemptFile    = "journal.json"
	quarantineFile = "quarantine.json"
	suspendFile    = "suspend.json"
	historyFile    = "history.json"
	format         = "1"
	maxBytes       = 4 << 20
	maxQuarantined = 100
	maxHistory     = 1000
)

// An Attempt is a revision on its way to being the last good one, or back.
type Attempt struct {
	Revision string `json:"revision"`        // the commit that is tried
	Prior    string `json:"prior,omitempty"` // the last good one; empty if there was none
	// Deadline is when the revision is undone unless it was verified.
	Deadline time.Time `json:"deadline"`
	BootID   string    `json:"boot_id"`
	// Reverting says that it was given up: whoever reads this goes back to Prior.
	Reverting bool `json:"reverting,omitempty"`
	// Reason is why, where it is Reverting.
	Reason string `json:"reason,omitempty"`
}

// A Quarantined revision failed, and is not tried again until a person says so.
type Quarantined struct {
	Commit  string    `json:"commit"`
	Subject string    `json:"subject,omitempty"`
	Reason  string    `json:"reason"`
	Time    time.Time `json:"time"`
}

// A Suspension keeps an agent from new revisions and from correcting drift.
type Suspension struct {
	Reason string    `json:"reason"`
	By     string    `json:"by"` // such as "uid 0"
	Since  time.Time `json:"since"`
	Until  time.Time `json:"until,omitzero"` // zero: until resume
}

// An Outcome is what became of a revision.
type Outcome string

// The outcomes.
const (
	Verified   Outcome = "verified"
	RolledBack Outcome = "rolled back"
	Refused    Outcome = "refused"
	Superseded Outcome = "superseded" // a newer one came while it was verified
	Failed     Outcome = "failed"     // and is in force: there was nothing to go back to
	Suspended  Outcome = "suspended"
	Resumed    Outcome = "resumed"
	Retried    Outcome = "retried" // its quarantine was lifted
	Ignored    Outcome = "ignored" // a node that it would have waited for
)

// A Record is one line of the history.
type Record struct {
	Time    time.Time `json:"time"`
	Commit  string    `json:"commit,omitempty"`
	Subject string    `json:"subject,omitempty"`
	Outcome Outcome   `json:"outcome"`
	Reason  string    `json:"reason,omitempty"`
	By      string    `json:"by,omitempty"` // who ordered it, where that was a person
}

// A State is everything that a journal holds.
type State struct {
	Attempt     *Attempt // nil while there is none
	Quarantined []Quarantined
	Suspension  *Suspension
	History     []Record // oldest first
	// Damaged says which files could not be read, and why; they count as absent.
	Damaged []error
}

// A Journal is the folder that holds a State. It is not for concurrent use.
type Journal struct{ dir string }

// New returns the journal in dir, which has to exist when something is written.
func New(dir string) *Journal { return &Journal{dir} }

// Load reads everything.
func (j *Journal) Load() State {
	var s State
	s.Attempt = load[*Attempt](j, attemptFile, &s)
	s.Quarantined = load[[]Quarantined](j, quarantineFile, &s)
	s.Suspension = load[*Suspension](j, suspendFile, &s)
	s.History = load[[]Record](j, historyFile, &s)
	return s
}

// Begin makes an attempt known, before anything is done of it.
func (j *Journal) Begin(a Attempt) error { return j.save(attemptFile, a) }

// End says that no attempt is under way.
func (j *Journal) End() error { return j.remove(attemptFile) }

// Quarantine replaces the list of revisions that failed; the newest of many are kept.
func (j *Journal) Quarantine(list []Quarantined) error {
	if len(list) == 0 {
		return j.remove(quarantineFile)
	}
	return j.save(quarantineFile, list[max(0, len(list)-maxQuarantined):])
}

// Suspend replaces what is suspended; nil is nothing.
func (j *Journal) Suspend(s *Suspension) error {
	if s == nil {
		return j.remove(suspendFile)
	}
	return j.save(suspendFile, s)
}

// Record adds to the history, of which the newest lines are kept.
func (j *Journal) Record(rs ...Record) error {
	var s State
	all := append(load[[]Record](j, historyFile, &s), rs...)
	return j.save(historyFile, all[max(0, len(all)-maxHistory):])
}

// stored is the form of each file.
type stored[T any] struct {
	FormatVersion string `json:"format_version"`
	Content       T      `json:"content"`
}

func load[T any](j *Journal, name string, s *State) T {
	var f stored[T]
	path := filepath.Join(j.dir, name)
	b, err := disk.Read(path, maxBytes)
	if err == nil && b != nil {
		err = json.Unmarshal(b, &f)
		if err == nil && f.FormatVersion != format {
			err = fmt.Errorf("has format_version %q; this release reads %q", f.FormatVersion, format)
		}
	}
	if err != nil {
		s.Damaged = append(s.Damaged, fmt.Errorf("%s: %w", path, err))
		var none T
		return none
	}
	return f.Content
}

func (j *Journal) save(name string, content any) error {
	b, err := json.Marshal(stored[any]{format, content})
	if err != nil {
		return fmt.Errorf("encode %s: %w", name, err)
	}
	return disk.Replace(filepath.Join(j.dir, name), append(b, '\n'))
}

func (j *Journal) remove(name string) error {
	err := os.Remove(filepath.Join(j.dir, name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}
