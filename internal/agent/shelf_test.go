package agent

import (
	"sync"

	"github.com/hareconcile/hareconcile/internal/revision"
)

// shelf is a Store in memory.
type shelf struct {
	mu     sync.Mutex
	good   *revision.Revision
	prior  *revision.Revision
	tried  *revision.Revision
	err    error // LoadGood fails
	save   error // SaveGood fails
	noRoom error // SaveCandidate fails
	saves  int
}

func (s *shelf) full(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.save = err
}

func (s *shelf) SaveGood(r *revision.Revision) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.save == nil {
		if s.good != nil && s.good.Commit != r.Commit {
			s.prior = s.good
		}
		s.good = r
		s.saves++
	}
	return s.save
}

func (s *shelf) LoadGood() (*revision.Revision, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.good, s.err
}

// kept returns the commits of the last good revision and the one before.
func (s *shelf) kept() (good, prior string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.good != nil {
		good = s.good.Commit
	}
	if s.prior != nil {
		prior = s.prior.Commit
	}
	return good, prior
}

// commit returns the last good revision's.
func (s *shelf) commit() string { good, _ := s.kept(); return good }

func (s *shelf) GoBack(r *revision.Revision) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.save == nil {
		s.good, s.prior = r, nil
	}
	return s.save
}

func (s *shelf) LoadPrior() (*revision.Revision, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.prior, nil
}

func (s *shelf) SaveCandidate(r *revision.Revision) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.noRoom == nil {
		s.tried = r
	}
	return s.noRoom
}

func (s *shelf) noCandidate(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.noRoom = err
}

func (s *shelf) LoadCandidate() (*revision.Revision, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.tried, nil
}
