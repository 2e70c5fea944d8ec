package revision

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/hareconcile/hareconcile/internal/disk"
)

const (
	storeFormat = "2"
	goodFile    = "good.json"
	priorFile   = "prior.json"     // the good one before the last
	triedFile   = "candidate.json" // that is being tried
	maxStored   = 64 << 20         // bytes
)

// A Store keeps the last good revision in a folder. It is not for concurrent use.
type Store struct{ dir string }

// stored is the form of each file. Checksum is over the bytes of Revision.
type stored struct {
	FormatVersion string          `json:"format_version"`
	Checksum      string          `json:"checksum"`
	Revision      json.RawMessage `json:"revision"`
}

// NewStore returns the store in dir, which the first SaveGood creates.
func NewStore(dir string) *Store { return &Store{dir} }

// SaveGood replaces the last good revision: after a crash at any moment it is the old one
// or the new one. On an error the old one stays. What another commit's was before it is the
// prior one then.
func (s *Store) SaveGood(r *Revision) error {
	if old, err := s.LoadGood(); err == nil && old != nil && old.Commit != r.Commit {
		if err := s.save(priorFile, old); err != nil {
			return err
		}
	}
	return s.save(goodFile, r)
}

// GoBack makes r, which was the prior one, the last good revision again. What it replaces is
// not kept: it failed, and nobody is to go back to it.
func (s *Store) GoBack(r *Revision) error {
	if err := s.save(goodFile, r); err != nil {
		return err
	}
	if err := os.Remove(filepath.Join(s.dir, priorFile)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// LoadGood returns the last good revision, or nil if none was ever saved. A file that is
// torn, was edited or has another format is an error that says so.
func (s *Store) LoadGood() (*Revision, error) { return s.load(goodFile) }

// LoadPrior returns the good revision before the last, or nil if there is none.
func (s *Store) LoadPrior() (*Revision, error) { return s.load(priorFile) }

// SaveCandidate keeps a revision that is about to be tried, for whoever goes on after a crash.
func (s *Store) SaveCandidate(r *Revision) error { return s.save(triedFile, r) }

// LoadCandidate returns the revision that was tried last, or nil if there is none.
func (s *Store) LoadCandidate() (*Revision, error) { return s.load(triedFile) }

func (s *Store) save(name string, r *Revision) error {
	body, err := json.Marshal(r)
	if err != nil {
		return fmt.Errorf("encode revision %s: %w", r.Short(), err)
	}
	b, err := json.Marshal(stored{FormatVersion: storeFormat, Checksum: checksum(body), Revision: body})
	if err != nil {
		return fmt.Errorf("encode revision %s: %w", r.Short(), err)
	}
	return disk.Replace(filepath.Join(s.dir, name), append(b, '\n'))
}

func (s *Store) load(file string) (*Revision, error) {
	name := filepath.Join(s.dir, file)
	b, err := disk.Read(name, maxStored)
	if b == nil || err != nil {
		return nil, err
	}
	r, err := decode(b)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return r, nil
}

func decode(b []byte) (*Revision, error) {
	var s stored
	if err := json.Unmarshal(b, &s); err != nil {
		return nil, fmt.Errorf("is damaged: %w", err)
	}
	if s.FormatVersion != storeFormat {
		return nil, fmt.Errorf("has format_version %q; this release reads %q", s.FormatVersion, storeFormat)
	}
	if s.Checksum != checksum(s.Revision) {
		return nil, errors.New("is damaged: its checksum does not match")
	}
	var r Revision
	if err := json.Unmarshal(s.Revision, &r); err != nil {
		return nil, fmt.Errorf("holds no revision: %w", err)
	}
	if r.Commit == "" || r.Cluster == nil {
		return nil, errors.New("holds no revision: commit or cluster is missing")
	}
	return &r, nil
}

func checksum(b []byte) string {
	sum := sha256.Sum256(b)
	return "sha256:" + hex.EncodeToString(sum[:])
}
