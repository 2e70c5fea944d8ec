package hcl

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	hcl2 "github.com/hashicorp/hcl/v2"
)

// maxDiagnostics bounds what one compilation reports.
const maxDiagnostics = 100

// A report collects diagnostics, each once, with their source lines.
type report struct {
	sources map[string][]byte
	hidden  []hcl2.Range // source that holds sensitive values
	seen    map[string]bool
	list    Diagnostics
	full    bool
}

func newReport(sources map[string][]byte) *report {
	return &report{sources: sources, seen: map[string]bool{}}
}

func (r *report) errorf(at hcl2.Range, summary, format string, args ...any) {
	r.add(Error, at, summary, fmt.Sprintf(format, args...))
}

func (r *report) hcl(ds hcl2.Diagnostics) {
	for _, d := range ds {
		var at hcl2.Range
		if d.Subject != nil {
			at = *d.Subject
		}
		severity := Error
		if d.Severity == hcl2.DiagWarning {
			severity = Warning
		}
		r.add(severity, at, d.Summary, d.Detail)
	}
}

func (r *report) add(s Severity, at hcl2.Range, summary, detail string) {
	key := fmt.Sprintf("%s|%d|%s", at.Filename, at.Start.Byte, summary)
	if r.seen[key] {
		return
	}
	if len(r.list) >= maxDiagnostics {
		r.full = true
		return
	}
	r.seen[key] = true
	d := Diagnostic{Severity: s, Summary: plain(summary), Detail: plain(detail), File: at.Filename}
	if at.Start.Line > 0 {
		d.Start = Pos{at.Start.Line, at.Start.Column}
		d.End = Pos{at.End.Line, at.End.Column}
		d.Snippet = r.snippet(at)
	}
	r.list = append(r.list, d)
}

// snippet returns the source line where at starts, unless it may show a sensitive value.
func (r *report) snippet(at hcl2.Range) string {
	if r.conceals(at) {
		return ""
	}
	lines := strings.Split(string(r.sources[at.Filename]), "\n")
	if at.Start.Line > len(lines) {
		return ""
	}
	line := plain(strings.TrimRight(strings.ReplaceAll(lines[at.Start.Line-1], "\t", " "), "\r "))
	if runes := []rune(line); len(runes) > 160 {
		return string(runes[:160]) + "..."
	}
	return line
}

// conceals reports whether the source at a place may hold a sensitive value. Any line of a
// file of values may.
func (r *report) conceals(at hcl2.Range) bool {
	return strings.HasSuffix(at.Filename, valuesSuffix) || strings.HasPrefix(at.Filename, "-var ") ||
		slices.ContainsFunc(r.hidden, func(h hcl2.Range) bool {
			return h.Filename == at.Filename && h.Start.Line <= at.Start.Line && at.Start.Line <= h.End.Line
		})
}

// plain drops what could steer a terminal.
func plain(s string) string {
	return strings.Map(func(c rune) rune {
		if c != '\n' && (c < ' ' || c == 0x7f || c >= 0x80 && c < 0xa0) {
			return -1
		}
		return c
	}, s)
}

func (r *report) hasErrors() bool { return r.list.HasErrors() }

// diagnostics returns what was collected, sorted.
func (r *report) diagnostics() Diagnostics {
	slices.SortStableFunc(r.list, func(a, b Diagnostic) int {
		return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.Start.Line, b.Start.Line),
			cmp.Compare(a.Start.Column, b.Start.Column), cmp.Compare(a.Summary, b.Summary))
	})
	if r.full {
		r.list = append(r.list, Diagnostic{Severity: Error, Summary: "There are more mistakes than these",
			Detail: fmt.Sprintf("The first %d are shown.", maxDiagnostics)})
		r.full = false
	}
	return r.list
}
