package policies

import (
	"bytes"
	"encoding/json"
	"fmt"

	"github.com/zclconf/go-cty/cty"
)

// toValue returns v as HCL sees it: under its JSON names. Nil is null. It gives what
// ctyjson.ImpliedType and ctyjson.Unmarshal give together, in a fraction of their time,
// which is what big plans are judged in.
func toValue(v any) (cty.Value, error) {
	b, err := json.Marshal(v)
	if err != nil {
		return cty.NilVal, err
	}
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	var plain any
	if err := d.Decode(&plain); err != nil {
		return cty.NilVal, err
	}
	return fromJSON(plain)
}

func fromJSON(v any) (cty.Value, error) {
	switch v := v.(type) {
	case nil:
		return cty.NullVal(cty.DynamicPseudoType), nil
	case bool:
		return cty.BoolVal(v), nil
	case string:
		return cty.StringVal(v), nil
	case json.Number:
		if n, err := v.Int64(); err == nil {
			return cty.NumberIntVal(n), nil
		}
		return cty.ParseNumberVal(v.String())
	case []any:
		elements := make([]cty.Value, len(v))
		for i, e := range v {
			var err error
			if elements[i], err = fromJSON(e); err != nil {
				return cty.NilVal, err
			}
		}
		return cty.TupleVal(elements), nil
	case map[string]any:
		attrs := make(map[string]cty.Value, len(v))
		for name, e := range v {
			var err error
			if attrs[name], err = fromJSON(e); err != nil {
				return cty.NilVal, err
			}
		}
		return cty.ObjectVal(attrs), nil
	}
	return cty.NilVal, fmt.Errorf("%T is not of JSON", v)
}
