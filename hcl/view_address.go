package hcl

import (
	"net/netip"
	"slices"
	"strings"

	"github.com/hareconcile/hareconcile/internal/spec"
)

// A vip is a virtual address and the attribute that names it.
type vip struct {
	spec.VirtualAddress
	advertised bool
	in         *instance
	attr       string
}

// addresses reads addresses, excluded and the address blocks, in this order.
func (v *view) addresses(in *instance, i *spec.VRRPInstance) {
	add := func(to *[]spec.VirtualAddress, a spec.VirtualAddress, in *instance, attr string) {
		*to = append(*to, a)
		v.vips[i.Name] = append(v.vips[i.Name], vip{a, to == &i.Addresses, in, attr})
	}
	list := func(to *[]spec.VirtualAddress, attr string) {
		for _, s := range in.strings(attr) {
			if p, err := netip.ParsePrefix(s); err == nil {
				add(to, spec.VirtualAddress{Prefix: p}, in, attr)
			}
		}
	}
	list(&i.Addresses, "addresses")
	list(&i.Excluded, "excluded")
	seen := map[string]bool{}
	for _, b := range in.children("address") {
		v.once(seen, b)
		a := spec.VirtualAddress{Device: b.otherDevice("dev", i.Interface), Label: b.string("label"), NoPrefixRoute: b.boolean("noprefixroute")}
		if s := b.string("scope"); s != "global" {
			a.Scope = s
		}
		p, err := netip.ParsePrefix(b.string("cidr"))
		if err != nil {
			continue // reported
		}
		a.Prefix = p
		b.label(p)
		if b.boolean("advertise") {
			add(&i.Addresses, a, b, "cidr")
		} else {
			add(&i.Excluded, a, b, "cidr")
		}
	}
}

// once reports a block whose name another of its siblings has.
func (v *view) once(seen map[string]bool, b *instance) {
	if seen[b.name] {
		v.ev.report.errorf(b.at, "The name is taken", "Another %s %q is in the same block.", b.def.name, b.name)
	}
	seen[b.name] = true
	v.note(b)
}

// device reads an interface's name (dev_valid_name in net/core/dev.c). A comma would end it in lists.
func (in *instance) device(name string) string {
	s := in.string(name)
	if s == "" && !in.written(name) {
		return s
	}
	if s == "" || s == "." || s == ".." || len(s) > 15 || !printable(s) || strings.ContainsAny(s, "/:,") {
		in.ev.report.errorf(in.attrRange(name), "Not an interface", "%.40q cannot be the name of a device: 1 to 15 characters without spaces, slashes, colons and commas.", s)
	}
	return s
}

// otherDevice reads a device, or "" if it is the one that is meant anyway.
func (in *instance) otherDevice(attr, usual string) string {
	if s := in.device(attr); s != usual {
		return s
	}
	return ""
}

// label checks what IPv6 addresses do not have, and a label's form (IFA_LABEL holds IFNAMSIZ bytes).
func (in *instance) label(p netip.Prefix) {
	for _, attr := range []string{"label", "scope"} {
		if p.Addr().Is6() && in.written(attr) {
			in.fail(attr, attr+" does not fit", "An IPv6 address has none that could be chosen.")
		}
	}
	if s := in.string("label"); in.written("label") && !wordOf(s, 15) {
		in.fail("label", "label cannot be that", "%.40q is no label: 1 to 15 characters without spaces and commas.", s)
	}
}

// wordOf reports whether s can be part of a list of words: printable, without space and comma.
func wordOf(s string, most int) bool {
	return s != "" && len(s) <= most && printable(s) && !slices.Contains([]byte(s), ',')
}
