package hcl

import (
	"fmt"
	"math/big"
	"net/netip"
	"path"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/zclconf/go-cty/cty"

	"github.com/hareconcile/hareconcile/internal/haproxy"
)

// A kind says how an attribute's value is converted and what it may be.
type kind struct {
	name  string // for people: "duration", "number from 1 to 255"
	typ   cty.Type
	check func(cty.Value) string // the problem with a value, or ""
	ref   string                 // block type of a reference
	many  bool                   // a list of references
	any   bool                   // any type; check sees the value as it is
	raw   bool                   // never evaluated

	blocks bool // any value that may hold references
}

// A reference is what vrrp_instance.web means where a block is wanted.
type reference struct{ block, name string }

// A secretName is what secret("name") means: a reference that the host resolves.
type secretName struct{ name string }

var (
	referenceType = cty.CapsuleWithOps("block reference", reflect.TypeFor[reference](), &cty.CapsuleOps{
		RawEquals: func(a, b any) bool { return *a.(*reference) == *b.(*reference) },
	})
	secretType = cty.CapsuleWithOps("secret", reflect.TypeFor[secretName](), &cty.CapsuleOps{
		RawEquals: func(a, b any) bool { return *a.(*secretName) == *b.(*secretName) },
	})
)

var (
	stringKind   = kind{name: "string", typ: cty.String}
	boolKind     = kind{name: "boolean", typ: cty.Bool}
	stringsKind  = kind{name: "list of strings", typ: cty.List(cty.String)}
	textsKind    = kind{name: "map of strings", typ: cty.Map(cty.String), check: each(nil)}
	addressKind  = kind{name: "IPv4 address", typ: cty.String, check: checkIPv4}
	hostKind     = kind{name: "IP address", typ: cty.String, check: checkAddress}
	hostsKind    = kind{name: "list of IP addresses", typ: cty.List(cty.String), check: each(checkAddress)}
	prefixKind   = kind{name: "prefix", typ: cty.String, check: checkPrefix}
	prefix4Kind  = kind{name: "IPv4 prefix", typ: cty.String, check: checkPrefix4}
	prefixesKind = kind{name: "list of prefixes", typ: cty.List(cty.String), check: each(checkPrefix)}
	networkKind  = kind{name: "network", typ: cty.String, check: checkNetwork}
	addressMap   = kind{name: "map of IP addresses by node", typ: cty.Map(cty.String), check: each(checkAddress)}
	pathKind     = kind{name: "absolute path", typ: cty.String, check: checkPath}
	proxyPath    = kind{name: "absolute path", typ: cty.String, check: checkHAProxyPath}
	markKind     = kind{name: "mark", typ: cty.String, check: checkMark}

	plainMarkKind = kind{name: "mark", typ: cty.String, check: checkPlainMark}

	pointsKind  = kind{name: "list of objects", any: true, blocks: true}
	secretKind  = named("secret")
	percentKind = kind{name: "percentage", typ: cty.String, check: checkPercent}
	anyKind     = kind{name: "any value", any: true}
	rawKind     = kind{name: "expression", raw: true}
)

// named is a kind that is decoded by hand, which checks what the name promises.
func named(name string) kind { return kind{name: name, any: true} }

// maxUint32 bounds what the kernel counts in 32 bits.
const maxUint32 = 1<<32 - 1

func refKind(block string) kind  { return kind{name: "reference to a " + block, ref: block} }
func refsKind(block string) kind { return kind{name: "list of " + block + "s", ref: block, many: true} }
func portKind() kind             { return intKind(1, 65535) }
func mapOf(k kind) kind {
	return kind{name: "map of " + k.name + " by node", typ: cty.Map(k.typ), check: each(k.check)}
}
func listOf(k kind) kind {
	return kind{name: "list of " + k.name, typ: cty.List(k.typ), check: each(k.check)}
}
func choice(values ...string) kind {
	return kind{name: oneOf(values), typ: cty.String, check: checkChoice(values)}
}

