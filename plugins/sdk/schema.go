package sdk

import (
	"fmt"
	"maps"
	"slices"
)

// A Type is the type of an Attribute, in the words of cluster.hcl.
type Type string

// The types.
const (
	String     Type = "string"
	Number     Type = "number"
	Bool       Type = "bool"
	ListString Type = "list(string)"
)

// An Attribute is one argument of a tracker's config block.
type Attribute struct {
	Type        Type   `json:"type"`
	Required    bool   `json:"required"`
	Description string `json:"description"`
}

// A Schema says which attributes a configuration may and must have, by name.
type Schema map[string]Attribute

// valid returns an error if an attribute has a type that does not exist.
func (s Schema) valid() error {
	for _, name := range s.names() {
		switch s[name].Type {
		case String, Number, Bool, ListString:
		default:
			return fmt.Errorf("attribute %q has type %q, want %s, %s, %s or %s",
				name, s[name].Type, String, Number, Bool, ListString)
		}
	}
	return nil
}

func (s Schema) names() []string { return slices.Sorted(maps.Keys(s)) }

// An AttributeError is a mistake in one attribute of a configuration.
type AttributeError struct {
	Attribute string
	Err       error
}

// Error implements error.
func (e *AttributeError) Error() string { return e.Attribute + ": " + e.Err.Error() }

// Unwrap returns the mistake.
func (e *AttributeError) Unwrap() error { return e.Err }

// AttributeErrorf returns an AttributeError with a formatted text.
func AttributeErrorf(attribute, format string, args ...any) error {
	return &AttributeError{attribute, fmt.Errorf(format, args...)}
}
