package sdk

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
)

// A Value is a configuration that its Schema accepts. Attributes that were not written
// read as the zero value of their type.
type Value struct {
	attributes map[string]any // string, float64, bool or []string
}

// maxConfig bounds a configuration's JSON.
const maxConfig = 64 << 10

// ParseValue reads a JSON object and compares it with s. The error joins an AttributeError
// for every mistake.
func ParseValue(s Schema, config []byte) (Value, error) {
	if len(config) > maxConfig {
		return Value{}, fmt.Errorf("the configuration is %d bytes long, at most %d are allowed", len(config), maxConfig)
	}
	var raw map[string]json.RawMessage
	dec := json.NewDecoder(bytes.NewReader(config))
	if len(bytes.TrimSpace(config)) == 0 {
		raw = map[string]json.RawMessage{}
	} else if err := dec.Decode(&raw); err != nil {
		return Value{}, fmt.Errorf("the configuration is no JSON object: %w", err)
	} else if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return Value{}, errors.New("the configuration goes on after its JSON object")
	}
	v := Value{attributes: map[string]any{}}
	var errs []error
	for _, name := range slices.Sorted(maps.Keys(raw)) {
		a, known := s[name]
		if !known {
			errs = append(errs, AttributeErrorf(name, "there is no such attribute; the plugin has %q", s.names()))
			continue
		}
		if string(raw[name]) == "null" {
			continue
		}
		x, err := a.Type.parse(raw[name])
		if err != nil {
			errs = append(errs, &AttributeError{name, err})
			continue
		}
		v.attributes[name] = x
	}
	for _, name := range s.names() {
		if b, written := raw[name]; s[name].Required && (!written || string(b) == "null") {
			errs = append(errs, AttributeErrorf(name, "is required"))
		}
	}
	return v, errors.Join(errs...)
}

func (t Type) parse(b json.RawMessage) (any, error) {
	switch t {
	case String:
		return decode[string](t, b)
	case Bool:
		return decode[bool](t, b)
	case Number:
		f, err := decode[float64](t, b)
		if err == nil && math.IsInf(f, 0) {
			return nil, errors.New("is out of range")
		}
		return f, err
	}
	return decode[[]string](t, b)
}

func decode[T any](t Type, b json.RawMessage) (T, error) {
	var out T
	if err := json.Unmarshal(b, &out); err != nil {
		return out, fmt.Errorf("want a %s", t)
	}
	return out, nil
}

// Has reports whether the attribute was written.
func (v Value) Has(name string) bool { _, ok := v.attributes[name]; return ok }

// String returns an attribute of type String.
func (v Value) String(name string) string { return get[string](v, name) }

// Number returns an attribute of type Number.
func (v Value) Number(name string) float64 { return get[float64](v, name) }

// Bool returns an attribute of type Bool.
func (v Value) Bool(name string) bool { return get[bool](v, name) }

// Strings returns a copy of an attribute of type ListString.
func (v Value) Strings(name string) []string { return slices.Clone(get[[]string](v, name)) }

func get[T any](v Value, name string) T {
	x, _ := v.attributes[name].(T)
	return x
}
