package planfile

import (
	"bufio"
	"fmt"
	"io"
	"slices"

	"github.com/hareconcile/hareconcile/internal/spec"
	"github.com/hareconcile/hareconcile/reconcile"
	"github.com/hareconcile/hareconcile/reconcile/resource"
)

// phrases says what will happen to the object of each action.
var phrases = map[string]string{
	"create": "will be created",
	"update": "will be updated in-place",
	"delete": "will be destroyed",
	"adopt":  "will be adopted; it is already as wanted",
}

// WriteText writes f for people, in the manner of terraform's plans. Text that came from
// elsewhere is escaped, so a plan cannot steer the terminal that shows it.
func (f File) WriteText(w io.Writer, color bool) error {
	p := &printer{out: bufio.NewWriterSize(w, 64<<10), color: color}
	if len(f.Changes)+len(f.Conflicts) > 0 {
		p.printf("%s  %s%s\n", p.paint(bold, "Revision"), f.Revision.describe(), subject(f.Revision))
		p.printf("%s      %s\n\n", p.paint(bold, "Node"), clean(f.Node))
	}
	if len(f.Changes) > 0 {
		p.printf("hareconcile will perform the following actions on %s:\n\n", clean(f.Node))
	}
	for _, c := range f.Changes {
		p.change(c)
	}
	p.conflicts(f)
	p.problems(f)
	p.findings(f.Policies)
	p.note(f)
	p.summary(f)
	return p.out.Flush()
}

// A printer writes the text of one plan. Its writer keeps the first error for Flush.
type printer struct {
	out   *bufio.Writer
	color bool
}

func (p *printer) printf(format string, args ...any) { fmt.Fprintf(p.out, format, args...) }

// The colours are those that terraform's users know.
const (
	bold, reset        = "\x1b[1m", "\x1b[0m"
	red, green, yellow = "\x1b[31m", "\x1b[32m", "\x1b[33m"
	cyan               = "\x1b[36m"
)

func (p *printer) paint(code, s string) string {
	if !p.color || s == "" {
		return s
	}
	return code + s + reset
}

// symbol returns an action's sign in its colour.
func (p *printer) symbol(a reconcile.Action) string {
	code := yellow
	switch a {
	case reconcile.Create:
		code = green
	case reconcile.Delete:
		code = red
	case reconcile.Adopt:
		code = cyan
	}
	return p.paint(code, string(a))
}

func (p *printer) change(c Change) {
	a := actions[c.Action]
	phrase := phrases[c.Action]
	if c.Drain {
		phrase = "will be drained, then destroyed"
	}
	phrase += classPhrase(c)
	p.header(c.Kind, c.Name, c.DefinedAt, phrase)
	p.printf("  %s %s {\n", p.symbol(a), clean(string(c.Kind)))
	switch a {
	case reconcile.Create:
		p.list(a, attributes(c.After), "")
	case reconcile.Delete:
		p.list(a, attributes(c.Before), " -> null")
	case reconcile.Adopt:
		p.hidden(len(set(attributes(c.After))))
	default:
		p.difference(attributes(c.Before), attributes(c.After))
	}
	p.printf("    }\n\n")
}

// header writes the comment line that names an object and where it is asked for.
func (p *printer) header(kind resource.Kind, name string, o *spec.Origin, phrase string) {
	at := ""
	if o != nil {
		at = fmt.Sprintf(" (%s, %s:%d)", clean(o.Address), clean(o.File), o.Line)
	}
	subject := fmt.Sprintf("# %s %q", clean(string(kind)), name)
	p.printf("  %s%s %s\n", p.paint(bold, subject), at, phrase)
}

func (p *printer) list(a reconcile.Action, attrs []attribute, suffix string) {
	attrs = set(attrs)
	width := nameWidth(attrs)
	for _, at := range attrs {
		if at.text != nil {
			p.text(a, at.name, width, *at.text)
			continue
		}
		p.printf("      %s %-*s = %s%s\n", p.symbol(a), width, at.name, at.value, suffix)
	}
}

// set leaves out the optional attributes that have no value.
func set(attrs []attribute) []attribute {
	return slices.DeleteFunc(attrs, func(at attribute) bool { return at.empty })
}

