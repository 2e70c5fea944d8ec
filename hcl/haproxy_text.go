package hcl

import (
	"fmt"
	"net/netip"
	"path"
	"slices"
	"strings"

	hcl2 "github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"

	"github.com/hareconcile/hareconcile/internal/haproxy"
)

// elementRange is where an element of a list is written, or the list if that is made elsewhere.
func (in *instance) elementRange(attr string, k int) hcl2.Range {
	if a := in.body.Attributes[attr]; a != nil {
		if list, ok := unguarded(a.Expr).(*hclsyntax.TupleConsExpr); ok && k < len(list.Exprs) {
			return list.Exprs[k].Range()
		}
	}
	return in.attrRange(attr)
}

// lines reads directives: each is one line that sets nothing which has an attribute.
func (in *instance) lines(attr string) []string {
	got := in.strings(attr)
	for k, l := range got {
		if problem := haproxy.LineProblem(l); problem != "" {
			in.ev.report.errorf(in.elementRange(attr, k), "The line cannot be here", "%.80q: %s", l, problem)
		}
	}
	return got
}

// raw reads a text of several such lines.
func (in *instance) raw(attr string) string {
	text := in.string(attr)
	in.each(in.attrRange(attr), text, haproxy.LineProblem)
	return text
}

// rawSections reads whole sections.
func (in *instance) rawSections(attr string) []string {
	got := in.strings(attr)
	for k, text := range got {
		at := in.elementRange(attr, k)
		words, _ := haproxy.Words(firstLine(text))
		if in.each(at, text, haproxy.SectionProblem) && (len(words) == 0 || !haproxy.RawSection(words[0].Text)) {
			in.ev.report.errorf(at, "The text starts no section", "Its first line is %.80q; sections as text are %s.", firstLine(text), strings.Join(haproxy.RawSections(), ", "))
		}
	}
	return got
}

// firstLine returns the first line that says something.
func firstLine(text string) string {
	for l := range strings.SplitSeq(text, "\n") {
		if haproxy.Bare(l) != "" {
			return strings.TrimSpace(l)
		}
	}
	return ""
}

// each reports the first line of a text that has a problem, or that there is none.
func (in *instance) each(at hcl2.Range, text string, problem func(string) string) bool {
	for l := range strings.SplitSeq(text, "\n") {
		if p := problem(l); p != "" {
			in.ev.report.errorf(at, "The line cannot be here", "%.80q: %s", strings.TrimSpace(l), p)
			return false
		}
	}
	return true
}

// fragment reads a part of a line.
func (in *instance) fragment(attr string) string {
	s := in.string(attr)
	if in.written(attr) && strings.TrimSpace(s) == "" {
		in.fail(attr, attr+" is empty", "Leave it out where nothing is meant.")
	}
	if problem := haproxy.FragmentProblem(s); problem != "" {
		in.fail(attr, attr+" cannot be that", "%.80q: %s", s, problem)
	}
	return s
}

// params reads the end of a line. apart are the words that have an attribute of their own.
func (in *instance) params(got []string, at func(int) hcl2.Range, apart map[string]string) []string {
	for k, s := range got {
		problem := haproxy.FragmentProblem(s)
		words, _ := haproxy.Words(s)
		for _, w := range words {
			// With "no-" before it, it takes back what the attribute says.
			if instead, ok := apart[strings.TrimPrefix(w.Text, "no-")]; ok && problem == "" {
				problem = fmt.Sprintf("%s has a place of its own, which plans compare: write %s.", w.Text, instead)
			}
		}
		if problem == "" && len(words) == 0 {
			problem = "It is empty."
		}
		if problem != "" {
			in.ev.report.errorf(at(k), "params cannot be that", "%.80q: %s", s, problem)
		}
	}
	return got
}

// The words of bind and server lines that have an attribute.
var (
	bindWords   = map[string]string{"name": "the label of bind", "ssl": "a block ssl", "crt": "crt in a block ssl", "alpn": "alpn in a block ssl", "ssl-min-ver": "min_version in a block ssl", "transparent": "nonlocal"}
	serverWords = map[string]string{
		"weight": "weight", "maxconn": "maxconn", "disabled": `admin = "maint"`, "enabled": `admin = "ready"`, "backup": "backup", "check": "check",
		"inter": "inter", "rise": "rise", "fall": "fall", "slowstart": "slowstart", "id": "nothing: the order gives ids",
	}
)

// checkBind is what an address to listen on may be.
func checkBind(v cty.Value) string {
	s := v.AsString()
	a, err := netip.ParseAddr(s)
	switch {
	case strings.Contains(s, "$"):
		return fmt.Sprintf("%.80q has a variable of the environment. Where that is not set, haproxy listens on all addresses. Write the address.", s)
	case s == "*":
		return `"*" is of no family. Write "0.0.0.0" or "::".`
	case err == nil && a.IsUnspecified():
		return ""
	case err == nil && a.Is6() && a.IsLinkLocalUnicast():
		return fmt.Sprintf("%s is a link-local address, which does not say on which link.", a)
	}
	return checkAddress(v)
}

// checkFileOrFolder is checkHAProxyPath, but a folder may end in a slash.
func checkFileOrFolder(v cty.Value) string {
	s := v.AsString()
	if trimmed := strings.TrimSuffix(s, "/"); path.IsAbs(trimmed) {
		return checkHAProxyPath(cty.StringVal(trimmed))
	}
	return checkHAProxyPath(v)
}

// checkMapValue is what stands behind a key: haproxy trims blanks (configuration.txt, map).
func checkMapValue(v cty.Value) string {
	s := v.AsString()
	if s == "" || strings.TrimSpace(s) != s || strings.ContainsFunc(s, func(c rune) bool { return c < ' ' || c == 0x7f }) {
		return fmt.Sprintf("%.80q is empty, or has a control character or a blank at its ends.", s)
	}
	return ""
}

// knownWord reports a first word that haproxy does not know.
func (in *instance) knownWord(attr, text string, known []string) {
	first, _, _ := strings.Cut(strings.TrimSpace(text), " ")
	first, _, _ = strings.Cut(first, "(")
	if first != "" && !slices.Contains(known, first) {
		in.fail(attr, attr+" cannot be that", "haproxy has no %.80q; it may be %s.%s", first, oneOf(known), DidYouMean(first, known))
	}
}
