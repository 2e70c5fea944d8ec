package hcl

import (
	"bufio"
	"fmt"
	"io"
	"strings"
)

// The terminal's colours, used only when the reader asked for them.
const (
	red    = "\x1b[1;31m"
	yellow = "\x1b[1;33m"
	reset  = "\x1b[0m"
)

// WriteText writes ds as people read them: what, where, the source line, what to do.
func (ds Diagnostics) WriteText(w io.Writer, color bool) error {
	b := bufio.NewWriter(w)
	for i, d := range ds {
		if i > 0 {
			fmt.Fprintln(b)
		}
		d.writeText(b, color)
	}
	return b.Flush()
}

func (d Diagnostic) writeText(b *bufio.Writer, color bool) {
	label, on, off := "Error", "", ""
	if d.Severity == Warning {
		label = "Warning"
	}
	if color {
		on, off = red, reset
		if d.Severity == Warning {
			on = yellow
		}
	}
	fmt.Fprintf(b, "%s%s:%s %s\n", on, label, off, d.Summary)
	if at := d.Place(); at != "" {
		fmt.Fprintf(b, "\n  on %s", d.File)
		if d.Start.Line > 0 {
			fmt.Fprintf(b, " line %d, column %d (%s)", d.Start.Line, d.Start.Column, at)
		}
		fmt.Fprintln(b, ":")
	}
	if d.Snippet != "" {
		fmt.Fprintf(b, "%4d: %s\n", d.Start.Line, d.Snippet)
		if n := d.Start.Column - 1; n >= 0 && n <= len([]rune(d.Snippet)) {
			fmt.Fprintf(b, "      %s%s\n", strings.Repeat(" ", n), strings.Repeat("^", d.width()))
		}
	}
	if d.Detail != "" {
		fmt.Fprintf(b, "\n%s\n", d.Detail)
	}
}

// Place returns file:line,col, or the file alone, or nothing.
func (d Diagnostic) Place() string {
	if d.File == "" || d.Start.Line == 0 {
		return d.File
	}
	return fmt.Sprintf("%s:%d,%d", d.File, d.Start.Line, d.Start.Column)
}

// width is how many characters of the snippet the mistake covers.
func (d Diagnostic) width() int {
	rest := len([]rune(d.Snippet)) - (d.Start.Column - 1)
	if d.End.Line == d.Start.Line {
		rest = min(rest, d.End.Column-d.Start.Column)
	}
	return max(1, rest)
}
