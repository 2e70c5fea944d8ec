package hcl

import (
	"fmt"
	"slices"
	"strings"

	hcl2 "github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
)

// The limits of what for_each and dynamic make.
const (
	maxInstances = 100_000 // in one view
	maxNodes     = 256
)

// An instance is one block after for_each and dynamic, whose attributes are evaluated on demand.
type instance struct {
	ev      *evaluator
	def     *block
	body    *hclsyntax.Body
	at      hcl2.Range
	address string // pool.web["a"], pool.web.server.rs1
	name    string // web["a"], rs1
	scope   *scope
	slots   []attrSlot // of the attributes that are written and were asked for
}

// An attrSlot is the slot of one attribute.
type attrSlot struct {
	name string
	slot *slot
}

func (ev *evaluator) instance(def *block, b *hclsyntax.Block, address string, s *scope) *instance {
	in := &instance{ev: ev, def: def, body: b.Body, at: b.DefRange(), address: address, scope: s}
	if len(b.Labels) > 0 {
		in.name = b.Labels[0]
	}
	return in
}

// all returns every instance of a top-level block type, in the order of the files.
func (ev *evaluator) all(def *block) []*instance {
	var out []*instance
	for _, b := range ev.unique(def) {
		out = append(out, ev.repeat(def, b).list...)
	}
	return out
}

// unique returns the blocks of a type, and reports those whose name is taken.
func (p *program) unique(def *block) []*hclsyntax.Block {
	var out []*hclsyntax.Block
	for _, b := range p.blocks[def.name] {
		if len(b.Labels) != len(def.labels) {
			continue // reported by checkBody
		}
		if first := p.named[def.name+"."+b.Labels[0]]; first != b {
			p.report.errorf(b.DefRange(), "The name is taken", "Another %s %q is at %s.", def.name, b.Labels[0], place(first.DefRange()))
			continue
		}
		out = append(out, b)
	}
	return out
}

// A family is the instances that one top-level block makes.
type family struct {
	list  []*instance
	byKey map[string]*instance // by for_each key
	known bool                 // for_each had a value
}

// repeat returns the instances of one top-level block.
func (ev *evaluator) repeat(def *block, b *hclsyntax.Block) *family {
	address := def.name + "." + b.Labels[0]
	if got, ok := ev.instances[address]; ok {
		return got
	}
	f := &family{byKey: map[string]*instance{}}
	forEach, ok := b.Body.Attributes["for_each"]
	if !ok {
		f.known = true
		f.list = []*instance{ev.instance(def, b, address, nil)}
		ev.instances[address] = f
		return f
	}
	ev.memo(address+".for_each", forEach.Expr.Range(), func() cty.Value {
		v := ev.eval(forEach.Expr, nil)
		elements, ok := ev.elements(v, forEach.Expr.Range())
		f.known = ok
		for _, it := range elements {
			in := ev.instance(def, b, fmt.Sprintf("%s[%q]", address, it.key), &scope{name: "each", element: it})
			in.name = fmt.Sprintf("%s[%q]", b.Labels[0], it.key)
			f.list = append(f.list, in)
			f.byKey[it.key] = in
		}
		ev.instances[address] = f
		return v
	})
	return f
}

// An element is one turn of for_each.
type element struct {
	key   string
	value cty.Value
}

// elements lists what for_each goes through, sorted by key.
func (ev *evaluator) elements(v cty.Value, at hcl2.Range) ([]element, bool) {
	if v.ContainsMarked() {
		ev.report.errorf(at, "for_each is sensitive", "Keys become names, which are shown.")
		return nil, false
	}
	t := v.Type()
	if !v.IsKnown() || t.IsSetType() && !v.IsWhollyKnown() {
		return nil, false
	}
	if v.IsNull() || !t.IsMapType() && !t.IsObjectType() && !(t.IsSetType() && t.ElementType() == cty.String) {
		ev.report.errorf(at, "for_each needs a map", "It got %s. A map gives keys and values; of a list of strings, make a set with toset().", friendly(v))
		return nil, false
	}
	if ev.made += v.LengthInt(); ev.made > maxInstances {
		ev.report.errorf(at, "for_each makes too many blocks", "A file may make %d blocks for one node.", maxInstances)
		return nil, false
	}
	var out []element
	for it := v.ElementIterator(); it.Next(); {
		key, value := it.Element()
		if t.IsSetType() {
			key = value
		}
		if key.IsNull() || !namePattern.MatchString(key.AsString()) {
			ev.report.errorf(at, "Not a name", "The key %s cannot be a name. %s", friendlyKey(key), nameRule)
			return nil, false
		}
		out = append(out, element{key.AsString(), value})
	}
	return out, true
}

