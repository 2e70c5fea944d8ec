package planfile

import (
	"slices"

	"github.com/hareconcile/hareconcile/reconcile"
	"github.com/hareconcile/hareconcile/reconcile/resource"
)

// InTheWay returns the conflicts that keep f from being carried out in full: objects that
// somebody else made. What was set by hand is none of them.
func (f File) InTheWay() []Conflict {
	return slices.DeleteFunc(slices.Clone(f.Conflicts), func(c Conflict) bool { return c.ByHand })
}

// conflicts writes what somebody else made, and what somebody set by hand.
func (p *printer) conflicts(f File) {
	strangers := f.InTheWay()
	if len(strangers) > 0 {
		p.printf("Conflicts: somebody else made these, and they are not as wanted. They stay as they are.\n\n")
	}
	for _, c := range strangers {
		p.conflict(c, "is in the way")
	}
	if len(strangers) < len(f.Conflicts) {
		p.printf("Drift: somebody set these by hand in the running program. They stay as they are.\n\n")
	}
	for _, c := range f.Conflicts {
		if c.ByHand {
			p.conflict(c, "was set by hand, and is left (drift)")
			d := reconcile.Conflict{ID: resource.ID{Kind: c.Kind, Name: c.Name}, Live: c.Live, Want: c.Want}
			p.printf("  It %s.\n\n", clean(d.Detail()))
		}
	}
}

// conflict writes what is otherwise than wanted and stays.
func (p *printer) conflict(c Conflict, phrase string) {
	p.header(c.Kind, c.Name, c.DefinedAt, phrase)
	p.printf("  %s %s {\n", p.paint(red, "!"), clean(string(c.Kind)))
	live := map[string]string{}
	for _, a := range attributes(c.Live) {
		live[a.name] = a.value
	}
	var differ []attribute
	same := 0
	for _, a := range attributes(c.Want) {
		switch {
		case live[a.name] != a.value:
			differ = append(differ, a)
		case !a.empty:
			same++
		}
	}
	width := nameWidth(differ)
	for _, a := range differ {
		p.printf("      %s %-*s = %s, wanted %s\n", p.paint(red, "!"), width, a.name, live[a.name], a.value)
	}
	p.hidden(same)
	p.printf("    }\n\n")
}
