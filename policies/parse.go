package policies

import (
	"maps"
	"slices"
	"strings"

	hcl2 "github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"

	"github.com/hareconcile/hareconcile/hcl"
	"github.com/hareconcile/hareconcile/reconcile/resource"
)

// The bounds of one set.
const (
	maxPolicies = 200
	maxLocals   = 500
)

// operations are what a plan does to an object. An adoption counts as create: the object
// comes under management.
var operations = []string{"create", "update", "delete"}

// Parse reads the policy files of one source ("shipped", "host" or "repository"); other
// files are left alone. The set is nil if there are errors.
func Parse(set string, files map[string][]byte) (*Set, hcl.Diagnostics) {
	d := hcl.NewDialect(files)
	d.AddFunction("seconds", secondsFunc)
	p := &parser{dialect: d, set: &Set{name: set, dialect: d}, seen: map[string]hcl2.Range{}}
	for _, name := range slices.Sorted(maps.Keys(files)) {
		if !strings.HasSuffix(name, Suffix) {
			continue
		}
		if body := d.Parse(name); body != nil {
			p.file(body)
		}
	}
	p.resolveValues()
	ds := d.Diagnostics()
	if ds.HasErrors() {
		return nil, ds
	}
	return p.set, ds
}

// A parser reads the blocks of a set.
type parser struct {
	dialect *hcl.Dialect
	set     *Set
	seen    map[string]hcl2.Range // where each name was defined
	inputs  []*hclsyntax.Block
	locals  []*hclsyntax.Attribute
}

var fileSchema = &hcl2.BodySchema{Blocks: []hcl2.BlockHeaderSchema{
	{Type: "policy"},
	{Type: "input", LabelNames: []string{"name"}},
	{Type: "locals"},
	{Type: "resource_policy", LabelNames: []string{"kind", "name"}},
	{Type: "plan_policy", LabelNames: []string{"name"}},
}}

// content returns what a body holds, after reporting what it may not hold.
func (p *parser) content(b hcl2.Body, s *hcl2.BodySchema) *hcl2.BodyContent {
	c, diags := b.Content(s)
	p.dialect.Report(diags)
	return c
}

func (p *parser) file(body *hclsyntax.Body) {
	headers := 0
	c := p.content(body, fileSchema)
	for _, b := range c.Blocks {
		switch b.Type {
		case "policy":
			headers++
			p.header(b)
		case "input":
			p.input(b)
		case "locals":
			attrs, diags := b.Body.JustAttributes()
			p.dialect.Report(diags)
			if len(p.locals)+len(attrs) > maxLocals {
				p.dialect.Errorf(b.DefRange, "There are too many locals", "A set has at most %d.", maxLocals)
				continue
			}
			for _, a := range attrs {
				if p.name("local."+a.Name, a.NameRange) {
					p.locals = append(p.locals, b.Body.(*hclsyntax.Body).Attributes[a.Name])
				}
			}
		default:
			p.policy(b)
		}
	}
	if headers != 1 {
		p.dialect.Errorf(body.Range(), "A policy file has one policy block", "This one has %d. It reads: policy { required_version = \">= 0.1\" }.", headers)
	}
}

// name reports a name that was used before.
func (p *parser) name(name string, at hcl2.Range) bool {
	if first, ok := p.seen[name]; ok {
		p.dialect.Errorf(at, "The name is used twice", "%s is also defined at %s:%d.", name, first.Filename, first.Start.Line)
		return false
	}
	p.seen[name] = at
	return true
}

func (p *parser) header(b *hcl2.Block) {
	c := p.content(b.Body, &hcl2.BodySchema{Attributes: []hcl2.AttributeSchema{{Name: "required_version"}}})
	if a := c.Attributes["required_version"]; a != nil {
		if v, ok := p.text(a); ok {
			p.dialect.RequireVersion(v, a.Expr.Range())
		}
	}
}

func (p *parser) input(b *hcl2.Block) {
	p.content(b.Body, &hcl2.BodySchema{Attributes: []hcl2.AttributeSchema{
		{Name: "type"}, {Name: "default", Required: true}, {Name: "description"},
	}})
	body, ok := b.Body.(*hclsyntax.Body)
	if ok && p.name("input."+b.Labels[0], b.DefRange) {
		p.inputs = append(p.inputs, &hclsyntax.Block{Type: b.Type, Labels: b.Labels, Body: body})
	}
}

