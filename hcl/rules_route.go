package hcl

import (
	"net/netip"

	"github.com/hareconcile/hareconcile/internal/spec"
)

// routingRules refuses routes and rules that are in an instance twice.
func (v *view) routingRules(i spec.VRRPInstance) {
	in := v.at[i.Origin.Address]
	rules := map[spec.VirtualRule]bool{}
	for k, b := range in.children("rule") {
		if k < len(i.Rules) && rules[i.Rules[k]] {
			v.ev.report.errorf(b.at, "The rule is there twice", "Another rule of the instance says the same.")
		}
		if k < len(i.Rules) {
			rules[i.Rules[k]] = true
		}
	}
}

// A routeKey is what the kernel takes for one route: two that differ elsewhere exclude each other.
type routeKey struct {
	node   string
	prefix netip.Prefix
	table  uint32
	metric uint32
}

// routeConflicts refuses routes of one key that differ, on any node. Equal ones are shared.
func (v *view) routeConflicts() {
	type placed struct {
		spec.VirtualRoute
		address string
	}
	seen := map[routeKey]placed{}
	for _, i := range v.cluster.Instances {
		blocks := v.at[i.Origin.Address].children("route")
		own := map[routeKey]bool{}
		for k, r := range i.Routes {
			for _, m := range i.Members() {
				key := routeKey{m, r.Prefix, r.Table, r.Metric}
				if key.metric == 0 && r.Prefix.Addr().Is6() {
					key.metric = 1024 // what the kernel makes of it (linux/ipv6_route.h, IP6_RT_PRIO_USER)
				}
				other, dup := seen[key]
				switch {
				case own[key]:
					v.ev.report.errorf(blocks[k].at, "The route is there twice", "Another route of the instance leads to %s, in the same table with the same metric.", r.Prefix)
				case dup && other.VirtualRoute != r:
					v.ev.report.errorf(blocks[k].at, "Two routes exclude each other", "%s leads to %s otherwise, in the same table with the same metric on %s. Give one of them another metric.", other.address, r.Prefix, m)
				}
				own[key] = true
				seen[key] = placed{r, blocks[k].address}
			}
		}
	}
}
