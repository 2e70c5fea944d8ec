package hcl

import (
	"errors"
	"math/big"
	"net/netip"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2/ext/tryfunc"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/function"
	"github.com/zclconf/go-cty/cty/function/stdlib"
)

// maxCall bounds the work of one call, in steps or bytes, before it is made.
const maxCall = 1_000_000

// A builtin is a function of the language. cost bounds its work from its arguments; nil
// means that the work is proportional to the arguments.
type builtin struct {
	f    function.Function
	cost func(args []cty.Value) int
	doc  string
}

// texts are the functions that would write anything as text, also what has no text.
var texts = []string{"format", "jsonencode"}

// builtins are pure: no clock, environment, file or network.
var builtins = map[string]builtin{
	"abs":        {stdlib.AbsoluteFunc, nil, "The number without its sign."},
	"alltrue":    {allTrueFunc, nil, "Whether every element of a list is true."},
	"anytrue":    {anyTrueFunc, nil, "Whether any element of a list is true."},
	"ceil":       {stdlib.CeilFunc, nil, "The next whole number upwards."},
	"chunklist":  {stdlib.ChunklistFunc, nil, "Splits a list into lists of a length."},
	"coalesce":   {stdlib.CoalesceFunc, square, "The first argument that is not null."},
	"compact":    {stdlib.CompactFunc, nil, "A list of strings without the empty ones."},
	"concat":     {stdlib.ConcatFunc, square, "Lists joined to one."},
	"contains":   {stdlib.ContainsFunc, nil, "Whether a list has an element."},
	"distinct":   {stdlib.DistinctFunc, square, "A list without repetitions."},
	"element":    {stdlib.ElementFunc, nil, "An element of a list, counted in a circle."},
	"flatten":    {stdlib.FlattenFunc, nil, "Lists in a list, made one."},
	"floor":      {stdlib.FloorFunc, nil, "The next whole number downwards."},
	"format":     {stdlib.FormatFunc, formatCost, "A string with %s, %d, %q and the like filled in."},
	"host":       {hostFunc, nil, `The address of a prefix: host("192.0.2.1/24") is "192.0.2.1".`},
	"index":      {stdlib.IndexFunc, nil, "An element of a list or map."},
	"join":       {stdlib.JoinFunc, product, "Strings joined with a separator."},
	"jsondecode": {stdlib.JSONDecodeFunc, jsonCost, "The value that JSON text holds."},
	"jsonencode": {stdlib.JSONEncodeFunc, nil, "A value as JSON text."},
	"keys":       {stdlib.KeysFunc, nil, "The keys of a map, sorted."},
	"length":     {stdlib.LengthFunc, nil, "How many elements a list, set or map has."},
	"lookup":     {stdlib.LookupFunc, nil, "The element of a map, or a default."},
	"lower":      {stdlib.LowerFunc, nil, "A string in lower case."},
	"max":        {stdlib.MaxFunc, nil, "The largest number."},
	"merge":      {stdlib.MergeFunc, nil, "Maps joined to one; later ones win."},
	"min":        {stdlib.MinFunc, nil, "The smallest number."},
	"parseint":   {stdlib.ParseIntFunc, nil, "The number that a string holds in a base."},
	"range":      {stdlib.RangeFunc, rangeCost, "Numbers from a start to before a limit, at most 1024."},
	"regex":      {stdlib.RegexFunc, regexCost, "What a pattern matches first."},
	"regexall":   {stdlib.RegexAllFunc, regexCost, "Everything that a pattern matches."},
	"replace":    {stdlib.ReplaceFunc, product, "A string with parts replaced."},
	"reverse":    {stdlib.ReverseListFunc, nil, "A list from its end."},
	"setproduct": {stdlib.SetProductFunc, productOfLengths, "All combinations of the elements of lists."},
	"setunion":   {stdlib.SetUnionFunc, square, "The elements of any of the sets."},
	"slice":      {stdlib.SliceFunc, nil, "A part of a list."},
	"sort":       {stdlib.SortFunc, nil, "Strings, sorted."},
	"split":      {stdlib.SplitFunc, nil, "A string cut at a separator."},
	"strlen":     {stdlib.StrlenFunc, nil, "How many characters a string has."},
	"substr":     {stdlib.SubstrFunc, nil, "A part of a string."},
	"title":      {stdlib.TitleFunc, nil, "A string with words in upper case at their start."},
	"tobool":     {stdlib.MakeToFunc(cty.Bool), nil, "A value as a boolean."},
	"tolist":     {stdlib.MakeToFunc(cty.List(cty.DynamicPseudoType)), square, "A value as a list."},
	"tomap":      {stdlib.MakeToFunc(cty.Map(cty.DynamicPseudoType)), square, "A value as a map."},
	"tonumber":   {stdlib.MakeToFunc(cty.Number), nil, "A value as a number."},
	"toset":      {stdlib.MakeToFunc(cty.Set(cty.DynamicPseudoType)), square, "A value as a set."},
	"tostring":   {stdlib.MakeToFunc(cty.String), nil, "A value as a string."},
	"trim":       {stdlib.TrimFunc, product, "A string without some characters at its ends."},
	"trimprefix": {stdlib.TrimPrefixFunc, nil, "A string without a start."},
	"trimspace":  {stdlib.TrimSpaceFunc, nil, "A string without space at its ends."},
	"trimsuffix": {stdlib.TrimSuffixFunc, nil, "A string without an end."},
	"upper":      {stdlib.UpperFunc, nil, "A string in upper case."},
	"values":     {stdlib.ValuesFunc, square, "The elements of a map, by sorted key."},
	"zipmap":     {stdlib.ZipmapFunc, nil, "A map of a list of keys and a list of values."},
	"secret":     {secretFunc, nil, "A reference to a secret that is kept on the host; works in the config of plugins, in passwords of checks and in auth."},
}

