package hcl

import (
	hcl2 "github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/function"
)

// A Dialect reads files of another language that is written in HCL, such as policies,
// within the same limits as a cluster's files. It is not safe for concurrent use.
type Dialect struct {
	p         *program
	functions map[string]function.Function
}

// NewDialect returns a Dialect over files by name.
func NewDialect(files map[string][]byte) *Dialect {
	d := &Dialect{p: newProgram(files, Options{})}
	d.functions = functions(d.p)
	delete(d.functions, "secret") // there is nobody to use it
	return d
}

// Parse returns the body of one file, or nil after reporting why there is none.
func (d *Dialect) Parse(name string) *hclsyntax.Body { return d.p.parse(name) }

// AddFunction makes f callable, metered, under a name of its own.
func (d *Dialect) AddFunction(name string, f function.Function) {
	d.functions[name] = d.p.metered(builtin{f: f})
}

// Guard puts the limits around an expression that Parse returned. Its variables have to be
// collected before.
func (d *Dialect) Guard(e hclsyntax.Expression) hclsyntax.Expression {
	return guarded(e, &d.p.meter)
}

// Refill starts a new budget of work for what is evaluated next.
func (d *Dialect) Refill() { d.p.meter = &meter{} }

// Eval returns the value of a guarded expression. Beyond the budget it is an error.
func (d *Dialect) Eval(e hclsyntax.Expression, vars map[string]cty.Value) (cty.Value, hcl2.Diagnostics) {
	v, diags := e.Value(&hcl2.EvalContext{Variables: vars, Functions: d.functions})
	if d.p.meter.over != nil {
		return cty.DynamicVal, d.p.meter.over
	}
	return v, diags
}

// Report adds HCL's own diagnostics to those of the Dialect.
func (d *Dialect) Report(diags hcl2.Diagnostics) { d.p.report.hcl(diags) }

// Errorf reports a mistake.
func (d *Dialect) Errorf(at hcl2.Range, summary, format string, args ...any) {
	d.p.report.errorf(at, summary, format, args...)
}

// DidYouMean returns a suggestion as the end of a sentence, or nothing.
func (d *Dialect) DidYouMean(written string, names []string) string {
	return DidYouMean(written, names)
}

// RequireVersion reports a version constraint that is malformed or that this release does not meet.
func (d *Dialect) RequireVersion(constraint string, at hcl2.Range) {
	d.p.requireVersion(constraint, at)
}

// Diagnostics returns what was reported, sorted.
func (d *Dialect) Diagnostics() Diagnostics { return d.p.report.diagnostics() }
