// Package resource holds what a host has, as comparable values keyed by the kernel's own key.
package resource

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"
)

// A Kind names a sort of resource, such as "address" or "ipvs_server".
type Kind string

// An ID identifies a resource on one host. Name is the key under which the kernel
// (or vrrpd) itself knows the object, never a name from the cluster file, so that
// renaming a block changes nothing on any node.
type ID struct {
	Kind Kind
	Name string
}

// String returns kind/name.
func (id ID) String() string { return string(id.Kind) + "/" + id.Name }

// A Set holds resources by ID. Desired and live state are both Sets. Each value is
// one of the structs of this package, all of which compare with ==.
type Set map[ID]any

// A List is a short list of strings as one comparable value: its items joined by
// commas, in the order in which they were written. The zero value is the empty list.
type List string

// NewList joins items, which must not contain commas.
func NewList(items ...string) List { return List(strings.Join(items, ",")) }

// Items returns the list's items in order; nil for the empty list.
func (l List) Items() []string {
	if l == "" {
		return nil
	}
	return strings.Split(string(l), ",")
}

// MarshalJSON writes the list as an array of strings.
func (l List) MarshalJSON() ([]byte, error) {
	items := l.Items()
	if items == nil {
		items = []string{}
	}
	return json.Marshal(items)
}

// UnmarshalJSON reads an array of strings without commas.
func (l *List) UnmarshalJSON(b []byte) error {
	var items []string
	if err := json.Unmarshal(b, &items); err != nil {
		return err
	}
	for _, it := range items {
		if it == "" || strings.Contains(it, ",") {
			return fmt.Errorf("list item %q is empty or has a comma", it)
		}
	}
	*l = NewList(items...)
	return nil
}

// A Duration is a time.Duration that is written as text ("1s", "500ms").
type Duration time.Duration

// String returns the duration as time.Duration does.
func (d Duration) String() string { return time.Duration(d).String() }

// MarshalText implements encoding.TextMarshaler.
func (d Duration) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (d *Duration) UnmarshalText(b []byte) error {
	v, err := time.ParseDuration(string(b))
	if err != nil {
		return err
	}
	*d = Duration(v)
	return nil
}
