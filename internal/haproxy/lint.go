package haproxy

import (
	"cmp"
	"net/netip"
	"slices"
)

// A Source is a file of a configuration.
type Source struct{ Path, Text string }

// Loaded is what one haproxy loads.
type Loaded struct {
	Files []Source // in the order in which it reads them
	// Managed is the path of the file that hareconcile writes. What only concerns that one is
	// for those to judge who read the definition it is made of.
	Managed string
	// Environment has the variables of haproxy's environment; nil if nobody knows them.
	Environment map[string]bool
	// Virtual are addresses that move between nodes and that this one may not bind to while
	// another has them.
	Virtual []netip.Addr
}

// A Finding is a line that haproxy takes, and that people may regret.
type Finding struct {
	Path            string
	Line            int
	Summary, Detail string
}

// maxFindings bounds what Lint returns.
const maxFindings = 100

// Lint looks for traps in all files that a haproxy loads, those that `haproxy -c` says nothing
// of or takes all the same. It is a pure function. Lines between .if and .endif are never
// found fault with, since nobody knows here whether they count.
func Lint(l Loaded) []Finding {
	c := &linter{Loaded: l}
	c.sections = read(l.Files, l.Managed)
	c.global()
	c.binds()
	for _, s := range c.sections {
		if s.ours {
			continue
		}
		c.variables(s)
		c.stateFile(s)
		if s.proxy() {
			c.borrowed(s)
			c.timeouts(s)
			c.redispatch(s)
			c.names(s)
			c.virtual(s)
		}
	}
	order := map[string]int{}
	for i, f := range l.Files {
		order[f.Path] = i
	}
	slices.SortStableFunc(c.found, func(a, b Finding) int {
		return cmp.Or(cmp.Compare(order[a.Path], order[b.Path]), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Detail, b.Detail))
	})
	return c.found[:min(len(c.found), maxFindings)]
}

// A linter collects findings.
type linter struct {
	Loaded
	sections []*section
	found    []Finding
	told     map[string]bool // variables that were reported
}

// add reports something about a line of s.
func (c *linter) add(s *section, line int, summary, detail string) {
	c.found = append(c.found, Finding{s.path, line, summary, detail})
}

// borrowed reports proxies that take the settings of our defaults: one that names none has the
// last ones before it, and be they of another file (configuration.txt, section 4).
func (c *linter) borrowed(s *section) {
	if s.defaults != nil && s.defaults.ours && !s.named && !s.maybe {
		c.add(s, s.line, "The proxy has settings of hareconcile's file",
			"The last defaults before "+s.title()+" are those of "+s.defaults.path+". Begin the file with a defaults section of its own, or have haproxy read the file before.")
	}
}

// timeouts reports proxies whose connections may stay forever.
func (c *linter) timeouts(s *section) {
	if s.maybe {
		return
	}
	var want []string
	if s.kind != "backend" && s.has("bind") {
		want = append(want, "client")
	}
	if s.kind != "frontend" && (s.has("server") || s.has("server-template")) {
		want = append(want, "connect", "server")
	}
	for _, name := range want {
		if !s.setting("timeout", name) {
			c.add(s, s.line, "The proxy has no timeout "+name,
				"A connection of "+s.title()+" that nobody ends stays, and so does the worker that has it, whatever is reloaded. Write timeout "+name+" there or in its defaults.")
		}
	}
}

// redispatch reports backends whose clients keep to a server that has just died.
func (c *linter) redispatch(s *section) {
	if s.kind == "frontend" || s.setting("option", "redispatch") {
		return
	}
	for _, l := range s.lines {
		first, second := l.word(0), l.word(1)
		if !l.maybe && (first == "cookie" || first == "stick" && (second == "on" || second == "match")) {
			c.add(s, l.number, "Clients keep to a server that died",
				"Until a check finds it out, haproxy tries the server that a client of "+s.title()+" is bound to, and no other. Write option redispatch there or in its defaults.")
			return
		}
	}
}

// names reports servers for whose names a start depends on the DNS.
func (c *linter) names(s *section) {
	if s.kind == "frontend" || s.setting("default-server", "init-addr") {
		return
	}
	for _, l := range s.lines {
		host := 2
		if l.word(0) == "server-template" {
			host = 3
		} else if l.word(0) != "server" {
			continue
		}
		if l.maybe || len(l.words) <= host || !isName(l.words[host]) || l.has("init-addr") {
			continue
		}
		c.add(s, l.number, "A start needs the DNS",
			"haproxy does not start, and takes no reload, while nobody knows the address of "+l.word(host)+". Write init-addr last,libc,none after it.")
	}
}

// virtual reports binds to addresses that this node has only now and then.
func (c *linter) virtual(s *section) {
	for _, l := range s.lines {
		for _, b := range l.binds() {
			if !l.maybe && !b.Transparent && slices.Contains(c.Virtual, b.Address) {
				c.add(s, l.number, "The bind needs an address that moves",
					"While another node has "+b.Address.String()+", haproxy does not start here, and a reload refuses all connections for two seconds. Write transparent after it, or set net.ipv4.ip_nonlocal_bind (net.ipv6 for IPv6).")
			}
		}
	}
}

// stateFile reports what makes old addresses win over those of the files.
func (c *linter) stateFile(s *section) {
	for _, l := range s.lines {
		if !l.maybe && l.word(0) == "load-server-state-from-file" && (l.word(1) == "global" || l.word(1) == "local") {
			c.add(s, l.number, "A state file goes before the configuration",
				"After a reload, servers have the addresses, ports and states that the state file tells, and not those that were changed here. Write none.")
		}
	}
}
