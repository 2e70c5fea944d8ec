package haproxy

import (
	"fmt"
	"slices"
	"strings"

	"github.com/hareconcile/hareconcile/internal/spec"
)

// renderedWords are those that Render starts lines of proxies with, beside plainWords.
var renderedWords = []string{"mode", "bind", "use_backend", "default_backend", "balance", "hash-type", "server"}

// TextConcerns is Concerns for a managed file: a saved plan brings one without the definition
// that it was rendered of.
func TextConcerns(text string, trust spec.HAProxyTrust) []Concern {
	c := &concerned{trust: trust}
	section := "none"
	for line := range strings.Lines(text) {
		words, _ := Words(line)
		if len(words) == 0 || trust.RawLines {
			continue
		}
		first := words[0].Text
		switch {
		case RawSection(first):
			section = first
		case first == "defaults", first == "frontend", first == "backend":
			section = ""
		case first == "global":
			section = first
		case slices.Contains(sections, first):
			c.line(spec.Origin{}, line, "No managed file has such a section.")
			section = "none"
		case section == "global":
			c.global(line, words)
		case section == "" && (slices.Contains(renderedWords, first) || withoutState(words)):
			c.words(spec.Origin{}, line, words)
		default:
			c.lines(spec.Origin{}, section, line)
		}
	}
	return c.found
}

// withoutState reports whether words say that no state of servers is read.
func withoutState(words []Word) bool {
	return len(words) == 2 && words[0].Text == "load-server-state-from-file" && words[1].Text == "none"
}

// global looks at a line of the section global: a managed file has two.
func (c *concerned) global(line string, words []Word) {
	texts := make([]string, len(words))
	for i, w := range words {
		texts[i] = w.Text
	}
	switch {
	case len(texts) == 3 && texts[0] == "setenv" && texts[1] == StructureVariable:
	case len(texts) > 3 && texts[0] == "stats" && texts[1] == "socket" && !words[2].Variable:
		c.socket(spec.Origin{}, fmt.Sprintf("%.80q", strings.TrimSpace(line)), texts[2])
	default:
		c.line(spec.Origin{}, line, "No managed file has this in its section global.")
	}
}
