package haproxy

import (
	"cmp"
	"net/netip"
	"slices"
	"strconv"
)

// A listener is a bind of a section.
type listener struct {
	Bind
	section *section
}

// binds reports addresses that two proxies listen on. haproxy loads that, and the kernel gives
// each a part of the connections (socket(7), SO_REUSEPORT). One proxy may bind twice, with
// other threads.
func (c *linter) binds() {
	type place struct {
		address netip.Addr
		device  string
	}
	at := map[place][]listener{}
	for _, s := range c.sections {
		for _, l := range s.lines {
			if !s.proxy() || l.maybe {
				continue
			}
			for _, b := range l.binds() {
				p := place{b.Address, b.Interface}
				at[p] = append(at[p], listener{b, s})
			}
		}
	}
	for _, ls := range at {
		slices.SortStableFunc(ls, func(a, b listener) int { return cmp.Compare(a.First, b.First) })
		for i := 1; i < len(ls); i++ {
			// The one whose ports reach furthest is what the next may run into.
			wide, next := ls[i-1], ls[i]
			if next.First <= wide.Last && next.section != wide.section {
				c.shared(wide, next)
			}
			if wide.Last > next.Last {
				ls[i] = wide
			}
		}
	}
}

// shared reports the later of two listeners, in the order of the files.
func (c *linter) shared(a, b listener) {
	if a.section.index > b.section.index {
		a, b = b, a
	}
	c.add(b.section, b.Line, "Two proxies listen on one port",
		b.section.title()+" listens on "+b.Text+", and so does "+a.section.title()+" at "+a.section.path+":"+strconv.Itoa(a.Line)+
			". haproxy takes both, and each gets a part of the connections. Take one away.")
}
