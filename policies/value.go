package policies

import (
	"strings"
	"time"

	hcl2 "github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/ext/typeexpr"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/convert"
	"github.com/zclconf/go-cty/cty/function"
)

// secondsFunc turns a duration's text into a number that can be compared.
var secondsFunc = function.New(&function.Spec{
	Params: []function.Parameter{{Name: "duration", Type: cty.String}},
	Type:   function.StaticReturnType(cty.Number),
	Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
		d, err := time.ParseDuration(args[0].AsString())
		if err != nil {
			return cty.UnknownVal(cty.Number), function.NewArgErrorf(0, `not a duration such as "100ms"`)
		}
		return cty.NumberFloatVal(d.Seconds()), nil
	},
})

// resolveValues computes input.* and local.*: inputs first, then locals in the order in
// which they need each other.
func (p *parser) resolveValues() {
	inputs, locals := map[string]cty.Value{}, map[string]cty.Value{}
	for _, b := range p.inputs {
		inputs[b.Labels[0]] = p.inputValue(b)
	}
	p.set.values = map[string]cty.Value{"input": cty.ObjectVal(inputs), "local": cty.EmptyObjectVal}
	waiting := map[string]localValue{}
	for _, a := range p.locals {
		waiting[a.Name] = p.localValue(a)
	}
	for len(waiting) > 0 {
		progress := false
		for name, l := range waiting {
			if !l.ready(locals) {
				continue
			}
			v, diags := p.dialect.Eval(l.expr, p.set.values)
			p.dialect.Report(diags)
			locals[name] = v
			p.set.values["local"] = cty.ObjectVal(locals)
			delete(waiting, name)
			progress = true
		}
		if !progress {
			for name, l := range waiting {
				p.dialect.Errorf(l.at, "The value cannot be computed", "local.%s depends on itself, or on a local that does not exist.", name)
			}
			return
		}
	}
}

// A localValue is a local that waits for others.
type localValue struct {
	at    hcl2.Range
	expr  hclsyntax.Expression
	needs []string // other locals
}

func (p *parser) localValue(a *hclsyntax.Attribute) localValue {
	l := localValue{at: a.NameRange}
	for _, t := range a.Expr.Variables() {
		if t.RootName() != "local" || len(t) < 2 {
			continue
		}
		if step, ok := t[1].(hcl2.TraverseAttr); ok {
			l.needs = append(l.needs, step.Name)
		}
	}
	l.expr = p.expression(a.AsHCLAttribute(), nil)
	return l
}

func (l localValue) ready(done map[string]cty.Value) bool {
	for _, n := range l.needs {
		if _, ok := done[n]; !ok {
			return false
		}
	}
	return true
}

// inputValue returns an input's default in its type.
func (p *parser) inputValue(b *hclsyntax.Block) cty.Value {
	typ := cty.DynamicPseudoType
	if a := b.Body.Attributes["type"]; a != nil {
		t, diags := typeexpr.TypeConstraint(a.Expr)
		p.dialect.Report(diags)
		if diags.HasErrors() {
			return cty.DynamicVal
		}
		typ = t
	}
	a := b.Body.Attributes["default"]
	if a == nil {
		return cty.DynamicVal // reported: it is required
	}
	if refs := a.Expr.Variables(); len(refs) > 0 {
		p.dialect.Errorf(refs[0].SourceRange(), "The value has to be constant", "An input's default cannot refer to other values.")
		return cty.DynamicVal
	}
	v, diags := p.dialect.Eval(p.dialect.Guard(a.Expr), nil)
	p.dialect.Report(diags)
	if diags.HasErrors() {
		return cty.DynamicVal
	}
	got, err := convert.Convert(v, typ)
	if err != nil {
		p.dialect.Errorf(a.Expr.Range(), "Wrong type", "Input %q is a %s: %s.", strings.Join(b.Labels, ""), typeexpr.TypeString(typ), err)
		return cty.DynamicVal
	}
	return got
}