// difference writes the attributes that differ, aligned, and counts the others.
func (p *printer) difference(before, after []attribute) {
	old, texts := map[string]string{}, map[string]string{}
	for _, a := range before {
		old[a.name] = a.orNull()
		if a.text != nil {
			texts[a.name] = *a.text
		}
	}
	same := 0
	var changed []attribute
	for _, a := range after {
		switch {
		case a.text != nil && texts[a.name] != *a.text, a.text == nil && old[a.name] != a.orNull():
			changed = append(changed, a)
		case !a.empty:
			same++
		}
	}
	width := nameWidth(changed)
	for _, a := range changed {
		if a.text != nil {
			p.textDifference(a.name, width, texts[a.name], *a.text)
			continue
		}
		p.printf("      %s %-*s = %s -> %s\n", p.symbol(reconcile.Update), width, a.name, old[a.name], a.orNull())
	}
	p.hidden(same)
}

func (p *printer) hidden(n int) {
	if n > 0 {
		p.printf("        # (%s hidden)\n", plural(n, "unchanged attribute"))
	}
}

func nameWidth(attrs []attribute) int {
	w := 0
	for _, a := range attrs {
		w = max(w, len(a.name))
	}
	return w
}

// plural returns "1 thing" or "2 things".
func plural(n int, thing string) string {
	if n != 1 {
		thing += "s"
	}
	return fmt.Sprintf("%d %s", n, thing)
}

// problems writes why changes could never work on this host. Objects that one block asks
// for mostly have the same trouble, which is said once.
func (p *printer) problems(f File) {
	lines := f.ErrorLines()
	if len(lines) == 0 {
		return
	}
	p.printf("%s on this host these could never work, so nothing is applied.\n\n", p.paint(bold+red, "Errors:"))
	for _, line := range lines {
		p.printf("  %s\n", line)
	}
	p.printf("\n")
}

// findings writes what policies have against the plan; those that passed are not shown.
func (p *printer) findings(all []reconcile.Finding) {
	printed := false
	for _, f := range all {
		if f.Result == "pass" {
			continue
		}
		if !printed {
			p.printf("Policies:\n\n")
			printed = true
		}
		word, code := "Warning", yellow
		if f.Denies() {
			word, code = "Denied", red
		}
		subject := ""
		if f.Subject != "" {
			subject = " " + clean(f.Subject) + ":"
		}
		p.printf("  %s:%s %s\n", p.paint(code, word), subject, clean(f.Message))
		p.printf("    %s policy %q of the %s set, %s:%d", clean(f.Level), f.Policy, clean(f.Set), clean(f.File), f.Line)
		if f.Result == "error" {
			p.printf(" (it could not be evaluated)")
		}
		p.printf("\n\n")
	}
}

// note says what the plan leaves out.
func (p *printer) note(f File) {
	if f.Uncompared == 0 {
		return
	}
	what := "weights and presence, which checks and roles decide on, were"
	p.printf("Note: no facts from a running agent. Of %s, %s not compared.\n\n", plural(f.Uncompared, "object"), what)
}

func (p *printer) summary(f File) {
	if len(f.Changes) == 0 && len(f.Conflicts) == 0 {
		p.printf("%s %s matches %s.\n", p.paint(bold+green, "No changes."), clean(f.Node), f.Revision.describe())
		return
	}
	s := f.Summary
	adopt := ""
	if s.Adopt > 0 {
		adopt = fmt.Sprintf(", %d to adopt", s.Adopt)
	}
	p.printf("%s %d to add, %d to change, %d to destroy%s.\n", p.paint(bold, "Plan:"), s.Add, s.Change, s.Destroy, adopt)
	leaving := 0
	for _, c := range f.Changes {
		if c.Drain {
			leaving++
		}
	}
	if leaving > 0 {
		p.printf("%s will be drained first, and destroyed when the connections have ended.\n", plural(leaving, "server"))
	}
	if n := len(f.InTheWay()); n > 0 {
		p.printf("%s.\n", plural(n, "conflict"))
	}
	p.classes(f)
}