// special functions look at expressions instead of values.
var special = map[string]builtin{
	"try": {tryfunc.TryFunc, nil, "The first argument that has no error."},
	"can": {tryfunc.CanFunc, nil, "Whether an expression has no error."},
}

// functions returns the functions for one evaluator, metered.
func functions(p *program) map[string]function.Function {
	out := make(map[string]function.Function, len(builtins)+len(special))
	for name, b := range builtins {
		out[name] = p.metered(b)
		if slices.Contains(texts, name) {
			out[name] = textual(out[name])
		}
	}
	for name, b := range special {
		out[name] = b.f
	}
	return out
}

// textual returns f without secrets and blocks among its arguments.
func textual(f function.Function) function.Function {
	return function.New(&function.Spec{
		Params:   f.Params(),
		VarParam: f.VarParam(),
		Type: func(args []cty.Value) (cty.Type, error) {
			for i, a := range args {
				if holds(a, secretType) || holds(a, referenceType) {
					return cty.DynamicPseudoType, function.NewArgErrorf(i, "secrets and blocks have no text")
				}
			}
			return f.ReturnTypeForValues(args)
		},
		Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) { return f.Call(args) },
	})
}

// metered returns a function that refuses arguments that would cost too much, before it works.
func (p *program) metered(b builtin) function.Function {
	var variadic *function.Parameter
	if v := b.f.VarParam(); v != nil {
		variadic = v
	}
	return function.New(&function.Spec{
		Params:   b.f.Params(),
		VarParam: variadic,
		Type: func(args []cty.Value) (cty.Type, error) {
			n := expense(b, args)
			if p.meter.work += n / 4; n > maxCall {
				return cty.DynamicPseudoType, errors.New("the result would be too large, or take too long to compute")
			}
			return b.f.ReturnTypeForValues(args)
		},
		Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) { return b.f.Call(args) },
	})
}

func expense(b builtin, args []cty.Value) int {
	plain := make([]cty.Value, len(args))
	total := 0
	for i, a := range args {
		if plain[i], _ = a.UnmarkDeep(); !a.IsKnown() || a.IsNull() {
			return total
		}
		n, ok := measure(plain[i], maxValue, maxValueDepth)
		if total += n; !ok {
			return maxCall + 1 // a string that became a number, such as "1e99999"
		}
	}
	if b.cost == nil {
		return total
	}
	return total + b.cost(plain)
}

