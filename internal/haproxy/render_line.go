package haproxy

import (
	"slices"
	"strings"
	"unicode"
)

// refused starts a line that haproxy knows in no section: it loads no file with one.
const refused = "hareconcile-refuses "

// sections are the words that start a section in some release, and macros that no one file
// may decide for the others.
var sections = []string{
	"global", "defaults", "frontend", "backend", "listen", "userlist", "peers", "mailers", "resolvers", "cache", "ring",
	"log-forward", "log-profile", "http-errors", "fcgi-app", "program", "namespace_list", "crt-store", "traces", "acme", "healthcheck",
}

// rawSections are those that may be written by hand.
var rawSections = []string{"userlist", "peers", "mailers", "resolvers", "cache", "ring", "log-forward", "http-errors", "fcgi-app"}

// typed are the words of proxies that have an attribute or a block of their own.
var typed = map[string]string{
	"server": "a block server", "server-template": "blocks server", "default-server": "server_defaults", "bind": "a block bind",
	"balance": "balance", "hash-type": "hash", "mode": "mode", "use_backend": "a block route", "default_backend": "default_backend",
	"load-server-state-from-file": "",
}

// RawSection reports whether a section of that keyword may be written by hand.
func RawSection(keyword string) bool { return slices.Contains(rawSections, keyword) }

// RawSections returns the keywords of the sections that may be written by hand.
func RawSections() []string { return slices.Clone(rawSections) }

// A Word is one word of a line of haproxy.
type Word struct {
	Raw  string // as it is written
	Text string // without quotes and escapes
	// Variable is whether a part is the environment's: "$X" is that inside double quotes.
	Variable bool
}

// Words splits a line as haproxy does (configuration.txt, section 2.2): blanks separate,
// quotes and backslashes protect, a hash starts a comment. ok is false where a quote has no
// end.
func Words(line string) (words []Word, ok bool) {
	for {
		line = strings.TrimLeft(line, " \t\r\n\v\f")
		if line == "" || line[0] == '#' {
			return words, true
		}
		w, n, ok := nextWord(line)
		words = append(words, w)
		if !ok {
			return words, false
		}
		line = line[n:]
	}
}

// nextWord reads the word that s starts with, and its length.
func nextWord(s string) (w Word, n int, ok bool) {
	var text []byte
	quote := byte(0)
	for n < len(s) {
		c := s[n]
		switch {
		case quote == 0 && (c == '#' || strings.IndexByte(" \t\r\n\v\f", c) >= 0):
			w.Raw, w.Text = s[:n], string(text)
			return w, n, true
		case quote == 0 && (c == '"' || c == '\''):
			quote = c
		case c == quote:
			quote = 0
		case c == '\\' && quote != '\'' && n+1 < len(s):
			b, size := escape(s[n:], quote == '"')
			text = append(text, b)
			n += size - 1
		case c == '$' && quote == '"':
			w.Variable = true
			text = append(text, c)
		default:
			text = append(text, c)
		}
		n++
	}
	w.Raw, w.Text = s, string(text)
	return w, n, quote == 0
}

// escape reads a backslash with what it protects: one byte, and how much of s it is. Before
// any other character it stands for itself.
func escape(s string, double bool) (b byte, size int) {
	switch c := s[1]; c {
	case 'n':
		return '\n', 2
	case 'r':
		return '\r', 2
	case 't':
		return '\t', 2
	case ' ', '\\', '#', '\'', '"':
		return c, 2
	case 'x':
		if len(s) >= 4 && isHex(s[2]) && isHex(s[3]) {
			return unhex(s[2])<<4 | unhex(s[3]), 4
		}
	case '$':
		if double {
			return c, 2
		}
	}
	return '\\', 1
}

func isHex(c byte) bool { return strings.IndexByte("0123456789abcdefABCDEF", c) >= 0 }

func unhex(c byte) byte {
	switch {
	case c >= 'a':
		return c - 'a' + 10
	case c >= 'A':
		return c - 'A' + 10
	}
	return c - '0'
}

// Bare returns a line without comments and spare blanks.
func Bare(line string) string {
	words, _ := Words(line)
	raw := make([]string, 0, len(words))
	for _, w := range words {
		raw = append(raw, w.Raw)
	}
	return strings.Join(raw, " ")
}

func firstWord(line string) string {
	if words, _ := Words(line); len(words) > 0 {
		return words[0].Text
	}
	return ""
}

// startsSection reports whether haproxy ends the section before line, or may do so: where a
// variable decides, it may.
func startsSection(line string) bool {
	words, _ := Words(line)
	return len(words) > 0 && (words[0].Variable || words[0].Text == "" || strings.HasPrefix(words[0].Text, ".") || slices.Contains(sections, words[0].Text))
}

// LineProblem says why a line may not be among those that people add to a proxy, or nothing.
func LineProblem(line string) string {
	words, ok := Words(line)
	if problem := wordsProblem(line, words, ok); problem != "" || len(words) == 0 {
		return problem
	}
	first := words[0].Text
	instead, isTyped := typed[first]
	switch {
	case slices.Contains(sections, first):
		return "The word " + first + " starts a new section."
	case isTyped && instead != "":
		return "The word " + first + " has a place of its own, which plans compare: write " + instead + "."
	case isTyped:
		return "The word " + first + " would put old addresses over those that are written here."
	case first == "stats" && len(words) > 1 && words[1].Text == "socket":
		return "The socket is declared by runtime_socket."
	}
	return ""
}

// SectionProblem says why a line may not be in sections that people add, or nothing.
func SectionProblem(line string) string {
	words, ok := Words(line)
	if problem := wordsProblem(line, words, ok); problem != "" || len(words) == 0 {
		return problem
	}
	if first := words[0].Text; slices.Contains(sections, first) && !RawSection(first) {
		return "A section " + first + " is not written as text here."
	}
	return ""
}

// wordsProblem says what no line may have.
func wordsProblem(line string, words []Word, closed bool) string {
	switch {
	case strings.ContainsFunc(line, func(c rune) bool { return unicode.IsControl(c) && c != '\t' }):
		return "It has a control character."
	case !closed:
		return "A quote has no end."
	case len(words) == 0:
		return ""
	case words[0].Variable || words[0].Text == "":
		return "The first word is not written out, so nobody knows what the line does."
	case strings.HasPrefix(words[0].Text, "."):
		return "The word " + words[0].Text + " decides on other lines, which plans cannot see."
	}
	return ""
}

// plain makes one line of a text.
func plain(s string) string { return strings.TrimSpace(clean(s)) }

// clean makes blanks of what would end a line, or is seen by nobody.
func clean(s string) string {
	return strings.Map(func(c rune) rune {
		if unicode.IsControl(c) {
			return ' '
		}
		return c
	}, s)
}

// word writes a text as one word.
func word(s string) string {
	s = plain(s)
	if s != "" && !strings.ContainsFunc(s, func(c rune) bool {
		return !unicode.IsLetter(c) && !unicode.IsDigit(c) && !strings.ContainsRune("_.:/@%+=,~*?&;<>!^()|[]-", c)
	}) {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

// FragmentProblem says why a text may not be a part of a line, or nothing: it has to end
// where it seems to.
func FragmentProblem(text string) string {
	const end = "end"
	words, ok := Words(text + " " + end)
	if problem := wordsProblem(text, nil, ok); problem != "" {
		return problem
	}
	if len(words) == 0 || words[len(words)-1].Raw != end {
		return "A comment or a backslash takes the rest of the line with it."
	}
	return ""
}
