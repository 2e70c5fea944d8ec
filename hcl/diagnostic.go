package hcl

// A Severity says whether a Diagnostic stands in the way.
type Severity string

// The severities.
const (
	Error   Severity = "error"
	Warning Severity = "warning"
)

// A Pos is a place in a file; both count from 1, columns in characters.
type Pos struct {
	Line   int `json:"line"`
	Column int `json:"column"`
}

// A Diagnostic is a user's mistake: what, where, what to do.
type Diagnostic struct {
	Severity Severity `json:"severity"`
	Summary  string   `json:"summary"`
	Detail   string   `json:"detail,omitempty"`
	File     string   `json:"file,omitempty"` // relative to the cluster's folder
	Start    Pos      `json:"start,omitzero"`
	End      Pos      `json:"end,omitzero"`
	// Snippet is the source line at Start.
	Snippet string `json:"snippet,omitempty"`
}

// Diagnostics are sorted by file and position.
type Diagnostics []Diagnostic

// HasErrors reports whether any of ds is an Error.
func (ds Diagnostics) HasErrors() bool {
	for _, d := range ds {
		if d.Severity == Error {
			return true
		}
	}
	return false
}