func friendly(v cty.Value) string {
	if v.IsNull() {
		return "null"
	}
	return article(v.Type().FriendlyName())
}

func friendlyKey(v cty.Value) string {
	if v.IsNull() {
		return "null"
	}
	return fmt.Sprintf("%.80q", v.AsString())
}

// children returns the blocks of one type in in, also those that dynamic makes.
func (in *instance) children(name string) []*instance {
	def, ok := in.def.block(name)
	if !ok {
		return nil
	}
	var out []*instance
	for _, b := range in.body.Blocks {
		switch {
		case b.Type == name && len(b.Labels) == len(def.labels):
			out = append(out, in.child(def, b.Body, b.DefRange(), b.Labels, in.scope))
		case b.Type == "dynamic" && len(b.Labels) == 1 && b.Labels[0] == name:
			out = append(out, in.dynamic(def, b)...)
		}
	}
	return out
}

func (in *instance) child(def *block, body *hclsyntax.Body, at hcl2.Range, labels []string, s *scope) *instance {
	parts := append([]string{def.name}, labels...)
	if in.address != "" {
		parts = append([]string{in.address}, parts...)
	}
	c := &instance{ev: in.ev, def: def, body: body, at: at, address: strings.Join(parts, "."), scope: s}
	if len(labels) > 0 {
		c.name = labels[0]
	}
	return c
}

// dynamic makes the blocks of dynamic "NAME" { for_each, iterator, labels, content }.
func (in *instance) dynamic(def *block, b *hclsyntax.Block) []*instance {
	attrs := b.Body.Attributes
	k := slices.IndexFunc(b.Body.Blocks, func(c *hclsyntax.Block) bool { return c.Type == "content" })
	if attrs["for_each"] == nil || k < 0 {
		return nil // reported by checkBody
	}
	iterator := def.name
	if a := attrs["iterator"]; a != nil {
		if iterator = hcl2.ExprAsKeyword(a.Expr); iterator == "" {
			in.ev.report.errorf(a.Expr.Range(), "Not a name", "iterator is a bare word, such as iterator = it.")
			return nil
		}
	}
	forEach := attrs["for_each"].Expr
	var out []*instance
	elements, _ := in.ev.elements(in.ev.eval(forEach, in.scope), forEach.Range())
	for _, e := range elements {
		s := &scope{parent: in.scope, name: iterator, element: e}
		labels, ok := in.labels(def, attrs["labels"], s)
		if !ok {
			return out
		}
		out = append(out, in.child(def, b.Body.Blocks[k].Body, b.DefRange(), labels, s))
	}
	return out
}

func (in *instance) labels(def *block, a *hclsyntax.Attribute, s *scope) ([]string, bool) {
	if len(def.labels) == 0 {
		return nil, true
	}
	v, ok := in.ev.convert(in.ev.eval(a.Expr, s), attribute{name: "labels", kind: stringsKind}, a.Expr.Range(), "dynamic")
	if !ok {
		return nil, false
	}
	var labels []string
	for _, l := range v.AsValueSlice() {
		if l.IsNull() || !namePattern.MatchString(l.AsString()) {
			in.ev.report.errorf(a.Expr.Range(), "Not a name", "The label %s cannot be a name. %s", friendlyKey(l), nameRule)
			return nil, false
		}
		labels = append(labels, l.AsString())
	}
	if len(labels) != len(def.labels) {
		in.ev.report.errorf(a.Expr.Range(), "Wrong number of labels", "A %s block is written %s.", def.name, usage(def))
		return nil, false
	}
	return labels, true
}
