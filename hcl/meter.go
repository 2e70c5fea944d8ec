package hcl

import (
	"fmt"

	hcl2 "github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
)

// The limits of evaluation. One unit of work is an evaluated expression, or four elements
// or bytes of a value.
const (
	maxWork       = 3_500_000  // for one node's view
	maxTotalWork  = 10_000_000 // for all views
	maxValue      = 2_000_000  // elements and bytes of one value
	maxValueDepth = 12
	maxExponent   = 1024 // bits
	maxForDepth   = 3
)

// A meter counts the work of one view and keeps the first excess. It stays exceeded, so
// that try and can do not hide it.
type meter struct {
	work  int
	limit int // 0 means maxWork
	over  hcl2.Diagnostics
}

func (m *meter) charge(n int, at hcl2.Range) bool {
	if m.over != nil {
		return false
	}
	limit := m.limit
	if limit == 0 {
		limit = maxWork
	}
	if m.work += n; m.work > limit {
		m.over = tooMuch(at, "The evaluation takes too long",
			fmt.Sprintf("The files ask for more than %d steps. Look for loops inside loops and for large values that are used often.", limit))
		return false
	}
	return true
}

// accept charges a value and refuses one that is too large.
func (m *meter) accept(v cty.Value, at hcl2.Range) bool {
	n, ok := measure(v, maxValue, maxValueDepth)
	if !ok && m.over == nil {
		m.over = tooMuch(at, "The value is too large",
			fmt.Sprintf("A value may have %d elements and bytes, be nested %d deep, and hold no number beyond 2^%d.", maxValue, maxValueDepth, maxExponent))
	}
	return m.charge(n/4, at) && ok
}

// measure counts elements and bytes of v, and stops when there are more than limit.
func measure(v cty.Value, limit, depth int) (int, bool) {
	v, _ = v.Unmark()
	if !v.IsKnown() || v.IsNull() {
		return 1, true
	}
	t := v.Type()
	switch {
	case t == cty.String:
		n := 1 + len(v.AsString())
		return n, n <= limit
	case t == cty.Number:
		e := v.AsBigFloat().MantExp(nil)
		return 1, -maxExponent <= e && e <= maxExponent
	case !t.IsCollectionType() && !t.IsTupleType() && !t.IsObjectType():
		return 1, true
	case depth == 0:
		return 1, false
	}
	n := 1
	for it := v.ElementIterator(); it.Next(); {
		key, elem := it.Element()
		if key.Type() == cty.String && !t.IsSetType() {
			n += len(key.AsString())
		}
		k, ok := measure(elem, limit-n, depth-1)
		if n += k; !ok || n > limit {
			return n, false
		}
	}
	return n, true
}

// A guard is an expression whose every value is metered.
type guard struct {
	hclsyntax.Expression
	meter **meter // the meter of the view that is being evaluated
	known bool    // the value was metered where it was made, and is only looked up here
}

// Value implements hcl2.Expression.
func (g *guard) Value(ctx *hcl2.EvalContext) (cty.Value, hcl2.Diagnostics) {
	m := *g.meter
	if m.over != nil {
		return cty.DynamicVal, m.over
	}
	v, diags := g.Expression.Value(ctx)
	if diags.HasErrors() {
		return v, diags
	}
	if !m.charge(1, g.Range()) || !g.known && !m.accept(v, g.Range()) {
		return cty.DynamicVal, m.over
	}
	return v, diags
}

// guarded puts a guard around e and around every expression in it. It changes e, whose
// variables have to be collected before.
func guarded(e hclsyntax.Expression, m **meter) hclsyntax.Expression {
	in := func(child *hclsyntax.Expression) {
		if *child != nil {
			*child = guarded(*child, m)
		}
	}
	switch e := e.(type) {
	case *hclsyntax.LiteralValueExpr, *hclsyntax.AnonSymbolExpr, *guard:
		return e
	case *hclsyntax.ParenthesesExpr:
		in(&e.Expression)
	case *hclsyntax.RelativeTraversalExpr:
		in(&e.Source)
	case *hclsyntax.FunctionCallExpr:
		for i := range e.Args {
			in(&e.Args[i])
		}
	case *hclsyntax.ConditionalExpr:
		in(&e.Condition)
		in(&e.TrueResult)
		in(&e.FalseResult)
	case *hclsyntax.IndexExpr:
		in(&e.Collection)
		in(&e.Key)
	case *hclsyntax.TupleConsExpr:
		for i := range e.Exprs {
			in(&e.Exprs[i])
		}
	case *hclsyntax.ObjectConsExpr:
		for i := range e.Items {
			in(&e.Items[i].KeyExpr)
			in(&e.Items[i].ValueExpr)
		}
	case *hclsyntax.ObjectConsKeyExpr:
		if _, literal := e.Wrapped.(*hclsyntax.ScopeTraversalExpr); !literal || e.ForceNonLiteral {
			in(&e.Wrapped)
		}
	case *hclsyntax.ForExpr:
		in(&e.CollExpr)
		in(&e.KeyExpr)
		in(&e.ValExpr)
		in(&e.CondExpr)
	case *hclsyntax.SplatExpr:
		in(&e.Source)
		in(&e.Each)
	case *hclsyntax.ScopeTraversalExpr:
		return &guard{e, m, true}
	case *hclsyntax.BinaryOpExpr:
		in(&e.LHS)
		in(&e.RHS)
		e.LHS, e.RHS = &guard{e.LHS, m, false}, &guard{e.RHS, m, false} // comparing takes as long as they are large
	case *hclsyntax.UnaryOpExpr:
		in(&e.Val)
	case *hclsyntax.TemplateExpr:
		for i := range e.Parts {
			in(&e.Parts[i])
			if _, literal := e.Parts[i].(*hclsyntax.LiteralValueExpr); !literal {
				e.Parts[i] = &part{e.Parts[i]}
			}
		}
	case *hclsyntax.TemplateJoinExpr:
		in(&e.Tuple)
	case *hclsyntax.TemplateWrapExpr:
		in(&e.Wrapped)
	}
	return &guard{e, m, false}
}

// An audit walks a file once. It reports `for` expressions that are nested too deep, and
// notices whether anything depends on the node.
type audit struct {
	depth int
	node  bool
	diags hcl2.Diagnostics
}

// Enter implements hclsyntax.Walker.
func (a *audit) Enter(n hclsyntax.Node) hcl2.Diagnostics {
	switch n := n.(type) {
	case *hclsyntax.ScopeTraversalExpr:
		a.node = a.node || n.Traversal.RootName() == "node"
	case *hclsyntax.ForExpr:
		if a.depth++; a.depth == maxForDepth+1 {
			a.diags = append(a.diags, tooMuch(n.Range(), "The loops are nested too deep",
				fmt.Sprintf("A for expression may hold others, %d deep in all. Split it with locals.", maxForDepth))...)
		}
	}
	return nil
}

// Exit implements hclsyntax.Walker.
func (a *audit) Exit(n hclsyntax.Node) hcl2.Diagnostics {
	if _, ok := n.(*hclsyntax.ForExpr); ok {
		a.depth--
	}
	return nil
}
