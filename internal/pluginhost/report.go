package pluginhost

import (
	"maps"
	"math"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/hareconcile/hareconcile/internal/check"
	pluginv1 "github.com/hareconcile/hareconcile/plugins/proto/hareconcile/plugin/v1"
)

// A Report is what a plugin said of a tracker last, or why it said nothing.
type Report struct {
	Status  string // "pass", "warn", "fail" or "unknown"
	Code    string // for programs; CodePlugin if the host says it in the plugin's stead
	Detail  string // at most 1 KiB, one line
	At      time.Time
	Parts   []Part
	Metrics map[string]float64
	Facts   map[string]string
	// Note says what is wrong with the plugin itself while it still answers.
	Note string
}

// A Part is one of several things that a check looked at.
type Part struct{ Name, Status, Detail, Code string }

// CodePlugin is the code of a Report that a plugin has no part in: it does not run, does not
// answer, or does not take its configuration.
const CodePlugin = "PLUGIN"

// What is kept of an answer, as the SDK bounds it.
const (
	maxDetail = 1 << 10 // bytes
	maxName   = 128     // bytes
	maxItems  = 128
)

var statuses = map[pluginv1.Status]string{
	pluginv1.Status_STATUS_PASS: "pass", pluginv1.Status_STATUS_WARN: "warn", pluginv1.Status_STATUS_FAIL: "fail",
}

func statusOf(s pluginv1.Status) string {
	if name, known := statuses[s]; known {
		return name
	}
	return "unknown"
}

// state is what counts: pass and warn are up.
func (r Report) state() check.State {
	switch r.Status {
	case "pass", "warn":
		return check.Up
	case "fail":
		return check.Down
	}
	return check.Unknown
}

// silent is the report of a plugin that said nothing.
func silent(why string) Report {
	return Report{Status: "unknown", Code: CodePlugin, Detail: line(why, maxDetail), At: time.Now()}
}

// reported makes an answer a bounded report without secrets.
func reported(r *pluginv1.CheckResponse, secrets *redactor) Report {
	text := func(s string, most int) string { return line(secrets.clean(s), most) }
	out := Report{Status: statusOf(r.Status), Code: codeOf(r.Code), Detail: text(r.Detail, maxDetail), At: time.Now()}
	for _, p := range r.Parts[:min(len(r.Parts), maxItems)] {
		out.Parts = append(out.Parts, Part{text(p.GetName(), maxName), statusOf(p.GetStatus()), text(p.GetDetail(), maxDetail), codeOf(p.GetCode())})
	}
	for _, name := range first(r.Metrics) {
		// JSON has no other numbers.
		if v := r.Metrics[name]; !math.IsNaN(v) && !math.IsInf(v, 0) {
			if out.Metrics == nil {
				out.Metrics = map[string]float64{}
			}
			out.Metrics[text(name, maxName)] = v
		}
	}
	for _, name := range first(r.Facts) {
		if out.Facts == nil {
			out.Facts = map[string]string{}
		}
		out.Facts[text(name, maxName)] = text(r.Facts[name], maxDetail)
	}
	return out
}

// first are the first names of m, in order.
func first[V any](m map[string]V) []string {
	return slices.Sorted(maps.Keys(m))[:min(len(m), maxItems)]
}

var validCode = regexp.MustCompile(`^[A-Z0-9_]{0,64}$`)

// codeOf returns a code if it is one, and nothing else.
func codeOf(s string) string {
	if !validCode.MatchString(s) || s == CodePlugin {
		return ""
	}
	return s
}

// line makes s one valid line of at most so many bytes.
func line(s string, most int) string {
	if len(s) > most {
		s = s[:most]
	}
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, "?"))
}
