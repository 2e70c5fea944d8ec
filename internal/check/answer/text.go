package answer

import (
	"bytes"
	"fmt"
	"regexp"

	"github.com/hareconcile/hareconcile/internal/spec"
)

// A Text judges what a server says on a plain connection. It never changes.
type Text struct {
	expect []byte
	regex  *regexp.Regexp
}

// NewText returns the judge of a check; c may be nil.
func NewText(c *spec.TCPCheck) (*Text, error) {
	t := &Text{}
	if c == nil {
		return t, nil
	}
	t.expect = []byte(c.Expect)
	if c.Regex != "" {
		var err error
		if t.regex, err = regexp.Compile(c.Regex); err != nil {
			return nil, fmt.Errorf("regex: %w", err)
		}
	}
	return t, nil
}

// Listens reports whether anything is expected: without, connecting is all there is.
func (t *Text) Listens() bool { return len(t.expect) > 0 || t.regex != nil }

// A Heard is what was heard of one conversation so far. Its zero value has heard nothing.
type Heard struct {
	text  []byte
	tried int // how much of text has been searched
}

// Reset forgets what was heard, but for a short text's memory.
func (h *Heard) Reset() {
	if cap(h.text) > 16<<10 {
		h.text = nil
	}
	h.text, h.tried = h.text[:0], 0
}

// Full reports whether the bound is reached: nobody reads on.
func (h *Heard) Full() bool { return len(h.text) >= MaxBody }

// Hear adds what was received and reports whether what is expected has come. A pattern is
// not searched for at each drip of a server: a 64th more has to be there, and what comes
// after that is for Judge to find.
func (t *Text) Hear(h *Heard, b []byte) bool {
	before := len(h.text)
	h.text = append(h.text, b[:min(len(b), MaxBody-len(h.text))]...)
	if t.regex == nil { // what was searched is not searched again
		return bytes.Contains(h.text[max(0, before-len(t.expect)+1):], t.expect)
	}
	if h.tried > 0 && len(h.text)-h.tried < h.tried/64 && !h.Full() {
		return false
	}
	h.tried = len(h.text)
	return t.found(h.text)
}

func (t *Text) found(text []byte) bool {
	return bytes.Contains(text, t.expect) && (t.regex == nil || t.regex.Match(text))
}

// Judge returns the outcome once nothing more will be heard. end is the error of the
// connection, or nil if what is expected has come, the bound is reached or the server is done.
func (t *Text) Judge(h *Heard, end error) Outcome {
	if t.found(h.text) {
		return Outcome{Message: fmt.Sprintf("answered %q", Line(string(h.text)))}
	}
	want := clip(string(t.expect))
	if len(t.expect) == 0 {
		want = "match of " + clip(t.regex.String())
	}
	switch {
	case len(h.text) > 0:
		return Outcome{Err: fmt.Errorf("answered %q, want %q", clip(Line(string(h.text))), want)}
	case end != nil:
		return Outcome{Err: end}
	}
	return Outcome{Err: ErrNothing}
}
