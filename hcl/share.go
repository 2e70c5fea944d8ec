package hcl

import (
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
)

// A shared value is that of an attribute in every block that for_each or dynamic makes,
// because it refers to nothing that differs between them.
type shared struct {
	value cty.Value
	work  int // charged for every use, so that large values stay as bounded as before
}

// share keeps the value of an attribute for the other instances of its block. Only a good
// value is shared: mistakes and cycles are found in each instance.
func (ev *evaluator) share(a *hclsyntax.Attribute, v cty.Value, s *scope) {
	if s == nil || v.IsNull() || !v.IsWhollyKnown() || ev.shared == nil {
		return
	}
	refs := ev.prepare(a.Expr).refs
	for ; s != nil; s = s.parent {
		for _, t := range refs {
			if t.RootName() == s.name {
				return
			}
		}
	}
	n, _ := measure(v, maxValue, maxValueDepth)
	ev.shared[a] = shared{v, 4 + 4*len(refs) + n/4}
}

// again returns a shared value.
func (ev *evaluator) again(a *hclsyntax.Attribute) (cty.Value, bool) {
	got, ok := ev.shared[a]
	if !ok || !ev.meter.charge(got.work, a.Expr.Range()) {
		return cty.DynamicVal, false // evaluating it reports that the work is too much
	}
	return got.value, true
}
