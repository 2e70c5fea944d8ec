package hcl

import (
	"fmt"
	"slices"
	"strings"

	hcl2 "github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/function"
)

// maxReferences bounds how many references may lead on to others.
const maxReferences = 100

// sensitive marks the values of sensitive variables and all that is made of them.
type sensitive struct{}

// An evaluator computes one view of a program, on demand: whatever an expression refers to
// is evaluated first, attribute by attribute.
type evaluator struct {
	*program
	node      *nodeContext // nil while the nodes themselves are not known
	functions map[string]function.Function
	slots     map[string]*slot
	stack     []pending          // slots in progress
	plain     *hcl2.EvalContext  // for expressions that refer to nothing
	instances map[string]*family // by block address
	made      int                // blocks made by for_each and dynamic
	shared    map[*hclsyntax.Attribute]shared
}

type nodeContext struct{ name, address string }

// A slot is a value that is computed once.
type slot struct {
	begun bool
	done  bool
	value cty.Value
}

// A pending slot is being computed: an attribute of an instance, or what the name says.
type pending struct {
	slot *slot
	in   *instance
	name string
}

func (p pending) String() string {
	if p.in != nil {
		return p.in.address + "." + p.name
	}
	return p.name
}

// A scope holds what for_each and dynamic add to the names.
type scope struct {
	parent *scope
	name   string // each, or the iterator of dynamic
	element
}

func newEvaluator(p *program, n *nodeContext) *evaluator {
	p.spent += p.meter.work
	p.meter = &meter{limit: max(1, min(p.options.share(maxWork), p.options.share(maxTotalWork)-p.spent))}
	all := functions(p)
	return &evaluator{
		program: p, node: n, functions: all, plain: &hcl2.EvalContext{Variables: map[string]cty.Value{}, Functions: all},
		slots: map[string]*slot{}, instances: map[string]*family{}, shared: map[*hclsyntax.Attribute]shared{},
	}
}

// memo computes a value of a name once.
func (ev *evaluator) memo(name string, at hcl2.Range, compute func() cty.Value) cty.Value {
	s, ok := ev.slots[name]
	if !ok {
		s = &slot{}
		ev.slots[name] = s
	}
	return ev.once(s, pending{name: name}, at, compute)
}

// once computes a slot's value once, and reports a value that needs itself.
func (ev *evaluator) once(s *slot, p pending, at hcl2.Range, compute func() cty.Value) cty.Value {
	switch {
	case s.done:
		return s.value
	case s.begun:
		from := slices.IndexFunc(ev.stack, func(p pending) bool { return p.slot == s })
		var path []string
		for _, p := range ev.stack[from:] {
			path = append(path, p.String())
		}
		ev.report.errorf(at, "A value depends on itself", "%s.", strings.Join(append(path, path[0]), " -> "))
		return s.value
	case len(ev.stack) >= maxReferences:
		ev.report.errorf(at, "The references are nested too deep", "At most %d values may lead from one to the next.", maxReferences)
		return cty.DynamicVal
	}
	s.begun, s.value, p.slot = true, cty.DynamicVal, s
	ev.stack = append(ev.stack, p)
	s.value = compute()
	ev.stack = ev.stack[:len(ev.stack)-1]
	s.done = true
	return s.value
}

// eval returns the value of an expression, or an unknown value after reporting why there is none.
func (ev *evaluator) eval(e hclsyntax.Expression, s *scope) cty.Value {
	if ev.report.full {
		return cty.DynamicVal
	}
	p := ev.prepare(e)
	ctx := ev.plain
	if len(p.refs) > 0 {
		names := &names{}
		for _, t := range p.refs {
			ev.resolve(t, s, names)
		}
		ctx = &hcl2.EvalContext{Variables: names.variables(), Functions: ev.functions}
	}
	ev.meter.charge(4+4*len(p.refs), e.Range())
	v, diags := p.expr.Value(ctx)
	if ev.meter.over != nil {
		ev.report.hcl(ev.meter.over)
		return cty.DynamicVal
	}
	if diags.HasErrors() {
		if marked(ctx.Variables) || ev.report.conceals(e.Range()) {
			diags = withheld(diags)
		}
		ev.report.hcl(diags)
		return cty.DynamicVal
	}
	return v
}

