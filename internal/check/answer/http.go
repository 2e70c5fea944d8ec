package answer

import (
	"bytes"
	"crypto/md5"
	"encoding/hex"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/hareconcile/hareconcile/internal/spec"
)

// An HTTP judges answers by the rules of one check. It never changes.
type HTTP struct {
	check   spec.HTTPCheck
	dynamic bool
	regex   *regexp.Regexp
	digest  []byte // nil if the body's does not matter
}

// A Response is an answer as far as it was read.
type Response struct {
	Status int
	// Header returns the value of a header, or "". It may be nil if the check has no
	// WeightHeader.
	Header func(name string) string
	Body   []byte // the first MaxBody bytes
	Cut    bool   // there was more of the body
}

// NewHTTP returns the judge of a check. dynamic is whether the weight header counts.
func NewHTTP(c spec.HTTPCheck, dynamic bool) (*HTTP, error) {
	h := &HTTP{check: c, dynamic: dynamic}
	var err error
	if c.Regex != "" {
		if h.regex, err = regexp.Compile(c.Regex); err != nil {
			return nil, fmt.Errorf("regex: %w", err)
		}
	}
	if c.Digest != "" {
		if h.digest, err = hex.DecodeString(c.Digest); err != nil || len(h.digest) != md5.Size {
			return nil, fmt.Errorf("digest %q is no MD5 sum of 32 hex digits", c.Digest)
		}
	}
	return h, nil
}

// WantsBody reports whether the verdict needs more than status and headers.
func (h *HTTP) WantsBody() bool {
	return h.check.Contains != "" || h.check.NotContains != "" || h.regex != nil || h.digest != nil
}

// Judge returns what r says of the server.
func (h *HTTP) Judge(r Response) Outcome {
	out := Outcome{Message: fmt.Sprintf("status %d", r.Status)}
	out.Degraded = within(r.Status, h.check.Degraded)
	if !out.Degraded && !h.passes(r.Status) {
		return Outcome{Err: fmt.Errorf("status %d, want %s", r.Status, list(h.check.Status))}
	}
	if err := h.body(r); err != nil {
		return Outcome{Err: err}
	}
	if h.dynamic && h.check.WeightHeader != "" {
		h.weigh(r, &out)
	}
	return out
}

func (h *HTTP) passes(status int) bool {
	if len(h.check.Status) == 0 {
		return status >= 200 && status <= 299
	}
	return within(status, h.check.Status)
}

func within(status int, ranges []spec.StatusRange) bool {
	return slices.ContainsFunc(ranges, func(r spec.StatusRange) bool { return r.Low <= status && status <= r.High })
}

func (h *HTTP) body(r Response) error {
	where := "the body"
	if r.Cut {
		where = "the first 64 KiB of the body"
	}
	switch {
	case h.check.Contains != "" && !bytes.Contains(r.Body, []byte(h.check.Contains)):
		return fmt.Errorf("%q is not in %s", clip(h.check.Contains), where)
	case h.check.NotContains != "" && bytes.Contains(r.Body, []byte(h.check.NotContains)):
		return fmt.Errorf("%q is in the body", clip(h.check.NotContains))
	case h.regex != nil && !h.regex.Match(r.Body):
		return fmt.Errorf("%s does not match %q", where, clip(h.check.Regex))
	case h.digest != nil && r.Cut:
		return errors.New("the body is longer than 64 KiB: its digest is not computed")
	case h.digest != nil:
		if sum := md5.Sum(r.Body); !bytes.Equal(sum[:], h.digest) {
			return fmt.Errorf("the body's digest is %x, want %x", sum, h.digest)
		}
	}
	return nil
}

// weigh takes the weight from the header. A server that passes but does not say its weight
// keeps the one that is written, and is degraded so that somebody looks.
func (h *HTTP) weigh(r Response, out *Outcome) {
	text := ""
	if r.Header != nil {
		text = r.Header(h.check.WeightHeader)
	}
	if w, ok := Weight(text); ok {
		out.Weight, out.HasWeight = w, true
		out.Message += fmt.Sprintf(", weight %d", w)
		return
	}
	out.Degraded = true
	out.Message += fmt.Sprintf(", header %s has no weight: %q", h.check.WeightHeader, clip(text))
}

// list writes status codes for people: "200", "200 or 204".
func list(want []spec.StatusRange) string {
	if len(want) == 0 {
		return "2xx"
	}
	var b strings.Builder
	for i, s := range want {
		switch {
		case i > 0 && i == len(want)-1:
			b.WriteString(" or ")
		case i > 0:
			b.WriteString(", ")
		}
		fmt.Fprint(&b, s.Low)
		if s.High > s.Low {
			fmt.Fprintf(&b, "-%d", s.High)
		}
	}
	return b.String()
}

// clip shortens text that goes into a sentence.
func clip(s string) string {
	const most = 60
	if len(s) > most {
		return strings.ToValidUTF8(s[:most], "") + "..."
	}
	return s
}
