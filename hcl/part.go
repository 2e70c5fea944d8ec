package hcl

import (
	"math"
	"math/big"
	"strconv"

	hcl2 "github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
)

// A part is an expression in a template, whose value becomes text. Whole numbers are written
// here: cty takes its numbers of 512 bits apart in decimal, which is a quarter of the time
// that ten thousand blocks take.
type part struct{ hclsyntax.Expression }

// Value implements hcl2.Expression.
func (p *part) Value(ctx *hcl2.EvalContext) (cty.Value, hcl2.Diagnostics) {
	v, diags := p.Expression.Value(ctx)
	if text, ok := wholeNumber(v); ok {
		return cty.StringVal(text), diags
	}
	return v, diags
}

// wholeNumber returns what cty's conversion makes of v, if v is a number without a fraction
// that fits into 64 bits.
func wholeNumber(v cty.Value) (string, bool) {
	if v.Type() != cty.Number || v.IsMarked() || !v.IsKnown() || v.IsNull() {
		return "", false
	}
	f := v.AsBigFloat()
	n, accuracy := f.Int64()
	if accuracy != big.Exact || n == math.MinInt64 || n == 0 && f.Signbit() {
		return "", false
	}
	return strconv.FormatInt(n, 10), true
}
