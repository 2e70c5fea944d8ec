package hcl

import (
	"math"
	"math/big"
	"testing"

	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/convert"
)

// TestWholeNumbersAreWrittenAsCtyDoes compares with the conversion that it saves.
func TestWholeNumbersAreWrittenAsCtyDoes(t *testing.T) {
	large, _, err := big.ParseFloat("1e30", 10, 512, big.ToNearestEven)
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		v     cty.Value
		whole bool
	}{
		{cty.NumberIntVal(0), true}, {cty.NumberIntVal(7), true}, {cty.NumberIntVal(-42), true},
		{cty.NumberIntVal(math.MaxInt64), true}, {cty.NumberIntVal(math.MinInt64 + 1), true}, {cty.NumberIntVal(math.MinInt64), false},
		{cty.NumberFloatVal(1e15), true}, {cty.NumberFloatVal(0.5), false}, {cty.NumberFloatVal(math.Copysign(0, -1)), false},
		{cty.NumberVal(large), false}, {cty.PositiveInfinity, false}, {cty.NumberUIntVal(math.MaxUint64), false},
	} {
		got, ok := wholeNumber(tt.v)
		if ok != tt.whole {
			t.Errorf("wholeNumber(%#v) = %q, %v, want %v", tt.v, got, ok, tt.whole)
		}
		if !ok {
			continue
		}
		want, err := convert.Convert(tt.v, cty.String)
		if err != nil || got != want.AsString() {
			t.Errorf("wholeNumber(%#v) = %q, cty says %#v, %v", tt.v, got, want, err)
		}
	}
	for _, v := range []cty.Value{cty.UnknownVal(cty.Number), cty.NullVal(cty.Number), cty.NumberIntVal(1).Mark("x"), cty.StringVal("1"), cty.True} {
		if got, ok := wholeNumber(v); ok {
			t.Errorf("wholeNumber(%#v) = %q, want none", v, got)
		}
	}
}