// policy reads a resource_policy or plan_policy block.
func (p *parser) policy(b *hcl2.Block) {
	attrs := []hcl2.AttributeSchema{{Name: "enforcement_level", Required: true}}
	out := policy{name: b.Labels[len(b.Labels)-1], at: b.DefRange, operations: operations}
	symbols := []string{"plan"}
	if b.Type == "resource_policy" {
		out.kind = b.Labels[0]
		p.kind(out.kind, b.LabelRanges[0])
		attrs = append(attrs, hcl2.AttributeSchema{Name: "operations"}, hcl2.AttributeSchema{Name: "filter"})
		symbols = []string{"attrs", "prior_attrs", "meta"}
	}
	c := p.content(b.Body, &hcl2.BodySchema{Attributes: attrs, Blocks: []hcl2.BlockHeaderSchema{{Type: "enforce"}}})
	if a := c.Attributes["enforcement_level"]; a != nil {
		out.level = p.level(a)
	}
	if a := c.Attributes["operations"]; a != nil {
		out.operations = p.operations(a)
	}
	if a := c.Attributes["filter"]; a != nil {
		out.filter = p.expression(a, symbols)
	}
	for _, e := range c.Blocks {
		out.enforce = append(out.enforce, p.rule(e, symbols))
	}
	if len(c.Blocks) == 0 {
		p.dialect.Errorf(b.DefRange, "The policy enforces nothing", "It needs an enforce block with condition and error_message.")
	}
	if len(p.set.policies) == maxPolicies {
		p.dialect.Errorf(b.DefRange, "There are too many policies", "A set has at most %d.", maxPolicies)
		return
	}
	if p.name("policy "+out.name, b.DefRange) {
		p.set.policies = append(p.set.policies, out)
	}
}

func (p *parser) rule(b *hcl2.Block, symbols []string) rule {
	c := p.content(b.Body, &hcl2.BodySchema{Attributes: []hcl2.AttributeSchema{
		{Name: "condition", Required: true}, {Name: "error_message", Required: true},
	}})
	r := rule{at: b.DefRange}
	if a := c.Attributes["condition"]; a != nil {
		r.condition = p.expression(a, symbols)
	}
	if a := c.Attributes["error_message"]; a != nil {
		r.message = p.expression(a, symbols)
	}
	return r
}

func (p *parser) kind(written string, at hcl2.Range) {
	known := []string{string(virtualServer)}
	for _, k := range resource.Order {
		known = append(known, string(k))
	}
	if !slices.Contains(known, written) {
		p.dialect.Errorf(at, "Unknown kind", "No resource is of kind %q.%s The kinds are %s.",
			written, p.dialect.DidYouMean(written, known), strings.Join(known, ", "))
	}
}

func (p *parser) level(a *hcl2.Attribute) string {
	v, ok := p.text(a)
	switch {
	case !ok:
	case v == "overridable":
		p.dialect.Errorf(a.Expr.Range(), "Not supported yet", `enforcement_level "overridable" is not supported yet. Use "mandatory" or "advisory".`)
	case v != mandatory && v != advisory:
		p.dialect.Errorf(a.Expr.Range(), "Unknown enforcement level", `enforcement_level is "mandatory" or "advisory", not %q.%s`,
			v, p.dialect.DidYouMean(v, []string{mandatory, advisory}))
	}
	return v
}

func (p *parser) operations(a *hcl2.Attribute) []string {
	v, diags := a.Expr.Value(nil)
	p.dialect.Report(diags)
	if diags.HasErrors() {
		return nil
	}
	var out []string
	if v.CanIterateElements() && v.LengthInt() > 0 {
		for it := v.ElementIterator(); it.Next(); {
			_, e := it.Element()
			if e.Type() == cty.String && e.IsKnown() && !e.IsNull() && slices.Contains(operations, e.AsString()) {
				out = append(out, e.AsString())
				continue
			}
			out = nil
			break
		}
	}
	if out == nil {
		p.dialect.Errorf(a.Expr.Range(), "Unknown operations", `operations is a list of "create", "update" and "delete".`)
	}
	return out
}

// text returns the literal string of an attribute.
func (p *parser) text(a *hcl2.Attribute) (string, bool) {
	v, diags := a.Expr.Value(nil)
	p.dialect.Report(diags)
	if diags.HasErrors() {
		return "", false
	}
	if v.Type() != cty.String || v.IsNull() || !v.IsKnown() {
		p.dialect.Errorf(a.Expr.Range(), "Wrong type", "%s is a literal string.", a.Name)
		return "", false
	}
	return v.AsString(), true
}

// expression returns the guarded expression of an attribute whose names all exist.
func (p *parser) expression(a *hcl2.Attribute, symbols []string) hclsyntax.Expression {
	e, ok := a.Expr.(hclsyntax.Expression)
	if !ok {
		return nil
	}
	known := append([]string{"input", "local"}, symbols...)
	for _, t := range e.Variables() {
		if root := t.RootName(); !slices.Contains(known, root) {
			p.dialect.Errorf(t.SourceRange(), "Unknown name", "Nothing is named %q here.%s The names are %s.",
				root, p.dialect.DidYouMean(root, known), strings.Join(known, ", "))
		}
	}
	return p.dialect.Guard(e)
}
