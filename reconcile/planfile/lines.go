package planfile

import (
	"bytes"
	"strings"

	"github.com/rogpeppe/go-internal/diff"

	"github.com/hareconcile/hareconcile/reconcile"
)

// text writes a whole file as a heredoc.
func (p *printer) text(a reconcile.Action, name string, width int, t string) {
	p.printf("      %s %-*s = <<-EOT\n", p.symbol(a), width, name)
	for line := range strings.Lines(t) {
		p.line(a, line)
	}
	p.printf("        EOT\n")
}

func (p *printer) line(a reconcile.Action, line string) {
	text := clean(strings.TrimRight(line, "\n"))
	if text != "" {
		text = " " + text
	}
	p.printf("          %s%s\n", p.symbol(a), text)
}

// textDifference writes the lines of a file that differ, with a few around them.
func (p *printer) textDifference(name string, width int, before, after string) {
	p.printf("      %s %-*s = <<-EOT\n", p.symbol(reconcile.Update), width, name)
	header := true // the names of the two files, up to the first hunk
	for line := range bytes.Lines(diff.Diff("before", []byte(before), "after", []byte(after))) {
		line = bytes.TrimRight(line, "\n")
		switch {
		case bytes.HasPrefix(line, []byte("@@")):
			if !header {
				p.printf("            ...\n")
			}
			header = false
		case header, len(line) == 0:
		case line[0] == '+':
			p.line(reconcile.Create, string(line[1:]))
		case line[0] == '-':
			p.line(reconcile.Delete, string(line[1:]))
		default:
			p.printf("            %s\n", clean(string(line[1:])))
		}
	}
	p.printf("        EOT\n")
}
