package planfile

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/netip"
	"reflect"
	"slices"

	"github.com/hareconcile/hareconcile/reconcile/resource"
)

// An identified value is one of the structs of package resource.
type identified interface{ ID() resource.ID }

// decoders has one entry for each kind.
var decoders = map[resource.Kind]func([]byte) (identified, error){
	resource.KindSysctl:             decodeAs[resource.Sysctl](),
	resource.KindAddress:            decodeAs[resource.Address](),
	resource.KindIPVSService:        decodeAs[resource.IPVSService](),
	resource.KindIPVSServer:         decodeAs[resource.IPVSServer](),
	resource.KindIPVSTimeouts:       decodeAs[resource.IPVSTimeouts](),
	resource.KindIPVSSync:           decodeAs[resource.IPVSSync](),
	resource.KindHAProxyFile:        decodeAs[resource.HAProxyFile](),
	resource.KindHAProxyServer:      decodeAs[resource.HAProxyServer](),
	resource.KindHAProxyMap:         decodeAs[resource.HAProxyMap](),
	resource.KindHAProxyCertificate: decodeAs[resource.HAProxyCertificate](),
	resource.KindTunnel:             decodeAs[resource.Tunnel](),
	resource.KindVRRPTracker:        decodeAs[resource.VRRPTracker](),
	resource.KindVRRPInstance:       decodeAs[resource.VRRPInstance](),
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

// decodeAs returns the decoder of one kind.
func decodeAs[T identified]() func([]byte) (identified, error) {
	needed := addresses(nil, "", reflect.TypeFor[T]())
	return func(raw []byte) (identified, error) {
		var v T
		if err := strict(raw, &v); err != nil {
			return nil, err
		}
		r := reflect.ValueOf(v)
		for _, a := range needed {
			if r.FieldByIndex(a.index).IsZero() {
				return nil, fmt.Errorf("%s is missing or not valid", a.name)
			}
		}
		return v, nil
	}
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

// A needed is an address in a resource that must not be the zero value which package netip
// has for a missing one.
type needed struct {
	name  string // such as "service: address"
	index []int
}

// addresses returns the addresses of a struct that may not be missing.
func addresses(at []int, path string, t reflect.Type) []needed {
	var out []needed
	for i := range t.NumField() {
		f := t.Field(i)
		if optional(f) {
			continue
		}
		index, name := append(slices.Clone(at), i), path+fieldName(f)
		switch f.Type {
		case reflect.TypeFor[netip.Addr](), reflect.TypeFor[netip.AddrPort](), reflect.TypeFor[netip.Prefix]():
			out = append(out, needed{name, index})
		default:
			if f.Type.Kind() == reflect.Struct {
				out = append(out, addresses(index, name+": ", f.Type)...)
			}
		}
	}
	return out
}
