package haproxy

import (
	"slices"
	"strconv"
	"strings"
)

// once are the words of which haproxy takes the first and ignores the others, with rc=0
// (cfgparse-global.c: "already specified. Continuing").
var once = []string{
	"maxconn", "chroot", "pidfile", "ulimit-n", "maxconnrate", "maxsessrate", "maxsslrate", "log-send-hostname", "spread-checks", "server-state-base", "server-state-file",
}

// global looks at the settings of the process, which may be in several sections and files.
func (c *linter) global() {
	first := map[string]string{} // where it is set
	limit, ends := 0, false
	for _, s := range c.sections {
		if s.kind != "global" {
			continue
		}
		for _, l := range s.lines {
			word := l.word(0)
			ends = ends || word == "hard-stop-after"
			switch {
			case l.maybe:
			case word == "stats" && l.word(1) == "socket" && !s.ours:
				c.open(s, l)
			case !slices.Contains(once, word):
			case first[word] != "":
				c.add(s, l.number, "The line has no effect", "haproxy takes the first "+word+", at "+first[word]+", and goes on.")
			default:
				first[word] = s.path + ":" + strconv.Itoa(l.number)
				if word == "maxconn" {
					limit, _ = strconv.Atoi(l.word(1)) // haproxy refuses what is no number
				}
			}
		}
	}
	if top := c.top(); top != nil && !ends {
		c.add(top, top.line, "Old workers may stay forever",
			"A worker that a reload replaced lives until its last connection ends, and many reloads make many workers. Write hard-stop-after 30m, or another time, in a global section.")
	}
	if limit > 0 {
		c.limits(limit, first["maxconn"])
	}
}

// top returns the section where settings of the process belong: the first global one of the
// user's, or any of the user's.
func (c *linter) top() *section {
	var top *section
	for _, s := range c.sections {
		if !s.ours && (top == nil || top.kind != "global" && s.kind == "global") {
			top = s
		}
	}
	return top
}

// limits reports limits of proxies that are never reached.
func (c *linter) limits(limit int, at string) {
	for _, s := range c.sections {
		if s.ours || !s.proxy() && s.kind != "defaults" {
			continue
		}
		for _, l := range s.lines {
			if n, err := strconv.Atoi(l.word(1)); !l.maybe && l.word(0) == "maxconn" && err == nil && n > limit {
				c.add(s, l.number, "The limit is never reached",
					"All proxies together have at most "+strconv.Itoa(limit)+" connections, by maxconn at "+at+", and this one lets "+s.title()+" take all of them.")
			}
		}
	}
}

// open reports sockets on which others than root may do everything.
func (c *linter) open(s *section, l line) {
	level, mode := "operator", ""
	for i := 3; i+1 < len(l.words); i++ {
		switch l.word(i) {
		case "level":
			level = l.word(i + 1)
		case "mode":
			mode = l.word(i + 1)
		}
	}
	if level != "admin" || len(l.words) < 3 {
		return
	}
	address := l.word(2)
	bits, err := strconv.ParseUint(mode, 8, 16)
	if at := strings.LastIndexByte(address, ':'); at >= 0 && !strings.ContainsRune(address, '/') && !strings.HasPrefix(address, "abns") {
		c.add(s, l.number, "Whoever reaches the port commands haproxy",
			"At level admin, without a password, "+address+" takes servers out and shuts sessions down. Use a Unix socket with a mode and a group.")
	} else if err == nil && bits&0o002 != 0 {
		c.add(s, l.number, "Every user of this host commands haproxy",
			"With mode "+mode+" and level admin, everybody takes servers out and shuts sessions down. Write mode 660 and a group, or level user beside a socket for those who may.")
	}
}

// variables reports those that are not set. haproxy takes them for empty.
func (c *linter) variables(s *section) {
	if c.Environment == nil {
		return
	}
	if c.told == nil {
		c.told = map[string]bool{}
		for _, s := range c.sections {
			for _, l := range s.lines {
				if w := l.word(0); w == "setenv" || w == "presetenv" {
					c.told[l.word(1)] = true // the files set it
				}
			}
		}
	}
	for _, l := range s.lines {
		for _, w := range l.words {
			for _, name := range variables(w) {
				if l.maybe || c.Environment[name] || c.told[name] || strings.HasPrefix(name, "HAPROXY_") {
					continue
				}
				c.told[name] = true
				c.add(s, l.number, "A variable is not set",
					"haproxy's environment has no "+name+", which is empty then: a bind listens on all addresses for want of one. Set it where haproxy is started, or by presetenv.")
			}
		}
	}
}

// variables returns the names of variables in a word: they count inside double quotes only
// (configuration.txt, section 2.3). One with a default is never empty by mistake.
func variables(w Word) []string {
	if !w.Variable {
		return nil
	}
	var out []string
	quote := byte(0)
	for i := 0; i < len(w.Raw); i++ {
		switch b := w.Raw[i]; {
		case b == '\\' && quote != '\'':
			i++
		case quote == 0 && (b == '"' || b == '\''):
			quote = b
		case b == quote:
			quote = 0
		case b == '$' && quote == '"':
			name, rest := w.Raw[i+1:], ""
			braced := strings.HasPrefix(name, "{")
			name = strings.TrimPrefix(name, "{")
			end := strings.IndexFunc(name, func(r rune) bool {
				return r != '_' && (r < '0' || r > '9') && (r < 'A' || r > 'Z') && (r < 'a' || r > 'z')
			})
			if end >= 0 {
				name, rest = name[:end], name[end:]
			}
			if name != "" && !(braced && strings.HasPrefix(rest, "-")) {
				out = append(out, name)
			}
		}
	}
	return out
}
