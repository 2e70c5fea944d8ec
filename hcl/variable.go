package hcl

import (
	"fmt"

	hcl2 "github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/ext/typeexpr"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/convert"
)

// variable returns the value of var.NAME: from the last file of values that sets it, or its default.
func (ev *evaluator) variable(name string, at hcl2.Range) cty.Value {
	b := ev.named["variable."+name]
	if b == nil {
		ev.report.errorf(at, "Unknown name", "No variable is named %q.%s", name, DidYouMean(name, ev.declared(variableBlock)))
		return cty.DynamicVal
	}
	return ev.memo("var."+name, at, func() cty.Value {
		in := ev.instance(variableBlock, b, "variable."+name, nil)
		hidden := in.boolean("sensitive")
		if hidden {
			ev.hide(b)
		}
		v := ev.set(in, name)
		if hidden && v.IsKnown() {
			v = v.Mark(sensitive{})
		}
		return v
	})
}

// hide keeps the source of a sensitive variable's default out of every snippet.
func (ev *evaluator) hide(b *hclsyntax.Block) {
	if d := b.Body.Attributes["default"]; d != nil {
		ev.report.hidden = append(ev.report.hidden, d.SrcRange)
	}
}

// set finds and converts the value of a variable.
func (ev *evaluator) set(in *instance, name string) cty.Value {
	typ, defaults := cty.DynamicPseudoType, (*typeexpr.Defaults)(nil)
	if a := in.body.Attributes["type"]; a != nil {
		var diags hcl2.Diagnostics
		if typ, defaults, diags = typeexpr.TypeConstraintWithDefaults(a.Expr); diags.HasErrors() {
			ev.report.hcl(diags)
			return cty.DynamicVal
		}
	}
	v, at := cty.DynamicVal, in.at
	if settings := ev.values[name]; len(settings) > 0 {
		s := settings[len(settings)-1]
		v, at = ev.setting(s, typ), s.at
	} else if d := in.body.Attributes["default"]; d != nil {
		v, at = ev.constant(d.Expr), d.Expr.Range()
	} else {
		ev.report.errorf(in.at, "The variable has no value", "Set %s in a file of values (*%s beside cluster.hcl), or give it a default.", name, valuesSuffix)
	}
	if !v.IsKnown() {
		return cty.DynamicVal
	}
	if defaults != nil && !v.IsNull() {
		v = defaults.Apply(v)
	}
	if typ != cty.DynamicPseudoType && typ.HasDynamicTypes() && square([]cty.Value{v}) > maxCall {
		ev.report.errorf(at, "The value is too large", "Finding one type for so many elements takes too long. Write the type of the elements instead of any.")
		return cty.DynamicVal
	}
	got, err := convertTo(v, typ)
	if err != nil {
		reason := pathError(err)
		if in.boolean("sensitive") {
			reason = "the value is sensitive, so the reason is not shown"
		}
		ev.report.errorf(at, "Wrong type", "Variable %q is %s: %s.", name, article(typeexpr.TypeString(typ)), reason)
		return cty.DynamicVal
	}
	if !ev.meter.accept(got, at) {
		ev.report.hcl(ev.meter.over)
		return cty.DynamicVal
	}
	return got
}

// constant evaluates an expression that may not refer to anything.
func (ev *evaluator) constant(e hclsyntax.Expression) cty.Value {
	if refs := ev.prepare(e).refs; len(refs) > 0 {
		ev.report.errorf(refs[0].SourceRange(), "The value has to be constant", "A variable's value cannot refer to other values; that is what locals are for.")
		return cty.DynamicVal
	}
	return ev.eval(e, nil)
}

// setting evaluates one setting of a variable: text for a string, an expression otherwise.
func (ev *evaluator) setting(s value, typ cty.Type) cty.Value {
	if s.expr != nil {
		return ev.constant(s.expr)
	}
	if typ == cty.String || typ == cty.DynamicPseudoType {
		return cty.StringVal(s.text)
	}
	diags := scan(s.at.Filename, []byte(s.text))
	if diags.HasErrors() {
		ev.report.hcl(diags)
		return cty.DynamicVal
	}
	e, diags := hclsyntax.ParseExpression([]byte(s.text), s.at.Filename, hcl2.InitialPos)
	if diags.HasErrors() {
		ev.report.hcl(withheld(diags))
		return cty.DynamicVal
	}
	var loops audit
	_ = hclsyntax.Walk(e, &loops)
	if loops.diags.HasErrors() {
		ev.report.hcl(loops.diags)
		return cty.DynamicVal
	}
	return ev.constant(e)
}

// variables evaluates every variable and its rules, used or not.
func (ev *evaluator) variables() {
	for _, b := range ev.unique(variableBlock) {
		v := ev.variable(b.Labels[0], b.DefRange())
		in := ev.instance(variableBlock, b, "variable."+b.Labels[0], nil)
		in.string("description")
		if v.IsKnown() {
			ev.validate(in)
		}
	}
}

// validate applies the rules of one variable.
func (ev *evaluator) validate(in *instance) {
	for _, rule := range in.children("validation") {
		cond := rule.body.Attributes["condition"]
		msg := rule.body.Attributes["error_message"]
		if cond == nil || msg == nil {
			continue // reported by checkBody
		}
		v, _ := ev.eval(cond.Expr, nil).UnmarkDeep()
		if !v.IsKnown() {
			continue
		}
		b, err := convert.Convert(v, cty.Bool)
		if err != nil || b.IsNull() {
			ev.report.errorf(cond.Expr.Range(), "Wrong type", "A condition is true or false.")
			continue
		}
		if b.True() {
			continue
		}
		at := in.at
		if s := ev.values[in.name]; len(s) > 0 {
			at = s[len(s)-1].at
		} else if d := in.body.Attributes["default"]; d != nil {
			at = d.NameRange
		}
		ev.report.errorf(at, fmt.Sprintf("Variable %q is not valid", in.name), "%s\n\nThe rule is at %s.", ev.message(msg), place(cond.Range()))
	}
}

// message evaluates an error message, which may not show what is sensitive.
func (ev *evaluator) message(a *hclsyntax.Attribute) string {
	v := ev.eval(a.Expr, nil)
	if v.ContainsMarked() {
		return "(The message holds a sensitive value and is not shown.)"
	}
	s, err := convert.Convert(v, cty.String)
	if err != nil || !s.IsKnown() || s.IsNull() {
		return "(The message is not a string.)"
	}
	return s.AsString()
}
