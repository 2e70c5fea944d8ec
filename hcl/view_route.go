package hcl

import (
	"net/netip"

	"github.com/hareconcile/hareconcile/internal/spec"
)

// mainTable is the routing table that routes go to (RT_TABLE_MAIN, linux/rtnetlink.h).
const mainTable = 254

func (v *view) routes(in *instance, i *spec.VRRPInstance) {
	seen := map[string]bool{}
	for _, b := range in.children("route") {
		v.once(seen, b)
		r := spec.VirtualRoute{
			Prefix: b.network("to"), Via: b.addr("via"), Device: b.device("dev"), Source: b.addr("src"),
			Table: uint32(b.int("table")), Metric: uint32(b.int("metric")),
			Scope: b.string("scope"), MTU: uint32(b.int("mtu")), OnLink: b.boolean("onlink"),
		}
		if r.Table == mainTable {
			r.Table = 0
		}
		if t := b.string("type"); t != "unicast" {
			r.Type = t
		}
		b.routeRules(r)
		i.Routes = append(i.Routes, r)
	}
}

// routeRules checks what the kernel would refuse, or take for something else.
func (in *instance) routeRules(r spec.VirtualRoute) {
	if !r.Prefix.IsValid() {
		return // reported
	}
	v6 := r.Prefix.Addr().Is6()
	for _, attr := range []string{"via", "src"} {
		if a := in.addr(attr); a.IsValid() && a.Is6() != v6 {
			in.fail(attr, attr+" is of the other family", "The route to %s cannot have %s.", r.Prefix, a)
		}
	}
	if r.Type != "" {
		for _, attr := range []string{"via", "dev", "src", "scope", "mtu", "onlink"} {
			if in.written(attr) {
				in.fail(attr, attr+" does not fit", "A %s route leads nowhere.", r.Type)
			}
		}
		return
	}
	switch {
	case in.absent("via") && in.absent("dev"):
		in.ev.report.errorf(in.at, "The route leads nowhere", "Write via, dev or both.")
	case r.OnLink && (!r.Via.IsValid() || r.Device == ""):
		in.fail("onlink", "onlink does not fit", "It says that via is reachable on dev, so both are needed.")
	case r.Via.IsLinkLocalUnicast() && v6 && r.Device == "":
		in.fail("via", "dev is missing", "%s is a link-local address: only with dev does it say where.", r.Via)
	case r.Scope != "" && v6:
		in.fail("scope", "scope does not fit", "An IPv6 route has none that could be chosen.")
	case r.Via.IsValid() && r.Scope != "" && r.Scope != "global":
		in.fail("scope", "scope does not fit", "What is behind a next hop is global.")
	}
	if r.MTU > 0 && r.MTU < 1280 && v6 {
		in.fail("mtu", "mtu cannot be that", "IPv6 needs 1280 bytes (RFC 8200, section 5).")
	}
}

// network reads a network, which is not valid if it is absent.
func (in *instance) network(attr string) netip.Prefix {
	p, _ := netip.ParsePrefix(in.string(attr)) // checked by the kind
	return p
}

func (v *view) policyRules(in *instance, i *spec.VRRPInstance) {
	seen := map[string]bool{}
	for _, b := range in.children("rule") {
		v.once(seen, b)
		r := spec.VirtualRule{
			Family: "ipv4", Priority: uint32(b.int("priority")), From: b.network("from"), To: b.network("to"),
			Input: b.device("iif"), Output: b.device("oif"), Table: uint32(b.int("table")), Action: b.string("action"),
		}
		if b.written("fwmark") {
			r.Mark, r.Mask, _ = parseMark(b.string("fwmark"))
		}
		v6 := i.IPv6()
		switch {
		case r.From.IsValid() && r.To.IsValid() && r.From.Addr().Is6() != r.To.Addr().Is6():
			b.fail("to", "to is of the other family", "No packet goes from %s to %s.", r.From, r.To)
		case r.From.IsValid():
			v6 = r.From.Addr().Is6()
		case r.To.IsValid():
			v6 = r.To.Addr().Is6()
		}
		if v6 {
			r.Family = "ipv6"
		}
		if (r.Table == 0) == (r.Action == "") {
			v.ev.report.errorf(b.at, "The rule says nothing, or two things", "Write either table = NUMBER or action = \"blackhole\".")
		}
		i.Rules = append(i.Rules, r)
	}
}
