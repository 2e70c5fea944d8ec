package hcl

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	hcl2 "github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
)

// namePattern is what labels, nodes and for_each keys may be: they end in command lines,
// metrics and kernel objects.
var namePattern = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_.-]{0,62}$`)

const nameRule = "A name has 1 to 63 letters, digits, dots, hyphens and underscores, and starts with a letter, digit or underscore."

// checkBody reports names that the schema does not know, and what it wants and does not find.
func checkBody(r *report, def *block, body *hclsyntax.Body, where string) {
	misspelt := map[string]bool{}
	for _, name := range sortedKeys(body.Attributes) {
		checkAttribute(r, def, body.Attributes[name], where)
		if _, ok := def.attr(name); !ok {
			misspelt[nearest(name, def.attrNames())] = true
		}
	}
	for _, a := range def.attrs {
		if _, ok := body.Attributes[a.name]; a.required && !ok && !misspelt[a.name] {
			r.errorf(body.MissingItemRange(), fmt.Sprintf("%s is missing", a.name), "%s needs an attribute %q: %s", upperFirst(where), a.name, a.doc)
		}
	}
	count := map[string]int{}
	for _, b := range body.Blocks {
		count[b.Type]++
		checkNested(r, def, b, where, count[b.Type])
	}
}

func checkAttribute(r *report, def *block, a *hclsyntax.Attribute, where string) {
	if def.open || a.Name == "for_each" && def.each {
		return
	}
	known, ok := def.attr(a.Name)
	switch {
	case ok && known.later:
		notYet(r, a.NameRange, a.Name, where)
	case ok:
	case a.Name == "for_each":
		r.errorf(a.NameRange, "for_each does not work here", "%s cannot be repeated. Inside a block, write dynamic %q.", upperFirst(where), def.name)
	default:
		if _, isBlock := def.block(a.Name); isBlock {
			r.errorf(a.NameRange, fmt.Sprintf("%s is a block", a.Name), "Write %s { ... } without an equals sign.", a.Name)
			return
		}
		r.errorf(a.NameRange, "Unknown attribute", "%s has no attribute %q.%s", upperFirst(where), a.Name, def.suggest(a.Name, def.attrNames()))
	}
}

func checkNested(r *report, def *block, b *hclsyntax.Block, where string, nth int) {
	if b.Type == "dynamic" && def.name != "" {
		checkDynamic(r, def, b, where)
		return
	}
	child, ok := def.block(b.Type)
	switch {
	case !ok:
		if _, isAttr := def.attr(b.Type); isAttr {
			r.errorf(b.TypeRange, fmt.Sprintf("%s is an attribute", b.Type), "Write %s = ... with an equals sign.", b.Type)
			return
		}
		r.errorf(b.TypeRange, "Unknown block", "%s has no block %q.%s", upperFirst(where), b.Type, def.suggest(b.Type, def.blockNames()))
		return
	case child.later:
		notYet(r, b.TypeRange, b.Type, where)
		return
	case child.single && nth > 1:
		r.errorf(b.DefRange(), fmt.Sprintf("There are two %s blocks", b.Type), "%s may have one.", upperFirst(where))
	}
	if len(b.Labels) != len(child.labels) {
		r.errorf(b.DefRange(), "Wrong number of labels", "%s block is written %s.", strings.Replace(article(b.Type), "a", "A", 1), usage(child))
		return
	}
	for i, l := range b.Labels {
		if !namePattern.MatchString(l) {
			r.errorf(b.LabelRanges[i], "Not a name", "%q cannot be a name. %s", l, nameRule)
		}
	}
	checkBody(r, child, b.Body, title(b.Type, b.Labels))
}

// checkDynamic checks a dynamic block, whose content is a body of the block that it makes.
func checkDynamic(r *report, def *block, b *hclsyntax.Block, where string) {
	if len(b.Labels) != 1 {
		r.errorf(b.DefRange(), "Wrong number of labels", `A dynamic block names the block it makes: dynamic "server" { ... }.`)
		return
	}
	child, ok := def.block(b.Labels[0])
	if !ok || child.later {
		r.errorf(b.LabelRanges[0], "Unknown block", "%s has no block %q.%s", upperFirst(where), b.Labels[0], DidYouMean(b.Labels[0], def.blockNames()))
		return
	}
	made := &block{
		name: "dynamic", attrs: []attribute{
			{name: "for_each", required: true, doc: "a map, or a set of strings."},
			{name: "labels", required: len(child.labels) > 0, doc: "the new block's labels, as a list."},
			{name: "iterator", doc: "another name for the iterator."},
		},
		blocks: []*block{{name: "content", single: true, attrs: child.attrs, blocks: child.blocks}},
	}
	checkBody(r, made, b.Body, fmt.Sprintf("dynamic %q", b.Labels[0]))
	if !slices.ContainsFunc(b.Body.Blocks, func(c *hclsyntax.Block) bool { return c.Type == "content" }) {
		r.errorf(b.DefRange(), "content is missing", "A dynamic block needs a block content { ... }.")
	}
}

// notYet refuses what a later version will accept.
func notYet(r *report, at hcl2.Range, what, where string) {
	r.errorf(at, fmt.Sprintf("%s is not supported in this version", what), "%s cannot have it yet; nothing that does not work is accepted.", upperFirst(where))
}

// usage shows how a block is written.
func usage(b *block) string {
	out := b.name
	for _, l := range b.labels {
		out += fmt.Sprintf(" %q", strings.ToUpper(l))
	}
	return out + " { ... }"
}

// title names a block for sentences: pool "web".
func title(typ string, labels []string) string {
	for _, l := range labels {
		typ += fmt.Sprintf(" %q", l)
	}
	return typ
}

func upperFirst(s string) string {
	if strings.HasPrefix(s, "the ") {
		return "T" + s[1:]
	}
	return s
}
