package hcl

import (
	"strings"

	hcl2 "github.com/hashicorp/hcl/v2"
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
	b := ev.named[def.name+"."+name]
	if b == nil {
		ev.report.errorf(at, "Unknown name", "There is no %s %q.%s", def.name, name, DidYouMean(name, ev.declared(def)))
		n.set(cty.DynamicVal, def.name, name)
		return
	}
	f := ev.repeat(def, b)
	if b.Body.Attributes["for_each"] == nil {
		ev.expose(f.list[0], t[2:], n, def.name, name)
		return
	}
	key, literal := step(t, 2)
	switch in := f.byKey[key]; {
	case !f.known:
		n.set(cty.DynamicVal, def.name, name)
	case !literal:
		n.set(ev.whole(def, name, f, at), def.name, name)
	case in != nil:
		ev.expose(in, t[3:], n, def.name, name, key)
	default:
		ev.report.errorf(at, "Unknown key", "%s %q has no key %q.%s", def.name, name, key, DidYouMean(key, sortedKeys(f.byKey)))
		n.set(cty.DynamicVal, def.name, name, key)
	}
}

// whole returns a block with for_each as an object, for keys that are expressions.
func (ev *evaluator) whole(def *block, name string, f *family, at hcl2.Range) cty.Value {
	return ev.memo(def.name+"."+name, at, func() cty.Value {
		out := map[string]cty.Value{}
		for _, key := range sortedKeys(f.byKey) {
			in := f.byKey[key]
			attrs := map[string]cty.Value{self: in.ref()}
			for _, a := range def.attrs {
				if !a.later && !a.kind.raw && a.kind.ref == "" && !a.kind.blocks { // references lead to blocks that have names of their own
					attrs[a.name] = in.value(a.name, at)
				}
			}
			out[key] = cty.ObjectVal(attrs)
		}
		return cty.ObjectVal(out)
	})
}

func (in *instance) ref() cty.Value {
	return cty.CapsuleVal(referenceType, &reference{in.def.name, in.name})
}

// expose adds one attribute of a block, or the reference to it.
func (ev *evaluator) expose(in *instance, rest hcl2.Traversal, n *names, path ...string) {
	n.set(in.ref(), append(path, self)...)
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
		ev.report.errorf(rest.SourceRange(), "Unknown name", "A %s has no attribute %q.%s", in.def.name, name, DidYouMean(name, in.def.attrNames()))
		n.set(cty.DynamicVal, append(path, name)...)
		return
	}
	n.set(in.value(name, rest.SourceRange()), append(path, name)...)
}

func (p *program) declared(def *block) []string {
	var out []string
	for _, b := range p.blocks[def.name] {
		out = append(out, strings.Join(b.Labels, " "))
	}
	return out
}
