package hcl

import (
	"encoding/hex"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/hareconcile/hareconcile/internal/spec"
)

func (v *view) httpProbe(in *instance, c *spec.Check) {
	o := v.expect(in)
	h := &spec.HTTPCheck{
		Version: in.string("version"), Method: in.string("method"), Path: in.string("path"), Host: in.string("host"),
		Headers: v.headers(in), Body: in.string("body"),
		Status: o.statuses("status"), Degraded: o.statuses("degraded"),
		Contains: o.pattern("contains"), NotContains: o.pattern("not_contains"), Regex: o.regex("regex"),
		Digest: strings.ToLower(o.string("digest")), Redirects: in.int("redirects"), WeightHeader: in.string("weight_header"),
	}
	if h.Version == "1.1" {
		h.Version = ""
	}
	c.HTTP = h
	if c.Type == "https" && c.TLS == nil {
		c.TLS = &spec.TLS{}
	}
	v.httpText(in, h)
	v.httpBody(in, o, h)
	for _, s := range h.Status {
		for _, d := range h.Degraded {
			if s.Low <= d.High && d.Low <= s.High && o.written("status") {
				o.fail("degraded", "degraded cannot be that", "%d is in status, too.", max(s.Low, d.Low))
				return
			}
		}
	}
	switch {
	case c.Dynamic && h.WeightHeader == "":
		in.fail("dynamic", "weight_header is missing", "The weight comes from a header of the answer: write weight_header = \"X-Weight\".")
	case !c.Dynamic && h.WeightHeader != "":
		in.fail("weight_header", "weight_header does not fit", "Write dynamic = true if the header is to decide the weight.")
	}
}

// httpText refuses what would break a request apart.
func (v *view) httpText(in *instance, h *spec.HTTPCheck) {
	if h.Path != "" && (!strings.HasPrefix(h.Path, "/") || !printable(h.Path)) {
		in.fail("path", "path cannot be that", "A path starts with / and has neither spaces nor control characters.")
	}
	if !hostText(h.Host) {
		in.fail("host", "host cannot be that", "A host is a name or an address, with a port if need be.")
	}
	if h.WeightHeader != "" && !headerName(h.WeightHeader) {
		in.fail("weight_header", "weight_header cannot be that", "%.80q is no name of a header.", h.WeightHeader)
	}
}

// httpBody checks what is sent and what is looked for in the answer.
func (v *view) httpBody(in *instance, o object, h *spec.HTTPCheck) {
	sends := h.Method == "POST" || h.Method == "PUT"
	switch {
	case h.Body != "" && !sends:
		in.fail("body", "body does not fit", "%s sends none. Write method = \"POST\".", h.Method)
	case len(h.Body) > maxSend:
		in.fail("body", "body cannot be that", "It has %d bytes; at most %d are sent.", len(h.Body), maxSend)
	}
	for _, name := range []string{"contains", "not_contains", "regex", "digest"} {
		if o.written(name) && h.Method == "HEAD" {
			o.fail(name, name+" does not fit", "The answer to HEAD has no body.")
		}
	}
	if b, err := hex.DecodeString(h.Digest); h.Digest != "" && (err != nil || len(b) != 16) {
		o.fail("digest", "digest cannot be that", "It is the MD5 of the body, in 32 hex digits.")
	}
}

// headerName reports whether s is a token (RFC 9110, section 5.6.2).
func headerName(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(c rune) bool {
		return c <= ' ' || c > '~' || strings.ContainsRune("\"(),/:;<=>?@[\\]{}", c)
	})
}

// headerValue reports whether s is printable, or has bytes that no server takes apart.
func headerValue(s string) bool {
	return strings.TrimSpace(s) == s && !strings.ContainsFunc(s, func(c rune) bool { return c < ' ' && c != '\t' || c == 0x7f })
}

// ownHeaders are those that other attributes, or the client, decide.
var ownHeaders = map[string]string{
	"host":              "Write host = \"NAME\".",
	"content-length":    "The body has it.",
	"transfer-encoding": "The body is sent as it is.",
	"connection":        "It is the probe's own affair.",
}

// headers reads the headers of a request.
func (v *view) headers(in *instance) map[string]string {
	var out map[string]string
	have := in.entries("headers")
	for _, name := range sortedKeys(have) {
		value, own := have[name].AsString(), ownHeaders[strings.ToLower(name)]
		switch {
		case !headerName(name) || !headerValue(value) || len(name)+len(value) > maxPattern:
			in.ev.report.errorf(in.fieldRange("headers", name), "headers cannot be that", "%.80q is no header of at most %d bytes without control characters.", name, maxPattern)
		case own != "":
			in.ev.report.errorf(in.fieldRange("headers", name), "headers cannot be that", "%s is none that could be chosen. %s", name, own)
		default:
			if out == nil {
				out = map[string]string{}
			}
			out[name] = value
		}
	}
	return out
}

// statuses reads a list of codes and ranges, such as [200, "300-399"].
func (o object) statuses(field string) []spec.StatusRange {
	var out []spec.StatusRange
	list := o.strings(field)
	if o.written(field) && len(list) == 0 {
		o.fail(field, field+" is empty", "No answer would pass. Write the codes that do: { status = [200] }.")
	}
	for _, s := range list {
		r, ok := statusRange(s)
		if !ok {
			o.fail(field, field+" cannot be that", "%.40q is neither a code from 100 to 599 nor a range of them, such as \"300-399\".", s)
			return nil
		}
		out = append(out, r)
	}
	slices.SortFunc(out, func(a, b spec.StatusRange) int { return a.Low - b.Low })
	return slices.Compact(out)
}

func statusRange(s string) (spec.StatusRange, bool) {
	low, high, isRange := strings.Cut(s, "-")
	if !isRange {
		high = low
	}
	a, err := strconv.Atoi(low)
	b, err2 := strconv.Atoi(high)
	return spec.StatusRange{Low: a, High: b}, fmt.Sprint(a) == low && err == nil && err2 == nil && 100 <= a && a <= b && b <= 599
}
