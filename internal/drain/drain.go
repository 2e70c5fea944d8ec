// Package drain keeps on disk which servers people took out of service on this node, so
// that neither a restart nor a reboot puts them back.
package drain

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/hareconcile/hareconcile/internal/disk"
	"github.com/hareconcile/hareconcile/reconcile"
	"github.com/hareconcile/hareconcile/reconcile/resource"
)

const (
	format  = "1"
	maxFile = 8 << 20 // bytes
)

// An Order is what a person asked for.
type Order struct {
	Server reconcile.ServerRef `json:"server"`
	Since  time.Time           `json:"since"`
	// Grace is how long the server may keep its connections.
	Grace resource.Duration `json:"grace"`
}

type document struct {
	FormatVersion string  `json:"format_version"`
	Drains        []Order `json:"drains"`
}

// A Store is one file.
type Store struct{ path string }

// NewStore returns the store in the file of that path, which the first Save creates.
func NewStore(path string) *Store { return &Store{path} }

// Save replaces what is stored.
func (s *Store) Save(orders []Order) error {
	b, err := json.Marshal(document{format, orders})
	if err != nil {
		return fmt.Errorf("encode drains: %w", err)
	}
	return disk.Replace(s.path, append(b, '\n'))
}

// Load returns what is stored; nothing if nothing ever was.
func (s *Store) Load() ([]Order, error) {
	b, err := disk.Read(s.path, maxFile)
	if b == nil || err != nil {
		return nil, err
	}
	var d document
	if err := json.Unmarshal(b, &d); err != nil {
		return nil, fmt.Errorf("%s is damaged: %w", s.path, err)
	}
	if d.FormatVersion != format {
		return nil, fmt.Errorf("%s has format_version %q; this release reads %q", s.path, d.FormatVersion, format)
	}
	return d.Drains, nil
}
