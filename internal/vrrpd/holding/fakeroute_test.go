package holding

import (
	"net/netip"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/hareconcile/hareconcile/internal/vrrpd/rtnl"
)

func (k *fakeKernel) Routes(f rtnl.RouteFilter, begin func(), each func(rtnl.Route)) error {
	begin()
	for _, r := range k.routes {
		if (f.Table == 0 || f.Table == r.Table) && (f.Protocol == 0 || f.Protocol == r.Protocol) {
			each(r)
		}
	}
	return nil
}

func (k *fakeKernel) Rules() ([]rtnl.Rule, error) { return slices.Clone(k.rules), nil }

// addRoute refuses what Linux refuses: a source that is not on the host, a device that is
// down, no way to a gateway.
func (k *fakeKernel) addRoute(r rtnl.Route, replace bool) error {
	if r.Source.IsValid() && !k.local(r.Source) {
		return unix.EINVAL
	}
	if r.Index == 0 && r.Via.IsValid() {
		for _, a := range k.addrs {
			if l := k.link(a.Index); r.Index == 0 && l.Up && !a.NoPrefixRoute && a.Prefix.Masked().Contains(r.Via) {
				r.Index = a.Index
			}
		}
	}
	if r.Type == unix.RTN_UNICAST {
		if l := k.link(r.Index); l == nil {
			return unix.ENETUNREACH
		} else if !l.Up {
			return unix.ENETDOWN
		}
	}
	at := slices.IndexFunc(k.routes, func(h rtnl.Route) bool {
		return h.Prefix == r.Prefix && h.Table == r.Table && h.Metric == r.Metric
	})
	switch {
	case at >= 0 && !replace:
		return unix.EEXIST
	case at >= 0:
		k.routes[at] = r
	default:
		k.routes = append(k.routes, r)
	}
	k.tell(rtnl.Event{Kind: rtnl.RouteEvent, Route: r})
	return nil
}

// deleteRoute deletes the first route that has what r says.
func (k *fakeKernel) deleteRoute(r rtnl.Route) bool {
	for i, h := range k.routes {
		if h.Prefix == r.Prefix && h.Table == r.Table && (r.Metric == 0 || h.Metric == r.Metric) && (r.Protocol == 0 || h.Protocol == r.Protocol) {
			k.routes = slices.Delete(k.routes, i, i+1)
			k.tell(rtnl.Event{Kind: rtnl.RouteEvent, Gone: true, Route: h})
			return true
		}
	}
	return false
}

// dropRoutes takes routes with their device, which the kernel tells of IPv6 ones only.
func (k *fakeKernel) dropRoutes(gone func(rtnl.Route) bool) {
	for _, r := range slices.Clone(k.routes) {
		if gone(r) {
			k.routes = slices.DeleteFunc(k.routes, func(h rtnl.Route) bool { return h == r })
			if r.Prefix.Addr().Is6() {
				k.tell(rtnl.Event{Kind: rtnl.RouteEvent, Gone: true, Route: r})
			}
		}
	}
}

// dropOrphans drops the routes that go with an IPv4 address: those with it as source, and
// all of a device that has no other.
func (k *fakeKernel) dropOrphans(gone rtnl.Address) {
	if !gone.Prefix.Addr().Is4() {
		return
	}
	last := !slices.ContainsFunc(k.addrs, func(a rtnl.Address) bool { return a.Index == gone.Index && a.Prefix.Addr().Is4() })
	k.dropRoutes(func(r rtnl.Route) bool {
		return r.Prefix.Addr().Is4() && (r.Source == gone.Prefix.Addr() && !k.local(r.Source) || last && r.Index == gone.Index)
	})
}

func (k *fakeKernel) local(ip netip.Addr) bool {
	return slices.ContainsFunc(k.addrs, func(a rtnl.Address) bool { return a.Prefix.Addr() == ip })
}

func (k *fakeKernel) addRule(r rtnl.Rule) error {
	if slices.Contains(k.rules, r) {
		return unix.EEXIST
	}
	k.rules = append(k.rules, r)
	k.tell(rtnl.Event{Kind: rtnl.RuleEvent, Rule: r})
	return nil
}

// deleteRule deletes the first rule that matches.
func (k *fakeKernel) deleteRule(match func(rtnl.Rule) bool) bool {
	at := slices.IndexFunc(k.rules, match)
	if at < 0 {
		return false
	}
	gone := k.rules[at]
	k.rules = slices.Delete(k.rules, at, at+1)
	k.tell(rtnl.Event{Kind: rtnl.RuleEvent, Gone: true, Rule: gone})
	return true
}