func intKind(lo, hi int64) kind {
	return kind{
		name: fmt.Sprintf("number from %d to %d", lo, hi),
		typ:  cty.Number,
		check: func(v cty.Value) string {
			i, acc := v.AsBigFloat().Int64()
			if acc != big.Exact || i < lo || i > hi {
				return fmt.Sprintf("It is %s; a whole number from %d to %d is needed.", v.AsBigFloat().Text('g', 12), lo, hi)
			}
			return ""
		},
	}
}

func durationKind(lo, hi time.Duration) kind {
	return kind{
		name: fmt.Sprintf("duration from %s to %s", short(lo), short(hi)),
		typ:  cty.String,
		check: func(v cty.Value) string {
			d, err := time.ParseDuration(v.AsString())
			if err != nil {
				return fmt.Sprintf(`%q is not a duration. Write a number and a unit, such as "500ms", "5s" or "2m".`, v.AsString())
			}
			if d < lo || d > hi {
				return fmt.Sprintf("%s is out of range: from %s to %s.", v.AsString(), short(lo), short(hi))
			}
			return ""
		},
	}
}

// sizeUnits are those of a size, in bytes.
var sizeUnits = map[string]uint64{"KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}

// parseSize reads a number of bytes such as 128MiB.
func parseSize(s string) (bytes uint64, ok bool) {
	if len(s) < 4 {
		return 0, false
	}
	unit := sizeUnits[s[len(s)-3:]]
	n, err := strconv.ParseUint(s[:len(s)-3], 10, 32)
	return n * unit, err == nil && unit > 0
}

// sizeKind is an amount of memory; both bounds are whole MiB.
func sizeKind(lo, hi uint64) kind {
	return kind{
		name: fmt.Sprintf("size from %dMiB to %dMiB", lo>>20, hi>>20),
		typ:  cty.String,
		check: func(v cty.Value) string {
			n, ok := parseSize(v.AsString())
			if !ok {
				return fmt.Sprintf(`%.80q is not a size. Write a whole number and a unit, such as "64MiB" or "1GiB".`, v.AsString())
			}
			if n < lo || n > hi {
				return fmt.Sprintf("%s is out of range: from %dMiB to %dMiB.", v.AsString(), lo>>20, hi>>20)
			}
			return ""
		},
	}
}

// short writes 1m0s as 1m and 24h0m0s as 24h.
func short(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

func each(check func(cty.Value) string) func(cty.Value) string {
	return func(v cty.Value) string {
		for it := v.ElementIterator(); it.Next(); {
			key, elem := it.Element()
			if elem.IsNull() || !elem.IsKnown() {
				return "An element has no value."
			}
			if check == nil {
				continue
			}
			if problem := check(elem); problem != "" {
				if key.Type() == cty.String && v.Type().IsMapType() {
					return fmt.Sprintf("At key %q: %s", key.AsString(), problem)
				}
				return problem
			}
		}
		return ""
	}
}

func checkChoice(values []string) func(cty.Value) string {
	return func(v cty.Value) string {
		for _, c := range values {
			if v.AsString() == c {
				return ""
			}
		}
		return fmt.Sprintf("It is %q; it may be %s.%s", v.AsString(), oneOf(values), DidYouMean(v.AsString(), values))
	}
}

func checkAddress(v cty.Value) string {
	a, err := netip.ParseAddr(v.AsString())
	if err != nil {
		if p, err := netip.ParsePrefix(v.AsString()); err == nil {
			return fmt.Sprintf("%q has a prefix length. Write %q, or host(%q).", v.AsString(), p.Addr(), v.AsString())
		}
		return fmt.Sprintf("%q is not an IP address.", v.AsString())
	}
	return usable(a)
}

func checkPrefix(v cty.Value) string {
	p, err := netip.ParsePrefix(v.AsString())
	if err != nil {
		if a, err := netip.ParseAddr(v.AsString()); err == nil {
			return fmt.Sprintf(`%q has no prefix length. Write %q, or the length of its network.`, v.AsString(), netip.PrefixFrom(a, a.BitLen()))
		}
		return fmt.Sprintf(`%q is not an address with a prefix length, such as "192.0.2.1/24".`, v.AsString())
	}
	return usable(p.Addr())
}

// usable says why an address cannot be a host's.
func usable(a netip.Addr) string {
	switch {
	case a.Zone() != "":
		return fmt.Sprintf("%s names a device behind the percent sign; that is said elsewhere.", a)
	case a.Is4In6():
		return fmt.Sprintf("%s is an IPv4 address in the clothes of IPv6. Write %s.", a, a.Unmap())
	case a.IsUnspecified() || a.IsMulticast() || a == netip.AddrFrom4([4]byte{255, 255, 255, 255}):
		return fmt.Sprintf("%s is not the address of a host.", a)
	}
	return ""
}

// checkIPv4 refuses IPv6 where it does not work yet: with IPVS.
func checkIPv4(v cty.Value) string {
	if a, err := netip.ParseAddr(v.AsString()); err == nil && a.Is6() {
		return fmt.Sprintf("%s is IPv6, which virtual servers do not support in this version.", a)
	}
	return checkAddress(v)
}

// checkPrefix4 refuses IPv6 where it does not work yet: in the lab.
func checkPrefix4(v cty.Value) string {
	if p, err := netip.ParsePrefix(v.AsString()); err == nil && p.Addr().Is6() {
		return fmt.Sprintf("%s is IPv6, which the lab does not support in this version.", p)
	}
	return checkPrefix(v)
}

func checkNetwork(v cty.Value) string {
	p, err := netip.ParsePrefix(v.AsString())
	switch {
	case v.AsString() == "default":
		return `"default" is of no family. Write "0.0.0.0/0" or "::/0".`
	case err != nil:
		return fmt.Sprintf(`%q is not a network with its length, such as "192.0.2.0/24".`, v.AsString())
	case p.Addr().Is4In6():
		return fmt.Sprintf("%s is an IPv4 address in the clothes of IPv6.", p)
	case p != p.Masked():
		return fmt.Sprintf("%s has bits behind its length. Write %q.", p, p.Masked())
	}
	return ""
}

func checkMark(v cty.Value) string {
	mark, mask, ok := parseMark(v.AsString())
	switch {
	case !ok:
		return fmt.Sprintf(`%q is not a mark of 32 bits, such as "0x10" or "0x10/0xff".`, v.AsString())
	case mark&^mask != 0 || mask == 0:
		return fmt.Sprintf("No packet can have %q: the mask leaves out bits of the mark.", v.AsString())
	}
	return ""
}

func checkPlainMark(v cty.Value) string {
	if n, err := strconv.ParseUint(v.AsString(), 0, 32); err != nil || n == 0 {
		return fmt.Sprintf(`%q is not a mark of 32 bits, such as 7 or "0x10". No packet has the mark 0.`, v.AsString())
	}
	return ""
}

// parseMark reads 16, 0x10 or 0x10/0xff; without a mask all bits count.
func parseMark(s string) (mark, mask uint32, ok bool) {
	value, bits, masked := strings.Cut(s, "/")
	if !masked {
		bits = "0xffffffff"
	}
	a, err := strconv.ParseUint(value, 0, 32)
	b, err2 := strconv.ParseUint(bits, 0, 32)
	return uint32(a), uint32(b), err == nil && err2 == nil
}

func checkPercent(v cty.Value) string {
	if _, ok := percent(v.AsString()); !ok {
		return fmt.Sprintf(`%q is not a percentage from "1%%" to "100%%".`, v.AsString())
	}
	return ""
}

func percent(s string) (int, bool) {
	digits, ok := strings.CutSuffix(s, "%")
	n, err := strconv.Atoi(digits)
	return n, ok && err == nil && n >= 1 && n <= 100 && len(digits) <= 3
}

// checkHAProxyPath is checkPath for what is part of a line and of a command of haproxy.
func checkHAProxyPath(v cty.Value) string {
	if problem := checkPath(v); problem != "" || haproxy.Sendable(v.AsString()) {
		return problem
	}
	return fmt.Sprintf("%.200q has a blank, a quote, a semicolon or another character that haproxy's commands cannot have.", v.AsString())
}

func checkPath(v cty.Value) string {
	if s := v.AsString(); !path.IsAbs(s) || path.Clean(s) != s || strings.ContainsFunc(s, func(c rune) bool { return c < ' ' }) {
		return fmt.Sprintf("%.200q is not a clean absolute path.", s)
	}
	return ""
}
