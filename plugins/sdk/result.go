package sdk

import (
	"maps"
	"slices"
)

// The codes of results that this package makes itself.
const (
	CodeBusy      = "BUSY"      // the check before has not returned
	CodeDeadline  = "DEADLINE"  // Check did not return in time
	CodeCancelled = "CANCELLED" // the host gave up
	CodeError     = "ERROR"     // Check returned an error
)

// What of a result is sent to the host.
const (
	maxDetail = 1024 // bytes
	maxCode   = 64   // bytes
	maxName   = 128  // bytes, of parts, metrics and facts
	maxItems  = 128  // of parts, of metrics, and of facts
)

// known reports whether s is one of the statuses that say something.
func (s Status) known() bool { return s == Pass || s == Warn || s == Fail }

// bounded returns r with everything cut that is too long.
func (r Result) bounded() Result {
	r.Detail, r.Code = oneLine(r.Detail), cut(r.Code, maxCode)
	r.Parts = slices.Clone(r.Parts[:min(len(r.Parts), maxItems)])
	for k, p := range r.Parts {
		if !p.Status.known() {
			p.Status = Unknown
		}
		r.Parts[k] = Part{cut(p.Name, maxName), p.Status, oneLine(p.Detail), cut(p.Code, maxCode)}
	}
	r.Metrics = boundedMap(r.Metrics, func(v float64) float64 { return v })
	r.Facts = boundedMap(r.Facts, oneLine)
	return r
}

// boundedMap returns the first of m in the order of names, which are cut.
func boundedMap[V any](m map[string]V, value func(V) V) map[string]V {
	if len(m) == 0 {
		return nil
	}
	out := make(map[string]V, min(len(m), maxItems))
	for _, name := range slices.Sorted(maps.Keys(m))[:min(len(m), maxItems)] {
		out[cut(name, maxName)] = value(m[name])
	}
	return out
}

// cut is oneLine with another bound.
func cut(s string, most int) string {
	if len(s) > most {
		s = s[:most]
	}
	return oneLine(s)
}
