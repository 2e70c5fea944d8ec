package planfile

import (
	"encoding"
	"fmt"
	"reflect"
	"strconv"
	"strings"

	"github.com/hareconcile/hareconcile/reconcile/resource"
)

// An attribute is one field of a resource as people read it.
type attribute struct {
	name, value string
	empty       bool    // an optional field that is not set
	text        *string // a whole file, instead of value
}

// orNull returns the value, or null as terraform does for an attribute that is not set.
func (a attribute) orNull() string {
	if a.empty && a.value != "false" {
		return "null"
	}
	return a.value
}

// attributes lists the fields of a resource's struct under their JSON names, in the order
// of the struct. Nil has none.
func attributes(v any) []attribute {
	if v == nil {
		return nil
	}
	return appendFields(nil, reflect.ValueOf(v))
}

func appendFields(out []attribute, v reflect.Value) []attribute {
	if v.Kind() != reflect.Struct {
		return append(out, attribute{name: "value", value: formatValue(v)})
	}
	for i := range v.NumField() {
		f := v.Type().Field(i)
		if f.Anonymous {
			out = appendFields(out, v.Field(i))
			continue
		}
		if f.IsExported() {
			a := attribute{name: fieldName(f), empty: optional(f) && v.Field(i).IsZero()}
			if f.Tag.Get("plan") == "lines" {
				text := v.Field(i).String()
				a.text = &text
			} else {
				a.value = formatValue(v.Field(i))
			}
			out = append(out, a)
		}
	}
	return out
}

// optional reports whether JSON leaves f out while it has no value.
func optional(f reflect.StructField) bool {
	_, rest, _ := strings.Cut(f.Tag.Get("json"), ",")
	return rest == "omitempty" || rest == "omitzero"
}

// fieldName returns the name that JSON uses for f.
func fieldName(f reflect.StructField) string {
	name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
	if name == "" {
		return f.Name
	}
	return name
}

// formatValue writes v as the cluster file would: text quoted, lists in brackets, structs
// in braces without what is not set.
func formatValue(v reflect.Value) string {
	switch x := v.Interface().(type) {
	case resource.List:
		items := x.Items()
		for i, it := range items {
			items[i] = strconv.Quote(it)
		}
		return "[" + strings.Join(items, ", ") + "]"
	case fmt.Stringer:
		return strconv.Quote(x.String())
	case encoding.TextMarshaler:
		b, err := x.MarshalText()
		if err != nil {
			return strconv.Quote(err.Error())
		}
		return strconv.Quote(string(b))
	}
	switch v.Kind() {
	case reflect.String:
		return strconv.Quote(v.String())
	case reflect.Struct:
		var fields []string
		for _, a := range appendFields(nil, v) {
			if !a.empty {
				fields = append(fields, a.name+" = "+a.value)
			}
		}
		return "{ " + strings.Join(fields, ", ") + " }"
	}
	return clean(fmt.Sprint(v.Interface()))
}

// clean makes foreign text safe for a terminal: what does not print, and that includes
// escape sequences, line breaks and bidirectional controls, is written as an escape.
func clean(s string) string {
	var b strings.Builder
	for i, r := range s {
		if strconv.IsPrint(r) && !(r == '\uFFFD' && s[i] != 0xEF) {
			b.WriteRune(r)
			continue
		}
		if r == '\uFFFD' {
			fmt.Fprintf(&b, `\x%02x`, s[i])
			continue
		}
		q := strconv.QuoteRuneToASCII(r)
		b.WriteString(q[1 : len(q)-1])
	}
	return b.String()
}
