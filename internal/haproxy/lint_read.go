package haproxy

import (
	"net/netip"
	"slices"
	"strings"
)

// A section is one of a configuration.
type section struct {
	path       string
	line       int
	kind, name string
	lines      []line
	defaults   *section // whose settings a proxy has; nil is none
	named      bool     // it says so by `from`
	maybe      bool     // it begins between .if and .endif
	ours       bool
	index      int // among all
}

// A line is one that says something.
type line struct {
	number int
	words  []Word
	maybe  bool // between .if and .endif
}

// word returns the text of a word, "" if there are not as many or the environment decides.
func (l line) word(i int) string {
	if i >= len(l.words) || l.words[i].Variable {
		return ""
	}
	return l.words[i].Text
}

// has reports whether a word is among those of l.
func (l line) has(text string) bool {
	return slices.ContainsFunc(l.words, func(w Word) bool { return !w.Variable && w.Text == text })
}

// binds returns the addresses of a bind line.
func (l line) binds() []Bind {
	if l.word(0) != "bind" {
		return nil
	}
	texts := make([]string, len(l.words))
	for i := range l.words {
		texts[i] = l.word(i)
	}
	return lineBinds(l.number, texts)
}

// title names a section for people.
func (s *section) title() string { return strings.TrimSpace(s.kind + " " + s.name) }

// proxy reports whether s takes connections or makes them.
func (s *section) proxy() bool {
	return s.kind == "frontend" || s.kind == "backend" || s.kind == "listen"
}

// has reports whether s has lines of a keyword.
func (s *section) has(keyword string) bool {
	return slices.ContainsFunc(s.lines, func(l line) bool { return l.word(0) == keyword })
}

// setting reports whether s or its defaults may have a line of keyword with that word.
func (s *section) setting(keyword, word string) bool {
	for ; s != nil; s = s.defaults {
		if slices.ContainsFunc(s.lines, func(l line) bool { return l.word(0) == keyword && l.has(word) }) {
			return true
		}
	}
	return false
}

// read splits files into sections. A section ends with its file, and defaults do not.
func read(files []Source, managed string) []*section {
	var out []*section
	var last *section
	named := map[string]*section{}
	for _, f := range files {
		var now *section
		depth, n := 0, 0
		for text := range strings.Lines(f.Text) {
			n++
			words, _ := Words(text)
			if len(words) == 0 {
				continue
			}
			l := line{n, words, depth > 0}
			switch keyword := l.word(0); {
			case keyword == ".if":
				depth++
			case keyword == ".endif":
				depth = max(0, depth-1)
			case strings.HasPrefix(keyword, "."):
			case slices.Contains(sections, keyword):
				now = &section{path: f.Path, line: n, kind: keyword, name: l.word(1), maybe: l.maybe, ours: f.Path == managed, index: len(out)}
				now.inherit(l, last, named)
				if keyword == "defaults" {
					last, named[now.name] = now, now
				}
				out = append(out, now)
			case now != nil:
				now.lines = append(now.lines, l)
			}
		}
	}
	return out
}

// inherit finds the defaults of a proxy, or of other defaults that name some.
func (s *section) inherit(l line, last *section, named map[string]*section) {
	for i := range l.words {
		if i > 0 && l.word(i) == "from" {
			s.named = true
			s.defaults = named[l.word(i+1)]
			if i == 1 {
				s.name = ""
			}
			return
		}
	}
	if s.proxy() {
		s.defaults = last
	}
}

// isName reports whether the address of a server is a name that is looked up.
func isName(w Word) bool {
	if w.Variable || strings.ContainsAny(w.Text, "/@") {
		return false
	}
	host := w.Text
	if _, err := netip.ParseAddr(host); err == nil {
		return false
	}
	if colon := strings.LastIndexByte(host, ':'); colon >= 0 {
		host = host[:colon]
	}
	_, err := netip.ParseAddr(strings.Trim(host, "[]"))
	return err != nil && host != "" && host != "*"
}
