package spec

import "cmp"

// A DriftMode is what an agent does with an object that was as it should be and that somebody
// else changed.
type DriftMode string

// The modes. Without one, drift is corrected.
const (
	DriftCorrect DriftMode = "correct"
	// DriftReport leaves it until the next revision, and shows it.
	DriftReport DriftMode = "report"
	// DriftIgnore leaves it, and says nothing.
	DriftIgnore DriftMode = "ignore"
)

// Drift is the mode of each kind of object.
type Drift struct {
	Default DriftMode            `json:"default,omitempty"`
	Kinds   map[string]DriftMode `json:"kinds,omitempty"`
}

// Mode returns the mode of a kind.
func (d Drift) Mode(kind string) DriftMode { return cmp.Or(d.Kinds[kind], d.Default, DriftCorrect) }
