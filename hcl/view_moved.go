package hcl

import (
	"fmt"

	hcl2 "github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"

	"github.com/hareconcile/hareconcile/internal/spec"
)

// moved reads a rename; its addresses name blocks and are not evaluated.
func (v *view) moved(b *hclsyntax.Block, k int) (spec.Moved, bool) {
	from, ok := v.address(b, "from")
	to, ok2 := v.address(b, "to")
	if !ok || !ok2 {
		return spec.Moved{}, false
	}
	in := v.ev.instance(movedBlock, b, fmt.Sprintf("moved[%d]", k), nil)
	return spec.Moved{Origin: v.note(in), From: from, To: to}, true
}

// address reads pool.web or pool.web["a"] without evaluating it.
func (v *view) address(b *hclsyntax.Block, name string) (string, bool) {
	a := b.Body.Attributes[name]
	if a == nil {
		return "", false // reported by checkBody
	}
	t, diags := hcl2.AbsTraversalForExpr(a.Expr)
	if diags.HasErrors() || len(t) < 2 || len(t) > 3 {
		v.ev.report.errorf(a.Expr.Range(), "Not a block address", "Write TYPE.NAME, such as pool.web.")
		return "", false
	}
	label, ok := step(t, 1)
	out := t.RootName() + "." + label
	if len(t) == 3 {
		key, isKey := step(t, 2)
		ok = ok && isKey
		out += fmt.Sprintf("[%q]", key)
	}
	if def, known := clusterFile.block(t.RootName()); !known || !def.each || !ok {
		v.ev.report.errorf(a.Expr.Range(), "Not a block address", "%s is no block that can be renamed: vrrp_instance, sync_group, tracker, pool or virtual_server.", out)
		return "", false
	}
	return out, true
}
