package planfile

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"

	"github.com/hareconcile/hareconcile/internal/spec"
	"github.com/hareconcile/hareconcile/reconcile"
	"github.com/hareconcile/hareconcile/reconcile/resource"
)

// The bounds of a File that Decode accepts. A table of 10,000 services with 5 servers each
// that is made from nothing takes 60,000 changes and half of the bytes.
const (
	MaxBytes   = 64 << 20
	MaxChanges = 100_000
)

// Decode reads a File of this format's major version, and nothing else: unknown fields and
// kinds, and changes that contradict themselves, are errors.
func Decode(r io.Reader) (File, error) {
	d := json.NewDecoder(&bounded{r, MaxBytes})
	f, err := DecodeNext(d)
	if err != nil {
		return f, err
	}
	if _, err := d.Token(); err != io.EOF {
		return File{}, errors.New("decode plan: data after the JSON object")
	}
	return f, nil
}

// DecodeNext reads a File as Decode does from d, where it may be part of a larger document.
// What d reads from should be bounded.
func DecodeNext(d *json.Decoder) (File, error) {
	d.DisallowUnknownFields()
	var f File
	if err := f.read(d); err != nil {
		return File{}, fmt.Errorf("decode plan: %w", err)
	}
	if err := f.Validate(); err != nil {
		return File{}, fmt.Errorf("decode plan: %w", err)
	}
	return f, nil
}

// A bounded reader fails after n bytes, where an io.LimitedReader would look like the end.
type bounded struct {
	r io.Reader
	n int64
}

// Read implements io.Reader.
func (b *bounded) Read(p []byte) (int, error) {
	n, err := b.r.Read(p)
	if b.n -= int64(n); b.n < 0 {
		return 0, fmt.Errorf("larger than %d MiB", MaxBytes>>20)
	}
	return n, err
}

// read reads a File member by member, so that a long list is never in memory as text.
func (f *File) read(d *json.Decoder) error {
	if err := opening(d, '{'); err != nil {
		return err
	}
	seen := map[string]bool{}
	for d.More() {
		t, err := d.Token()
		if err != nil {
			return err
		}
		name, _ := t.(string) // what else there is, d refuses
		if seen[name] {
			return fmt.Errorf("%q is there twice", name)
		}
		seen[name] = true
		if err := f.member(d, name); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		if name == "format_version" {
			if err := checkFormat(f.FormatVersion); err != nil {
				return err
			}
		}
	}
	_, err := d.Token()
	return err
}

// member reads the value of one member.
func (f *File) member(d *json.Decoder, name string) error {
	switch name {
	case "resource_changes":
		return readList(d, &f.Changes)
	case "conflicts":
		return readList(d, &f.Conflicts)
	}
	v := reflect.ValueOf(f).Elem()
	for i := range v.NumField() {
		if fieldName(v.Type().Field(i)) == name {
			return d.Decode(v.Field(i).Addr().Interface())
		}
	}
	return errors.New("unknown field")
}

// readList reads a list entry by entry; null is a list of none.
func readList[T any, P interface {
	*T
	readFrom(*json.Decoder) error
}](d *json.Decoder, out *[]T) error {
	if t, err := d.Token(); err != nil || t == nil {
		return err
	} else if t != json.Delim('[') {
		return errors.New("not a list")
	}
	*out = []T{}
	for d.More() {
		if len(*out) == MaxChanges {
			return fmt.Errorf("more than %d entries", MaxChanges)
		}
		var v T
		if err := P(&v).readFrom(d); err != nil {
			return fmt.Errorf("entry %d: %w", len(*out), err)
		}
		*out = append(*out, v)
	}
	_, err := d.Token()
	return err
}

// opening reads a delimiter that has to come now.
func opening(d *json.Decoder, want json.Delim) error {
	t, err := d.Token()
	if err == nil && t != want {
		err = fmt.Errorf("not a JSON object")
	}
	return err
}

// readFrom reads a change with Before and After as the kind's struct.
func (c *Change) readFrom(d *json.Decoder) error {
	var raw struct {
		Address   string          `json:"address"`
		Kind      resource.Kind   `json:"kind"`
		Name      string          `json:"name"`
		Action    string          `json:"action"`
		Before    json.RawMessage `json:"before"`
		After     json.RawMessage `json:"after"`
		DefinedAt *spec.Origin    `json:"defined_at"`
		Drain     bool            `json:"drain"`
		Class     reconcile.Class `json:"class"`
	}
	if err := d.Decode(&raw); err != nil {
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
	*c = Change{raw.Address, raw.Kind, raw.Name, raw.Action, before, after, raw.DefinedAt, raw.Drain, raw.Class}
	return nil
}

// readFrom reads a conflict with Live and Want as the kind's struct.
func (c *Conflict) readFrom(d *json.Decoder) error {
	var raw struct {
		Address   string          `json:"address"`
		Kind      resource.Kind   `json:"kind"`
		Name      string          `json:"name"`
		Live      json.RawMessage `json:"live"`
		Want      json.RawMessage `json:"want"`
		DefinedAt *spec.Origin    `json:"defined_at"`
		ByHand    bool            `json:"by_hand"`
	}
	if err := d.Decode(&raw); err != nil {
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
	*c = Conflict{raw.Address, raw.Kind, raw.Name, live, want, raw.DefinedAt, raw.ByHand}
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
