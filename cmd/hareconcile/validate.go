package main

import (
	"context"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/hareconcile/hareconcile/hcl"
	"github.com/hareconcile/hareconcile/internal/compile"
	"github.com/hareconcile/hareconcile/internal/spec"
)

func runValidate(ctx context.Context, e *env, args []string) int {
	fs := e.flags("validate")
	vars := varFlag{}
	asJSON := fs.Bool("json", false, "print the result as JSON")
	fs.Var(vars, "var", "set a variable, as `NAME=VALUE`; may be repeated")
	if err := e.parse(fs, args, 1); err != nil {
		return e.exit(err)
	}
	dir := fs.Arg(0)
	if dir == "" {
		dir = "."
	}
	tree, err := hcl.ReadTree(dir)
	var ds hcl.Diagnostics
	if err == nil {
		var c *spec.Cluster
		c, ds, err = compile.Dir(ctx, dir, "", vars)
		if c != nil {
			ds = append(ds, concerns(c, "", spec.HAProxyTrust{}, hcl.Warning)...)
		}
	}
	if err != nil && !*asJSON {
		return e.exit(err)
	}
	if err != nil { // whoever asked for JSON gets JSON
		ds = hcl.Diagnostics{{Severity: hcl.Error, Summary: "The folder cannot be validated", Detail: err.Error()}}
	}
	if *asJSON {
		err = writeJSON(e.stdout, verdictOf(tree, ds))
	} else {
		err = ds.WriteText(e.stderr, false)
	}
	switch {
	case err != nil:
		return e.exit(err)
	case ds.HasErrors():
		return exitError
	}
	if !*asJSON {
		fmt.Fprintln(e.stdout, "Success! The configuration is valid.")
	}
	return exitOK
}

// A verdict is what validate -json prints, in the shape of `terraform validate -json`.
type verdict struct {
	FormatVersion string              `json:"format_version"`
	Valid         bool                `json:"valid"`
	ErrorCount    int                 `json:"error_count"`
	WarningCount  int                 `json:"warning_count"`
	Diagnostics   []verdictDiagnostic `json:"diagnostics"`
}

type verdictDiagnostic struct {
	Severity hcl.Severity    `json:"severity"`
	Summary  string          `json:"summary"`
	Detail   string          `json:"detail"`
	Range    *verdictRange   `json:"range,omitempty"`
	Snippet  *verdictSnippet `json:"snippet,omitempty"`
}

type verdictRange struct {
	Filename string     `json:"filename"`
	Start    verdictPos `json:"start"`
	End      verdictPos `json:"end"`
}

type verdictPos struct {
	Line   int `json:"line"`
	Column int `json:"column"`
	Byte   int `json:"byte"`
}

type verdictSnippet struct {
	Context   *string  `json:"context"`
	Code      string   `json:"code"`
	StartLine int      `json:"start_line"`
	Start     int      `json:"highlight_start_offset"`
	End       int      `json:"highlight_end_offset"`
	Values    []string `json:"values"`
}

func verdictOf(tree hcl.Tree, ds hcl.Diagnostics) verdict {
	v := verdict{FormatVersion: "1.0", Valid: !ds.HasErrors(), Diagnostics: []verdictDiagnostic{}}
	for _, d := range ds {
		if d.Severity == hcl.Error {
			v.ErrorCount++
		} else {
			v.WarningCount++
		}
		out := verdictDiagnostic{Severity: d.Severity, Summary: d.Summary, Detail: d.Detail}
		if d.File != "" {
			src := string(tree[d.File])
			out.Range = &verdictRange{d.File, position(src, d.Start), position(src, d.End)}
		}
		if d.Snippet != "" {
			start := offset(d.Snippet, d.Start.Column-1)
			end := len(d.Snippet)
			if d.End.Line == d.Start.Line {
				end = max(start, offset(d.Snippet, d.End.Column-1))
			}
			out.Snippet = &verdictSnippet{Code: d.Snippet, StartLine: d.Start.Line, Start: start, End: end, Values: []string{}}
		}
		v.Diagnostics = append(v.Diagnostics, out)
	}
	return v
}

// position adds the byte offset to a place in src.
func position(src string, p hcl.Pos) verdictPos {
	at := 0
	for range p.Line - 1 {
		n := strings.IndexByte(src[at:], '\n')
		if n < 0 {
			return verdictPos{p.Line, p.Column, len(src)}
		}
		at += n + 1
	}
	return verdictPos{p.Line, p.Column, at + offset(src[at:], p.Column-1)}
}

// offset returns how many bytes the first n characters of s take.
func offset(s string, n int) int {
	at := 0
	for range n {
		if at >= len(s) {
			break
		}
		_, size := utf8.DecodeRuneInString(s[at:])
		at += size
	}
	return at
}
