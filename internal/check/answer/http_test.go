package answer

import (
	"strings"
	"testing"

	"github.com/hareconcile/hareconcile/internal/spec"
)

func ranges(pairs ...int) (out []spec.StatusRange) {
	for i := 0; i < len(pairs); i += 2 {
		out = append(out, spec.StatusRange{Low: pairs[i], High: pairs[i+1]})
	}
	return out
}

func TestJudge(t *testing.T) {
	weight := func(value string) func(string) string {
		return func(name string) string {
			if name == "X-Weight" {
				return value
			}
			return ""
		}
	}
	long := strings.Repeat("x", 100)
	weighed := spec.HTTPCheck{WeightHeader: "X-Weight"}
	for _, tt := range []struct {
		name    string
		check   spec.HTTPCheck
		resp    Response
		message string // of a pass
		err     string
	}{
		{"2xx passes unless it is said otherwise", spec.HTTPCheck{}, Response{Status: 204}, "status 204", ""},
		{"a redirect is no 2xx", spec.HTTPCheck{}, Response{Status: 301}, "", "status 301, want 2xx"},
		{"a range has both its ends", spec.HTTPCheck{Status: ranges(200, 399)}, Response{Status: 399}, "status 399", ""},
		{"beyond a range is a failure", spec.HTTPCheck{Status: ranges(200, 204, 401, 401)}, Response{Status: 205}, "", "status 205, want 200-204 or 401"},
		{"a text of the body", spec.HTTPCheck{Contains: "ok"}, Response{Status: 200, Body: []byte("all ok")}, "status 200", ""},
		{"a text that is not there", spec.HTTPCheck{Contains: "ok"}, Response{Status: 200}, "", `"ok" is not in the body`},
		{"a text that was not read", spec.HTTPCheck{Contains: "ok"}, Response{Status: 200, Cut: true}, "", `"ok" is not in the first 64 KiB of the body`},
		{"a text that must not be there", spec.HTTPCheck{NotContains: "error"}, Response{Status: 200, Body: []byte("an error")}, "", `"error" is in the body`},
		{"its absence", spec.HTTPCheck{NotContains: "error"}, Response{Status: 200, Body: []byte("fine")}, "status 200", ""},
		{"a pattern", spec.HTTPCheck{Regex: `^v[0-9]+$`}, Response{Status: 200, Body: []byte("v12")}, "status 200", ""},
		{"a pattern that does not match", spec.HTTPCheck{Regex: `^v[0-9]+$`}, Response{Status: 200, Body: []byte("v")}, "", "the body does not match \"^v[0-9]+$\""},
		{"genhash's digest", spec.HTTPCheck{Digest: "9A0364B9E99BB480DD25E1F0284C8555"}, Response{Status: 200, Body: []byte("content")}, "status 200", ""},
		{"another digest", spec.HTTPCheck{Digest: "9a0364b9e99bb480dd25e1f0284c8555"}, Response{Status: 200}, "",
			"the body's digest is d41d8cd98f00b204e9800998ecf8427e, want 9a0364b9e99bb480dd25e1f0284c8555"},
		{"no digest of a part", spec.HTTPCheck{Digest: "d41d8cd98f00b204e9800998ecf8427e"}, Response{Status: 200, Cut: true}, "",
			"the body is longer than 64 KiB: its digest is not computed"},
		{"the status counts before the body", spec.HTTPCheck{Contains: "ok"}, Response{Status: 500}, "", "status 500, want 2xx"},
		{"long texts are shortened", spec.HTTPCheck{Contains: long}, Response{Status: 200}, "", `"` + long[:60] + `..." is not in the body`},
		{"a header is no weight of a static check", weighed, Response{Status: 200, Header: weight("7")}, "status 200", ""},
	} {
		h, err := NewHTTP(tt.check, false)
		if err != nil {
			t.Errorf("%s: %v", tt.name, err)
			continue
		}
		out := h.Judge(tt.resp)
		if out.Degraded || out.HasWeight || out.Unmeasured {
			t.Errorf("%s: Judge = %+v", tt.name, out)
		}
		if tt.err == "" && (out.Err != nil || out.Message != tt.message) || tt.err != "" && (out.Err == nil || out.Err.Error() != tt.err) {
			t.Errorf("%s: Judge = %+v, want %q, %q", tt.name, out, tt.message, tt.err)
		}
	}
}

func TestDegradedStatusPasses(t *testing.T) {
	h, err := NewHTTP(spec.HTTPCheck{Status: ranges(200, 200), Degraded: ranges(429, 429)}, false)
	if err != nil {
		t.Fatal(err)
	}
	for status, want := range map[int]Outcome{200: {Message: "status 200"}, 429: {Message: "status 429", Degraded: true}} {
		if got := h.Judge(Response{Status: status}); got != want {
			t.Errorf("Judge(%d) = %+v, want %+v", status, got, want)
		}
	}
}

func TestWeightHeader(t *testing.T) {
	h, err := NewHTTP(spec.HTTPCheck{WeightHeader: "X-Weight"}, true)
	if err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]Outcome{
		"7":     {Message: "status 200, weight 7", Weight: 7, HasWeight: true},
		" 0 ":   {Message: "status 200, weight 0", HasWeight: true},
		"65535": {Message: "status 200, weight 65535", Weight: 65535, HasWeight: true},
		"":      {Message: `status 200, header X-Weight has no weight: ""`, Degraded: true},
		"-1":    {Message: `status 200, header X-Weight has no weight: "-1"`, Degraded: true},
		"65536": {Message: `status 200, header X-Weight has no weight: "65536"`, Degraded: true},
		"half":  {Message: `status 200, header X-Weight has no weight: "half"`, Degraded: true},
	} {
		if got := h.Judge(Response{Status: 200, Header: func(string) string { return text }}); got != want {
			t.Errorf("Judge(X-Weight: %q) = %+v, want %+v", text, got, want)
		}
	}
	if got := h.Judge(Response{Status: 200}); !got.Degraded || got.Err != nil {
		t.Errorf("Judge without headers = %+v, want degraded", got)
	}
}

func TestWantsBody(t *testing.T) {
	for _, c := range []spec.HTTPCheck{{Contains: "a"}, {NotContains: "a"}, {Regex: "a"}, {Digest: strings.Repeat("00", 16)}} {
		if h, err := NewHTTP(c, false); err != nil || !h.WantsBody() {
			t.Errorf("%+v wants no body, %v", c, err)
		}
	}
	if h, err := NewHTTP(spec.HTTPCheck{Status: ranges(1, 2)}, false); err != nil || h.WantsBody() {
		t.Errorf("a status wants a body, %v", err)
	}
}

func TestNewRefusesWhatCannotBeJudged(t *testing.T) {
	for _, c := range []spec.HTTPCheck{{Regex: "("}, {Digest: "00"}, {Digest: strings.Repeat("zz", 16)}} {
		if _, err := NewHTTP(c, false); err == nil {
			t.Errorf("NewHTTP(%+v) = nil, want an error", c)
		}
	}
	if _, err := NewText(&spec.TCPCheck{Regex: "("}); err == nil {
		t.Error("NewText of half a pattern = nil, want an error")
	}
}
