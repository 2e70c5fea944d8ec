package hcl

import (
	"net/netip"
	"time"

	hcl2 "github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
)

// An object is the value of an attribute whose fields are in the schema, as tls = { ... }.
type object struct {
	in     *instance
	attr   attribute
	fields map[string]cty.Value
	good   bool // no field was refused
}

// object reads an attribute with fields. The object is empty if it is not written, and its
// fields then have their defaults.
func (in *instance) object(name string) object {
	a, _ := in.def.attr(name)
	o := object{in: in, attr: a, good: true}
	if got, ok := in.get(name); ok {
		o.fields, o.good = in.readFields(got, a)
	}
	return o
}

// readFields reads the fields of an object, each at its own place.
func (in *instance) readFields(got cty.Value, a attribute) (map[string]cty.Value, bool) {
	ev := in.ev
	if !got.Type().IsObjectType() && !got.Type().IsMapType() {
		in.fail(a.name, "Wrong type", "%s is an object, not %s.", a.name, friendly(got))
		return nil, false
	}
	known := &block{name: a.name, attrs: a.fields}
	out, good := map[string]cty.Value{}, true
	have := got.AsValueMap()
	for _, key := range sortedKeys(have) {
		f, ok := known.attr(key)
		if !ok {
			ev.report.errorf(in.fieldRange(a.name, key), "Unknown attribute", "%s has no attribute %q.%s", a.name, key, DidYouMean(key, known.attrNames()))
			good = false
			continue
		}
		e, ok := ev.convert(have[key], f, in.fieldRange(a.name, key), a.name)
		good = good && ok
		if ok && !e.IsNull() {
			out[key] = e
		}
	}
	return out, good
}

// fieldRange is where a field of an object is written, or the object if that is made elsewhere.
func (in *instance) fieldRange(attr, field string) hcl2.Range {
	at := in.attrRange(attr)
	a, ok := in.body.Attributes[attr]
	if !ok {
		return at
	}
	made, ok := unguarded(a.Expr).(*hclsyntax.ObjectConsExpr)
	if !ok {
		return at
	}
	for _, item := range made.Items {
		if hcl2.ExprAsKeyword(unguarded(item.KeyExpr)) == field {
			return item.ValueExpr.Range()
		}
	}
	return at
}

// unguarded takes the guard off an expression.
func unguarded(e hclsyntax.Expression) hclsyntax.Expression {
	for {
		g, ok := e.(*guard)
		if !ok {
			return e
		}
		e = g.Expression
	}
}

// written reports whether a field is written, and not as null.
func (o object) written(field string) bool {
	_, ok := o.fields[field]
	return ok
}

// fail reports a mistake in a field.
func (o object) fail(field, summary, format string, args ...any) {
	o.in.ev.report.errorf(o.in.fieldRange(o.attr.name, field), summary, format, args...)
}

// value returns a field or its default.
func (o object) value(field string) cty.Value {
	if v, ok := o.fields[field]; ok {
		return v
	}
	for k := range o.attr.fields {
		if o.attr.fields[k].name == field {
			return o.in.ev.fallback(&o.attr.fields[k])
		}
	}
	panic("hcl: " + o.attr.name + " has no field " + field) // our own table
}

func (o object) string(field string) string {
	if v := o.value(field); !v.IsNull() {
		return v.AsString()
	}
	return ""
}

func (o object) boolean(field string) bool {
	v := o.value(field)
	return !v.IsNull() && v.True()
}

func (o object) int(field string) int {
	if v := o.value(field); !v.IsNull() {
		return integer(v)
	}
	return 0
}

func (o object) duration(field string) time.Duration {
	d, _ := time.ParseDuration(o.string(field)) // checked by the kind
	return d
}

func (o object) strings(field string) []string {
	var out []string
	if v := o.value(field); !v.IsNull() {
		for _, e := range v.AsValueSlice() {
			if e.IsNull() {
				o.fail(field, field+" cannot be that", "An element has no value.")
				return nil
			}
			out = append(out, e.AsString())
		}
	}
	return out
}

// multicast reads a multicast group.
func (in *instance) multicast(attr string) netip.Addr {
	s := in.string(attr)
	a, err := netip.ParseAddr(s)
	if s != "" && (err != nil || !a.IsMulticast() || a.Is4In6() || a.Zone() != "") {
		in.fail(attr, attr+" cannot be that", "%.80q is not a multicast address, such as 224.0.0.81 or ff02::81.", s)
		return netip.Addr{}
	}
	return a
}
