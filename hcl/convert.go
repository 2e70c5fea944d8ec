package hcl

import (
	"errors"

	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/convert"
)

// convertTo is convert.Convert for what may have ten thousand elements. That looks for one
// type of them all and compares each with each to do so, even where the wanted type is
// known; here every element is converted by itself.
func convertTo(v cty.Value, want cty.Type) (cty.Value, error) {
	have := v.Type()
	switch {
	case have.Equals(want):
		return v, nil
	case v.IsMarked() || !v.IsKnown() || v.IsNull() || want.HasDynamicTypes() || have.HasDynamicTypes():
		return convert.Convert(v, want)
	case want.IsMapType() && (have.IsObjectType() || have.IsMapType()):
		return convertMap(v, want.ElementType())
	case want.IsListType() && have.IsTupleType():
		return convertList(v, want.ElementType())
	}
	return convert.Convert(v, want)
}

func convertMap(v cty.Value, elem cty.Type) (cty.Value, error) {
	out := make(map[string]cty.Value, v.LengthInt())
	for it := v.ElementIterator(); it.Next(); {
		key, e := it.Element()
		got, err := convertTo(e, elem)
		if err != nil {
			return v, within(key, err)
		}
		out[key.AsString()] = got
	}
	if len(out) == 0 {
		return cty.MapValEmpty(elem.WithoutOptionalAttributesDeep()), nil
	}
	return cty.MapVal(out), nil
}

func convertList(v cty.Value, elem cty.Type) (cty.Value, error) {
	out := make([]cty.Value, 0, v.LengthInt())
	for it := v.ElementIterator(); it.Next(); {
		key, e := it.Element()
		got, err := convertTo(e, elem)
		if err != nil {
			return v, within(key, err)
		}
		out = append(out, got)
	}
	if len(out) == 0 {
		return cty.ListValEmpty(elem.WithoutOptionalAttributesDeep()), nil
	}
	return cty.ListVal(out), nil
}

// within puts a key before the place of a mistake.
func within(key cty.Value, err error) error {
	path := cty.IndexPath(key)
	var at cty.PathError
	if errors.As(err, &at) {
		return append(path, at.Path...).NewErrorf("%s", err.Error())
	}
	return path.NewError(err)
}