func marked(vars map[string]cty.Value) bool {
	for _, v := range vars {
		if v.ContainsMarked() {
			return true
		}
	}
	return false
}

// withheld drops the reasons of mistakes, which may quote a sensitive value.
func withheld(diags hcl2.Diagnostics) hcl2.Diagnostics {
	var out hcl2.Diagnostics
	for _, d := range diags {
		out = append(out, &hcl2.Diagnostic{Severity: d.Severity, Summary: "The expression has no value",
			Detail: "It uses a sensitive value, so the reason is not shown.", Subject: d.Subject})
	}
	return out
}

// resolve adds what one reference needs to the names.
func (ev *evaluator) resolve(t hcl2.Traversal, s *scope, n *names) {
	root, at := t.RootName(), t.SourceRange()
	for ; s != nil; s = s.parent {
		if s.name == root {
			s.resolve(t, n)
			return
		}
	}
	switch root {
	case "var", "local":
		name, ok := step(t, 1)
		if !ok {
			ev.report.errorf(at, "A name is missing", "Write %s.NAME.", root)
			n.set(cty.DynamicVal, root)
			return
		}
		if root == "var" {
			n.set(ev.variable(name, at), root, name)
		} else {
			n.set(ev.local(name, at), root, name)
		}
	case "node":
		n.set(ev.nodeValue(t), root)
	default:
		if def, ok := clusterFile.block(root); ok && def.each {
			ev.resolveBlock(def, t, n)
			return
		}
		ev.report.errorf(at, "Unknown name", "Nothing is named %q here.%s", root, ev.suggest(root))
		n.set(cty.DynamicVal, root)
	}
}

// resolve adds each.key, each.value or both to the names.
func (s *scope) resolve(t hcl2.Traversal, n *names) {
	name, _ := step(t, 1)
	if name != "value" {
		n.set(cty.StringVal(s.key), s.name, "key")
	}
	if name != "key" {
		n.set(s.value, s.name, "value")
	}
}

func (ev *evaluator) suggest(root string) string {
	switch {
	case ev.named["variable."+root] != nil:
		return fmt.Sprintf(` Did you mean "var.%s"?`, root)
	case ev.locals[root] != nil:
		return fmt.Sprintf(` Did you mean "local.%s"?`, root)
	case root == "each":
		return " each.key and each.value exist in blocks with for_each."
	}
	return DidYouMean(root, []string{"var", "local", "node", "vrrp_instance", "sync_group", "tracker", "pool", "virtual_server", "haproxy"})
}

func (ev *evaluator) nodeValue(t hcl2.Traversal) cty.Value {
	if ev.node == nil {
		ev.report.errorf(t.SourceRange(), "The node is not known here", "node.* exists only in what is evaluated for each node: not in cluster, variable, include and hareconcile blocks.")
		return cty.DynamicVal
	}
	known := []string{"name", "address"}
	if name, ok := step(t, 1); ok && !slices.Contains(known, name) {
		ev.report.errorf(t.SourceRange(), "Unknown name", "node has no %q.%s", name, DidYouMean(name, known))
		return cty.DynamicVal
	}
	return cty.ObjectVal(map[string]cty.Value{
		"name": cty.StringVal(ev.node.name), "address": cty.StringVal(ev.node.address),
	})
}

func (ev *evaluator) local(name string, at hcl2.Range) cty.Value {
	if a, ok := ev.locals[name]; ok {
		return ev.memo("local."+name, at, func() cty.Value { return ev.eval(a.Expr, nil) })
	}
	ev.report.errorf(at, "Unknown name", "No local value is named %q.%s", name, DidYouMean(name, sortedKeys(ev.locals)))
	return cty.DynamicVal
}

// step returns the name at one step of a reference, written as .name or ["name"].
func step(t hcl2.Traversal, i int) (string, bool) {
	if i >= len(t) {
		return "", false
	}
	switch s := t[i].(type) {
	case hcl2.TraverseAttr:
		return s.Name, true
	case hcl2.TraverseIndex:
		if s.Key.Type() == cty.String {
			return s.Key.AsString(), true
		}
	}
	return "", false
}
