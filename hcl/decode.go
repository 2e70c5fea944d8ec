package hcl

import (
	"fmt"
	"maps"
	"math/big"
	"net/netip"
	"slices"
	"time"

	hcl2 "github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/convert"
)

// value returns an attribute, converted and checked, or its default. It is unknown after a
// mistake was reported and null where nothing is written and nothing is the default.
func (in *instance) value(name string, at hcl2.Range) cty.Value {
	a := in.def.row(name)
	attr, ok := in.body.Attributes[name]
	if !ok {
		return in.ev.fallback(a)
	}
	return in.ev.once(in.slot(name), pending{in: in, name: name}, at, func() cty.Value {
		if v, ok := in.ev.again(attr); ok {
			return v
		}
		v, ok := in.ev.convert(in.ev.eval(attr.Expr, in.scope), *a, attr.Expr.Range(), in.def.name)
		if ok {
			in.ev.share(attr, v, in.scope)
		}
		if !ok {
			return cty.DynamicVal
		}
		if !v.IsNull() {
			return v
		}
		if a.required {
			in.ev.report.errorf(attr.Expr.Range(), "The value is null", "%s needs a value.", a.name)
			return cty.DynamicVal
		}
		return in.ev.fallback(a)
	})
}

// slot returns where the value of an attribute that is written is kept.
func (in *instance) slot(name string) *slot {
	for k := range in.slots {
		if in.slots[k].name == name {
			return in.slots[k].slot
		}
	}
	s := &slot{}
	in.slots = append(in.slots, attrSlot{name, s})
	return s
}

// fallback is the default of an attribute, converted.
func (ev *evaluator) fallback(a *attribute) cty.Value {
	if a == nil || a.def == "" {
		return cty.NullVal(cty.DynamicPseudoType)
	}
	if v, ok := ev.defaults[a]; ok {
		return v
	}
	e, diags := hclsyntax.ParseExpression([]byte(a.def), "default", hcl2.InitialPos)
	if diags.HasErrors() {
		panic("hcl: default of " + a.name + ": " + diags.Error()) // our own table
	}
	v, _ := e.Value(nil)
	if a.kind.typ != cty.NilType {
		var err error
		if v, err = convert.Convert(v, a.kind.typ); err != nil {
			panic("hcl: default of " + a.name + ": " + err.Error()) // our own table
		}
	}
	ev.defaults[a] = v
	return v
}

// convert makes of v what a wants. ok is false if it cannot, which has been reported.
func (ev *evaluator) convert(v cty.Value, a attribute, at hcl2.Range, where string) (cty.Value, bool) {
	if marks(v) {
		ev.report.errorf(at, "The value is sensitive", "%s is shown in plans and states, so no sensitive variable may decide it.", a.name)
		return v, false
	}
	if !a.secret && holds(v, secretType) {
		ev.report.errorf(at, "A secret cannot be used here", "%s is shown in plans and states. secret() works in the config of plugins, in passwords of checks and in auth.", a.name)
		return v, false
	}
	switch {
	case v.IsNull():
		return v, true
	case a.kind.ref != "":
		return ev.reference(v, a, at)
	case !a.kind.blocks && holds(v, referenceType):
		ev.report.errorf(at, "A block cannot be used here", "%s of %s wants %s. Name the block's attribute, as in vrrp_instance.web.addresses.", a.name, where, article(a.kind.name))
		return v, false
	case a.kind.any:
		return v, v.IsWhollyKnown()
	}
	got, err := convertTo(v, a.kind.typ)
	if err != nil {
		ev.report.errorf(at, "Wrong type", "%s of %s wants %s, and this is %s: %s.", a.name, where, article(a.kind.name), friendly(v), pathError(err))
		return v, false
	}
	if !ev.meter.accept(got, at) {
		ev.report.hcl(ev.meter.over)
		return v, false
	}
	if !got.IsWhollyKnown() || got.IsNull() {
		return got, got.IsWhollyKnown()
	}
	if a.kind.check != nil {
		if problem := a.kind.check(got); problem != "" {
			ev.report.errorf(at, fmt.Sprintf("%s cannot be that", a.name), "%s", problem)
			return got, false
		}
	}
	return got, true
}

// pathError puts the place inside a value before the reason.
func pathError(err error) string {
	if p, ok := err.(cty.PathError); ok && len(p.Path) > 0 {
		var at string
		for _, s := range p.Path {
			switch s := s.(type) {
			case cty.GetAttrStep:
				at += "." + s.Name
			case cty.IndexStep:
				if s.Key.Type() == cty.String {
					at += fmt.Sprintf("[%q]", s.Key.AsString())
				} else if s.Key.Type() == cty.Number {
					at += "[" + s.Key.AsBigFloat().Text('g', 10) + "]"
				}
			}
		}
		return "at " + at + ", " + err.Error()
	}
	return err.Error()
}

