package policies

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	hcl2 "github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"

	"github.com/hareconcile/hareconcile/hcl"
	"github.com/hareconcile/hareconcile/reconcile"
)

// A TestResult is what became of one block of a *.policytest.hcl file.
type TestResult struct {
	File    string
	Line    int
	Name    string // such as plan "one_vip_stays"
	Passed  bool
	Message string // why it failed
}

// Test runs the *.policytest.hcl files among files against the policies that they name.
// Each resource block makes up one change and each plan block makes up a plan; the case
// passes if the policies let it through, or, with expect_failure, if one does not.
func Test(files map[string][]byte) ([]TestResult, hcl.Diagnostics) {
	d := hcl.NewDialect(files)
	p := &parser{dialect: d, set: &Set{dialect: d}, seen: map[string]hcl2.Range{}}
	var out []TestResult
	for _, name := range slices.Sorted(maps.Keys(files)) {
		if !strings.HasSuffix(name, TestSuffix) {
			continue
		}
		body := d.Parse(name)
		if body == nil {
			continue
		}
		results, ds := p.testFile(body, files)
		if ds.HasErrors() {
			return nil, ds
		}
		out = append(out, results...)
	}
	return out, d.Diagnostics()
}

var testSchema = &hcl2.BodySchema{Blocks: []hcl2.BlockHeaderSchema{
	{Type: "policytest"},
	{Type: "resource", LabelNames: []string{"kind", "name"}},
	{Type: "plan", LabelNames: []string{"name"}},
}}

func (p *parser) testFile(body *hclsyntax.Body, files map[string][]byte) ([]TestResult, hcl.Diagnostics) {
	c := p.content(body, testSchema)
	targets := map[string][]byte{}
	for _, b := range c.Blocks.OfType("policytest") {
		p.targets(b, files, targets)
	}
	if len(targets) == 0 {
		p.dialect.Errorf(body.Range(), "The test has no targets", `It needs policytest { targets = ["NAME%s"] }.`, Suffix)
		return nil, nil
	}
	set, ds := Parse("test", targets)
	if ds.HasErrors() {
		return nil, ds
	}
	var out []TestResult
	for _, b := range c.Blocks {
		if b.Type == "policytest" {
			continue
		}
		if tc, ok := p.testCase(b); ok {
			out = append(out, tc.run(set))
		}
	}
	return out, nil
}

func (p *parser) targets(b *hcl2.Block, files, targets map[string][]byte) {
	c := p.content(b.Body, &hcl2.BodySchema{Attributes: []hcl2.AttributeSchema{{Name: "targets", Required: true}}})
	a := c.Attributes["targets"]
	if a == nil {
		return
	}
	v, diags := a.Expr.Value(nil)
	p.dialect.Report(diags)
	if diags.HasErrors() || !v.CanIterateElements() {
		return
	}
	for it := v.ElementIterator(); it.Next(); {
		_, e := it.Element()
		if e.Type() != cty.String || files[e.AsString()] == nil {
			p.dialect.Errorf(a.Expr.Range(), "Unknown target", "targets names policy files beside the test.")
			return
		}
		targets[e.AsString()] = files[e.AsString()]
	}
}

// A testCase is one resource or plan block of a test.
type testCase struct {
	result  TestResult
	policy  string // the only policy to judge by; empty for all
	fails   bool   // expect_failure
	subject *subject
}