// size is what an argument weighs: elements and bytes.
func size(v cty.Value) int {
	n, _ := measure(v, maxValue, maxValueDepth)
	return n
}

// square bounds functions that compare elements with each other.
func square(args []cty.Value) int {
	n := 0
	for _, a := range args {
		if n++; a.CanIterateElements() {
			n += a.LengthInt()
		}
	}
	return n * n / 8
}

// product bounds functions that put one argument into another many times.
func product(args []cty.Value) int {
	n := 1
	for _, a := range args {
		if n *= 1 + size(a); n > maxCall*64 {
			return n
		}
	}
	return n / 64
}

// regexCost bounds a matcher's states, of which a counted repetition makes up to a thousand, times the text.
func regexCost(args []cty.Value) int {
	n := product(args)
	if strings.Contains(args[0].AsString(), "{") {
		n *= 1000
	}
	return n
}

func productOfLengths(args []cty.Value) int {
	n := 1
	for _, a := range args {
		if !a.CanIterateElements() {
			return 0
		}
		if n *= 1 + a.LengthInt(); n > maxValue {
			return maxCall + 1
		}
	}
	return n * (1 + len(args))
}

// rangeCost is that of the longest range: numbers are dear.
func rangeCost([]cty.Value) int { return 4 * 1024 }

// formatCost looks for widths and for texts that become huge numbers.
func formatCost(args []cty.Value) int {
	digits := 0
	for _, c := range args[0].AsString() {
		if c < '0' || c > '9' {
			digits = 0
		} else if digits++; digits > 3 {
			return maxCall + 1
		}
	}
	for _, a := range args[1:] {
		if a.Type() != cty.String || len(a.AsString()) > 64 {
			continue
		}
		if n, _, err := big.ParseFloat(a.AsString(), 10, 64, big.ToNearestEven); err == nil && (n.MantExp(nil) > maxExponent || n.MantExp(nil) < -maxExponent) {
			return maxCall + 1
		}
	}
	return 0
}

// jsonCost refuses text that is nested deep.
func jsonCost(args []cty.Value) int {
	depth := 0
	for _, c := range args[0].AsString() {
		switch c {
		case '[', '{':
			if depth++; depth > maxBrackets {
				return maxCall + 1
			}
		case ']', '}':
			depth--
		}
	}
	return 0
}

var hostFunc = function.New(&function.Spec{
	Params: []function.Parameter{{Name: "prefix", Type: cty.String}},
	Type:   function.StaticReturnType(cty.String),
	Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
		p, err := netip.ParsePrefix(args[0].AsString())
		if err != nil {
			return cty.NilVal, function.NewArgErrorf(0, `an address with a prefix length is needed, such as "192.0.2.1/24"`)
		}
		return cty.StringVal(p.Addr().String()), nil
	},
})

var secretFunc = function.New(&function.Spec{
	Params: []function.Parameter{{Name: "name", Type: cty.String}},
	Type:   function.StaticReturnType(secretType),
	Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
		if !namePattern.MatchString(args[0].AsString()) {
			return cty.NilVal, function.NewArgErrorf(0, "the name of a secret is needed: %s", strings.TrimSuffix(nameRule, "."))
		}
		return cty.CapsuleVal(secretType, &secretName{args[0].AsString()}), nil
	},
})

var (
	allTrueFunc = boolsFunc(true)
	anyTrueFunc = boolsFunc(false)
)

// boolsFunc makes a function of a list of booleans that every element leaves at start, or one does not.
func boolsFunc(start bool) function.Function {
	return function.New(&function.Spec{
		Params: []function.Parameter{{Name: "list", Type: cty.List(cty.Bool)}},
		Type:   function.StaticReturnType(cty.Bool),
		Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
			for _, v := range args[0].AsValueSlice() {
				if v.IsNull() || !v.IsKnown() {
					return cty.NilVal, function.NewArgErrorf(0, "an element has no value")
				}
				if v.True() != start {
					return cty.BoolVal(!start), nil
				}
			}
			return cty.BoolVal(start), nil
		},
	})
}