// marks reports whether anything in v is sensitive.
func marks(v cty.Value) bool {
	if v.Type().IsPrimitiveType() {
		return v.IsMarked()
	}
	return v.ContainsMarked()
}

// holds reports whether a capsule of type t is anywhere in v.
func holds(v cty.Value, t cty.Type) bool {
	if v.Type().IsPrimitiveType() {
		return false
	}
	found := false
	_ = cty.Walk(v, func(_ cty.Path, v cty.Value) (bool, error) {
		found = found || v.Type().Equals(t) && v.IsKnown()
		return !found, nil
	})
	return found
}

// reference turns pool.web into a string: the block's name.
func (ev *evaluator) reference(v cty.Value, a attribute, at hcl2.Range) (cty.Value, bool) {
	if !v.IsKnown() {
		return v, false
	}
	if !a.kind.many {
		name, ok := ev.referent(v, a, at)
		return cty.StringVal(name), ok
	}
	t := v.Type()
	if !t.IsTupleType() && !t.IsListType() && !t.IsSetType() {
		ev.report.errorf(at, "Wrong type", "%s wants a list in brackets: [%s.NAME].", a.name, a.kind.ref)
		return v, false
	}
	names := make([]cty.Value, 0, v.LengthInt())
	for it := v.ElementIterator(); it.Next(); {
		_, elem := it.Element()
		name, ok := ev.referent(elem, a, at)
		if !ok {
			return v, false
		}
		names = append(names, cty.StringVal(name))
	}
	if len(names) == 0 {
		return cty.ListValEmpty(cty.String), true
	}
	return cty.ListVal(names), true
}

// referent returns the name of the block that v refers to.
func (ev *evaluator) referent(v cty.Value, a attribute, at hcl2.Range) (string, bool) {
	if !v.IsKnown() {
		return "", false
	}
	if !v.IsNull() && v.Type().IsObjectType() && v.Type().HasAttribute(self) {
		v = v.GetAttr(self)
	}
	if v.IsNull() || !v.IsKnown() || !v.Type().Equals(referenceType) {
		ev.report.errorf(at, "A reference is needed", "%s wants a %s, written without quotes: %s.NAME. This is %s.", a.name, a.kind.ref, a.kind.ref, friendly(v))
		return "", false
	}
	ref := v.EncapsulatedValue().(*reference)
	if ref.block != a.kind.ref {
		ev.report.errorf(at, "The reference is of another kind", "%s wants a %s, and %s.%s is a %s.", a.name, a.kind.ref, ref.block, ref.name, ref.block)
		return "", false
	}
	return ref.name, true
}

// get returns a known value that is not null.
func (in *instance) get(name string) (cty.Value, bool) {
	v := in.value(name, in.attrRange(name))
	return v, v.IsKnown() && !v.IsNull()
}

// attrRange is where an attribute is written, or the block if it is not.
func (in *instance) attrRange(name string) hcl2.Range {
	if a, ok := in.body.Attributes[name]; ok {
		return a.Expr.Range()
	}
	return in.at
}

// absent reports that there is no value, not even one that was refused.
func (in *instance) absent(name string) bool { return in.value(name, in.attrRange(name)).IsNull() }

func (in *instance) written(name string) bool {
	v, ok := in.get(name)
	return ok && in.body.Attributes[name] != nil && !v.IsNull()
}

func (in *instance) string(name string) string {
	if v, ok := in.get(name); ok && v.Type() == cty.String {
		return v.AsString()
	}
	return ""
}

func (in *instance) boolean(name string) bool {
	v, ok := in.get(name)
	return ok && v.Type() == cty.Bool && v.True()
}

func (in *instance) int(name string) int {
	if v, ok := in.get(name); ok && v.Type() == cty.Number {
		return integer(v)
	}
	return 0
}

func integer(v cty.Value) int {
	i, acc := v.AsBigFloat().Int64()
	if acc != big.Exact {
		return 0
	}
	return int(i)
}

func (in *instance) duration(name string) time.Duration {
	d, _ := time.ParseDuration(in.string(name)) // checked by the kind
	return d
}

func (in *instance) size(name string) uint64 {
	n, _ := parseSize(in.string(name)) // checked by the kind
	return n
}

func (in *instance) addr(name string) netip.Addr {
	a, _ := netip.ParseAddr(in.string(name)) // checked by the kind
	return a
}

func (in *instance) strings(name string) []string {
	v, ok := in.get(name)
	if !ok || !v.CanIterateElements() {
		return nil
	}
	var out []string
	for it := v.ElementIterator(); it.Next(); {
		if _, e := it.Element(); e.IsKnown() && !e.IsNull() && e.Type() == cty.String {
			out = append(out, e.AsString())
		}
	}
	return out
}

// entries returns a map attribute.
func (in *instance) entries(name string) map[string]cty.Value {
	v, ok := in.get(name)
	if !ok || !v.CanIterateElements() || !v.IsWhollyKnown() {
		return nil
	}
	return v.AsValueMap()
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
