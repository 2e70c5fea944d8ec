package planfile

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/hareconcile/hareconcile/internal/spec"
	"github.com/hareconcile/hareconcile/reconcile"
	"github.com/hareconcile/hareconcile/reconcile/resource"
)

// The bounds of a File that Decode accepts.
const (
	MaxBytes   = 32 << 20
	MaxChanges = 100_000
)

// Encode writes f as indented JSON. The same plan gives the same bytes.
func (f File) Encode(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	if err := e.Encode(f); err != nil {
		return fmt.Errorf("encode plan: %w", err)
	}
	return nil
}

// Decode reads a File of this format's major version, and nothing else: unknown fields and
// kinds, and changes that contradict themselves, are errors.
func Decode(r io.Reader) (File, error) {
	b, err := io.ReadAll(io.LimitReader(r, MaxBytes+1))
	if err != nil {
		return File{}, fmt.Errorf("read plan: %w", err)
	}
	if len(b) > MaxBytes {
		return File{}, fmt.Errorf("read plan: larger than %d MiB", MaxBytes>>20)
	}
	var head struct {
		FormatVersion string `json:"format_version"`
	}
	if err := json.Unmarshal(b, &head); err != nil {
		return File{}, fmt.Errorf("decode plan: %w", err)
	}
	if err := checkFormat(head.FormatVersion); err != nil {
		return File{}, fmt.Errorf("decode plan: %w", err)
	}
	var f File
	if err := strict(b, &f); err != nil {
		return File{}, fmt.Errorf("decode plan: %w", err)
	}
	if err := f.Validate(); err != nil {
		return File{}, fmt.Errorf("decode plan: %w", err)
	}
	return f, nil
}

func checkFormat(version string) error {
	major, _, _ := strings.Cut(version, ".")
	ours, _, _ := strings.Cut(FormatVersion, ".")
	if major != ours {
		return fmt.Errorf("format_version is %q, want %s.x", version, ours)
	}
	return nil
}

// Validate reports whether f could have been made by New: a File that came over a socket
// is judged by it before anything is done with it.
func (f File) Validate() error {
	if err := checkFormat(f.FormatVersion); err != nil {
		return err
	}
	if len(f.Changes) > MaxChanges || len(f.Conflicts) > MaxChanges || len(f.Policies) > MaxChanges {
		return fmt.Errorf("more than %d entries in a list", MaxChanges)
	}
	if f.Node == "" {
		return errors.New("node is missing")
	}
	for i, c := range f.Changes {
		if err := c.validate(); err != nil {
			return fmt.Errorf("resource_changes[%d]: %w", i, err)
		}
	}
	for i, c := range f.Conflicts {
		id := resource.ID{Kind: c.Kind, Name: c.Name}
		if err := errors.Join(checkID(c.Address, id, c.Live), checkID(c.Address, id, c.Want)); err != nil {
			return fmt.Errorf("conflicts[%d]: %w", i, err)
		}
	}
	want := f.count()
	want.DestroyPercent = f.Summary.DestroyPercent
	if f.Summary != want || want.DestroyPercent < 0 || want.DestroyPercent > 100 || f.Uncompared < 0 {
		return errors.New("summary does not match the changes")
	}
	return nil
}

func (c Change) validate() error {
	action, ok := actions[c.Action]
	if !ok {
		return fmt.Errorf("action %q is not known", c.Action)
	}
	if (c.Before == nil) != (action == reconcile.Create) || (c.After == nil) != (action == reconcile.Delete) {
		return fmt.Errorf("%s %s has the wrong sides", c.Action, c.Address)
	}
	if (c.Before == c.After) != (action == reconcile.Adopt) {
		return fmt.Errorf("%s %s: before and after do not fit the action", c.Action, c.Address)
	}
	id := resource.ID{Kind: c.Kind, Name: c.Name}
	for _, v := range []any{c.Before, c.After} {
		if v == nil {
			continue
		}
		if err := checkID(c.Address, id, v); err != nil {
			return err
		}
	}
	return nil
}

func checkID(address string, id resource.ID, v any) error {
	r, ok := v.(identified)
	if !ok {
		return fmt.Errorf("%s has no value", id)
	}
	if r.ID() != id || address != id.String() {
		return fmt.Errorf("address %q, name %q and value %q differ", address, id, r.ID())
	}
	return nil
}

// UnmarshalJSON reads a change with Before and After as the kind's struct.
func (c *Change) UnmarshalJSON(b []byte) error {
	var raw struct {
		Address   string          `json:"address"`
		Kind      resource.Kind   `json:"kind"`
		Name      string          `json:"name"`
		Action    string          `json:"action"`
		Before    json.RawMessage `json:"before"`
		After     json.RawMessage `json:"after"`
		DefinedAt *spec.Origin    `json:"defined_at"`
	}
	if err := strict(b, &raw); err != nil {
		return err
	}
	before, err := decodeSide(raw.Kind, raw.Before)
	if err != nil {
		return fmt.Errorf("before: %w", err)
	}
	after, err := decodeSide(raw.Kind, raw.After)
	if err != nil {
		return fmt.Errorf("after: %w", err)
	}
	*c = Change{raw.Address, raw.Kind, raw.Name, raw.Action, before, after, raw.DefinedAt}
	return nil
}

// UnmarshalJSON reads a conflict with Live and Want as the kind's struct.
func (c *Conflict) UnmarshalJSON(b []byte) error {
	var raw struct {
		Address   string          `json:"address"`
		Kind      resource.Kind   `json:"kind"`
		Name      string          `json:"name"`
		Live      json.RawMessage `json:"live"`
		Want      json.RawMessage `json:"want"`
		DefinedAt *spec.Origin    `json:"defined_at"`
	}
	if err := strict(b, &raw); err != nil {
		return err
	}
	live, err := decodeSide(raw.Kind, raw.Live)
	if err != nil {
		return fmt.Errorf("live: %w", err)
	}
	want, err := decodeSide(raw.Kind, raw.Want)
	if err != nil {
		return fmt.Errorf("want: %w", err)
	}
	*c = Conflict{raw.Address, raw.Kind, raw.Name, live, want, raw.DefinedAt}
	return nil
}

// decodeSide reads one side of a change; null and nothing are nil.
func decodeSide(kind resource.Kind, raw json.RawMessage) (any, error) {
	if len(raw) == 0 || string(raw) == "null" {
		if _, ok := decoders[kind]; !ok {
			return nil, fmt.Errorf("kind %q is not known", kind)
		}
		return nil, nil
	}
	return DecodeResource(kind, raw)
}
