package planfile

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/netip"
	"reflect"

	"github.com/hareconcile/hareconcile/reconcile/resource"
)

// An identified value is one of the structs of package resource.
type identified interface{ ID() resource.ID }

// decoders has one entry for each kind.
var decoders = map[resource.Kind]func([]byte) (identified, error){
	resource.KindSysctl:       decodeAs[resource.Sysctl],
	resource.KindAddress:      decodeAs[resource.Address],
	resource.KindIPVSService:  decodeAs[resource.IPVSService],
	resource.KindIPVSServer:   decodeAs[resource.IPVSServer],
	resource.KindIPVSTimeouts: decodeAs[resource.IPVSTimeouts],
	resource.KindIPVSSync:     decodeAs[resource.IPVSSync],
	resource.KindTunnel:       decodeAs[resource.Tunnel],
	resource.KindVRRPTracker:  decodeAs[resource.VRRPTracker],
	resource.KindVRRPInstance: decodeAs[resource.VRRPInstance],
}

// DecodeResource reads one resource's struct, strictly: a field that the kind lacks, or an
// address that is none, is an error.
func DecodeResource(kind resource.Kind, raw json.RawMessage) (any, error) {
	decode, ok := decoders[kind]
	if !ok {
		return nil, fmt.Errorf("kind %q is not known", kind)
	}
	v, err := decode(raw)
	if err != nil {
		return nil, fmt.Errorf("decode %s: %w", kind, err)
	}
	return v, nil
}

func decodeAs[T identified](raw []byte) (identified, error) {
	var v T
	if err := strict(raw, &v); err != nil {
		return nil, err
	}
	if err := checkAddresses(reflect.ValueOf(v)); err != nil {
		return nil, err
	}
	return v, nil
}

// strict reads exactly one JSON object into v and knows every field of it.
func strict(raw []byte, v any) error {
	if b := bytes.TrimLeft(raw, " \t\r\n"); len(b) == 0 || b[0] != '{' {
		return fmt.Errorf("not a JSON object")
	}
	d := json.NewDecoder(bytes.NewReader(raw))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		return err
	}
	if _, err := d.Token(); err != io.EOF {
		return fmt.Errorf("data after the JSON object")
	}
	return nil
}

// checkAddresses refuses the zero values that netip's types have for a missing address,
// except where it may be missing.
func checkAddresses(v reflect.Value) error {
	switch a := v.Interface().(type) {
	case netip.Addr:
		return valid(a.IsValid(), "address")
	case netip.AddrPort:
		return valid(a.IsValid(), "address with port")
	case netip.Prefix:
		return valid(a.IsValid(), "prefix")
	}
	if v.Kind() != reflect.Struct {
		return nil
	}
	for i := range v.NumField() {
		f := v.Type().Field(i)
		if optional(f) && v.Field(i).IsZero() {
			continue
		}
		if err := checkAddresses(v.Field(i)); err != nil {
			return fmt.Errorf("%s: %w", fieldName(f), err)
		}
	}
	return nil
}

func valid(ok bool, what string) error {
	if !ok {
		return fmt.Errorf("%s is missing or not valid", what)
	}
	return nil
}