func (p *parser) testCase(b *hcl2.Block) (testCase, bool) {
	allowed := []string{"expect_failure", "policy", "plan"}
	if b.Type == "resource" {
		p.kind(b.Labels[0], b.LabelRanges[0])
		allowed = []string{"expect_failure", "policy", "attrs", "prior_attrs", "meta"}
	}
	var schema hcl2.BodySchema
	for _, n := range allowed {
		schema.Attributes = append(schema.Attributes, hcl2.AttributeSchema{Name: n})
	}
	c := p.content(b.Body, &schema)
	values := map[string]cty.Value{}
	for name, a := range c.Attributes {
		e := p.expression(a, nil)
		if e == nil {
			return testCase{}, false
		}
		v, diags := p.dialect.Eval(e, nil)
		p.dialect.Report(diags)
		if diags.HasErrors() {
			return testCase{}, false
		}
		values[name] = v
	}
	label := b.Labels[len(b.Labels)-1]
	tc := testCase{
		result: TestResult{File: b.DefRange.Filename, Line: b.DefRange.Start.Line, Name: fmt.Sprintf("%s %q", b.Type, label)},
		fails:  values["expect_failure"] != cty.NilVal && values["expect_failure"].RawEquals(cty.True),
	}
	if v, ok := values["policy"]; ok && v.Type() == cty.String && v.IsKnown() && !v.IsNull() {
		tc.policy = v.AsString()
	}
	if b.Type == "plan" {
		tc.subject = &subject{symbols: map[string]cty.Value{"plan": overlay(quietPlan(), values["plan"])}}
		return tc, true
	}
	tc.subject = madeUp(b.Labels[0], values)
	return tc, true
}

// madeUp returns the change of a resource block. The operation is what the sides say,
// unless meta says it.
func madeUp(kind string, values map[string]cty.Value) *subject {
	s := &subject{kind: kind, operation: "update", address: kind + ".test", symbols: map[string]cty.Value{}}
	for _, name := range []string{"attrs", "prior_attrs"} {
		s.symbols[name] = cty.NullVal(cty.DynamicPseudoType)
		if v, ok := values[name]; ok {
			s.symbols[name] = v
		}
	}
	switch {
	case s.symbols["prior_attrs"].IsNull():
		s.operation = "create"
	case s.symbols["attrs"].IsNull():
		s.operation = "delete"
	}
	meta := cty.ObjectVal(map[string]cty.Value{
		"address": cty.StringVal(s.address), "operation": cty.StringVal(s.operation), "kind": cty.StringVal(kind),
		"name": cty.StringVal("test"), "node": cty.StringVal("test"), "file": cty.StringVal("cluster.hcl"), "line": cty.NumberIntVal(1),
	})
	meta = overlay(meta, values["meta"])
	if op := meta.GetAttr("operation"); op.Type() == cty.String && !op.IsNull() {
		s.operation = op.AsString()
	}
	s.symbols["meta"] = meta
	return s
}

// quietPlan is the plan symbol of a push that changes nothing.
func quietPlan() cty.Value {
	v, err := toValue(planOf(Input{Node: "test"}))
	if err != nil {
		panic("policies: the plan symbol has no value: " + err.Error())
	}
	return v
}

// overlay returns base with the attributes that over has, object by object.
func overlay(base, over cty.Value) cty.Value {
	if over == cty.NilVal {
		return base
	}
	if over.IsNull() || !over.Type().IsObjectType() || base.IsNull() || !base.Type().IsObjectType() {
		return over
	}
	attrs := base.AsValueMap()
	if attrs == nil {
		attrs = map[string]cty.Value{}
	}
	for name, v := range over.AsValueMap() {
		if b, ok := attrs[name]; ok {
			v = overlay(b, v)
		}
		attrs[name] = v
	}
	return cty.ObjectVal(attrs)
}

// run judges the case by every policy that it is for.
func (tc testCase) run(s *Set) TestResult {
	r, judged := tc.result, false
	var first *reconcile.Finding
	for _, p := range s.policies {
		if tc.policy != "" && p.name != tc.policy {
			continue
		}
		if p.judges(tc.subject) {
			judged = true
			if f, ok := s.apply(p, tc.subject); !ok && first == nil {
				first = &f
			}
		}
	}
	switch {
	case !judged:
		r.Message = "no policy judges it"
	case first != nil && first.Result == failed:
		r.Message = fmt.Sprintf("%s could not be evaluated: %s", first.Policy, first.Message)
	case first != nil && !tc.fails:
		r.Message = fmt.Sprintf("%s denies it: %s", first.Policy, first.Message)
	case first == nil && tc.fails:
		r.Message = "every policy lets it through"
	default:
		r.Passed = true
	}
	return r
}
