package hcl

import (
	"strings"

	hcl2 "github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
)

// self is the hidden attribute in which a block's value carries the reference to the block.
const self = ""

// resolveBlock adds what pool.web, pool.web.port, pool.web["a"].port or pool.web[each.key]
// needs. Only the attribute that is named is evaluated; a key that is an expression needs all.
func (ev *evaluator) resolveBlock(def *block, t hcl2.Traversal, n *names) {
	at := t.SourceRange()
	name, ok := step(t, 1)
	if !ok {
		ev.report.errorf(at, "A name is missing", "A %s is named literally: %s.NAME.", def.name, def.name)
		n.set(cty.DynamicVal, def.name)
		return
	}
	b, ok := ev.find(def, name)
	if !ok {
		ev.report.errorf(at, "Unknown name", "There is no %s %q.%s", def.name, name, didYouMean(name, ev.declared(def)))
		n.set(cty.DynamicVal, def.name, name)
		return
	}
	instances := ev.repeat(def, b)
	if b.Body.Attributes["for_each"] == nil {
		for _, in := range instances {
			ev.expose(in, t[2:], n, def.name, name)
		}
		return
	}
	key, literal := step(t, 2)
	var keys []string
	found := false
	n.at(def.name, name) // an empty for_each is an empty object
	for _, in := range instances {
		k := in.key()
		keys = append(keys, k)
		switch {
		case !literal:
			in.exposeAll(n, def.name, name, k)
		case k == key:
			found = true
			ev.expose(in, t[3:], n, def.name, name, k)
		}
	}
	if literal && !found {
		ev.report.errorf(at, "Unknown key", "%s %q has no key %q.%s", def.name, name, key, didYouMean(key, keys))
		n.set(cty.DynamicVal, def.name, name, key)
	}
}

// expose adds one attribute of a block, or the reference to it.
func (ev *evaluator) expose(in *instance, rest hcl2.Traversal, n *names, path ...string) {
	ref := cty.CapsuleVal(referenceType, &reference{in.def.name, in.name})
	n.set(ref, append(path, self)...)
	name, ok := step(rest, 0)
	if !ok {
		return
	}
	if name == "name" {
		n.set(cty.StringVal(in.name), append(path, name)...)
		return
	}
	a, known := in.def.attr(name)
	if !known || a.later || a.kind.raw {
		ev.report.errorf(rest.SourceRange(), "Unknown name", "A %s has no attribute %q.%s", in.def.name, name, didYouMean(name, in.def.attrNames()))
		n.set(cty.DynamicVal, append(path, name)...)
		return
	}
	n.set(in.value(name, rest.SourceRange()), append(path, name)...)
}

func (in *instance) exposeAll(n *names, path ...string) {
	n.set(cty.CapsuleVal(referenceType, &reference{in.def.name, in.name}), append(path, self)...)
	for _, name := range in.def.attrNames() {
		a, _ := in.def.attr(name)
		if a.kind.ref == "" { // references lead to other blocks, which have names of their own
			n.set(in.value(name, in.at), append(path, name)...)
		}
	}
}

// key returns the for_each key of an instance.
func (in *instance) key() string {
	for s := in.scope; s != nil; s = s.parent {
		if s.name == "each" {
			return s.value.GetAttr("key").AsString()
		}
	}
	return ""
}

func (ev *evaluator) find(def *block, name string) (*hclsyntax.Block, bool) {
	for _, b := range ev.blocks[def.name] {
		if len(b.Labels) == len(def.labels) && b.Labels[0] == name {
			return b, true
		}
	}
	return nil, false
}

func (ev *evaluator) declared(def *block) []string {
	var out []string
	for _, b := range ev.blocks[def.name] {
		out = append(out, strings.Join(b.Labels, " "))
	}
	return out
}
