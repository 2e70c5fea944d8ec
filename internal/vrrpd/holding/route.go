package holding

import (
	"net/netip"

	"golang.org/x/sys/unix"

	"github.com/hareconcile/hareconcile/internal/vrrpd/rtnl"
)

// A routeKey is what tells the routes of a host apart.
type routeKey struct {
	prefix netip.Prefix
	table  uint32
	metric uint32
}

// A wantedRoute is one route of an owner.
type wantedRoute struct {
	device string // by name; "" lets the kernel choose
	key    routeKey
	spec   rtnl.Route
	text   string
	ready  bool // the device exists and is up
}

// userMetric is what IPv6 makes of no metric (linux/ipv6_route.h, IP6_RT_PRIO_USER).
const userMetric = 1024

func wantedRoutes(w Wants) []wantedRoute {
	out := make([]wantedRoute, 0, len(w.Routes))
	for _, v := range w.Routes {
		r := rtnl.Route{
			Prefix: v.Prefix.Masked(), Type: routeType(v.Type), Table: v.Table, Metric: v.Metric,
			Via: v.Via, Source: v.Source, MTU: v.MTU, OnLink: v.OnLink,
		}
		if r.Table == 0 {
			r.Table = unix.RT_TABLE_MAIN
		}
		switch {
		case r.Prefix.Addr().Is6():
			if r.Metric == 0 {
				r.Metric = userMetric
			}
		case v.Scope != "":
			r.Scope = scope(v.Scope)
		case r.Type == unix.RTN_UNICAST && !v.Via.IsValid():
			r.Scope = unix.RT_SCOPE_LINK
		}
		out = append(out, wantedRoute{
			device: v.Device, key: routeKey{r.Prefix, r.Table, r.Metric}, spec: r, text: v.String(),
		})
	}
	return out
}

func routeType(s string) uint8 {
	switch s {
	case "blackhole":
		return unix.RTN_BLACKHOLE
	case "unreachable":
		return unix.RTN_UNREACHABLE
	case "prohibit":
		return unix.RTN_PROHIBIT
	}
	return unix.RTN_UNICAST
}

// sameRoute reports whether what the kernel has is what is wanted.
func sameRoute(want, have rtnl.Route) bool {
	have.Protocol, have.Dead = want.Protocol, false
	if want.Index == 0 {
		have.Index = 0
	}
	return want == have
}

// syncRoutes compares routes; what has to go is asked for by the func it returns.
func (t *Table) syncRoutes() (remove func()) {
	if len(t.routes) == 0 && t.swept.routes {
		return func() {} // a list of a big table would be dear
	}
	ours := map[routeKey][]rtnl.Route{}
	err := t.kernel.Routes(rtnl.RouteFilter{Protocol: rtnl.Mark}, func() { clear(ours) }, func(r rtnl.Route) {
		key := routeKey{r.Prefix, r.Table, r.Metric}
		ours[key] = append(ours[key], r)
	})
	if err != nil {
		t.refused(err)
		return func() {}
	}
	t.generation++
	t.lacking = false
	for _, o := range t.order {
		for i := range o.routes {
			w := &o.routes[i]
			it := t.routes[w.key]
			if !o.active || it == nil || it.done == t.generation {
				continue
			}
			it.done, it.blocked = t.generation, false
			t.syncRoute(o, w, it, ours[w.key])
		}
	}
	t.flush()
	t.judgeRoutes()
	t.swept.routes = true
	return func() { t.removeRoutes(ours) }
}

// syncRoute mends one route that an active owner wants.
func (t *Table) syncRoute(o *owner, w *wantedRoute, it *thing[rtnl.Route], ours []rtnl.Route) {
	if it.waits = !w.ready; it.waits {
		it.state = absent // the kernel dropped it with its device, and will not take it back before
		return
	}
	switch {
	case len(ours) == 0:
		if it.state == holds || it.state == lost {
			t.repaired(o, w.text, "route was missing")
		}
		t.ask(rtnl.Request{Op: rtnl.AddRoute, Route: it.spec}, it)
	case sameRoute(it.spec, ours[0]):
		it.state, it.other = holds, false
	default:
		if it.state == holds && !it.other {
			t.repaired(o, w.text, "route was altered")
		}
		t.ask(rtnl.Request{Op: rtnl.ReplaceRoute, Route: it.spec}, it)
	}
}

// judgeRoutes finds out who is in the way of the routes that could not be added: an equal
// route serves as well, another one is a conflict.
func (t *Table) judgeRoutes() {
	tables := map[uint32]bool{}
	for key, it := range t.routes {
		if it.blocked {
			tables[key.table] = true
		}
	}
	same := map[routeKey]bool{}
	for table := range tables {
		err := t.kernel.Routes(rtnl.RouteFilter{Table: table}, func() {}, func(r rtnl.Route) {
			key := routeKey{r.Prefix, r.Table, r.Metric}
			if it := t.routes[key]; it != nil && it.blocked && sameRoute(it.spec, r) {
				same[key] = true
			}
		})
		if err != nil {
			t.refused(err)
			return
		}
	}
	found := map[*owner][]string{}
	for _, o := range t.order {
		for i := range o.routes {
			w := &o.routes[i]
			it := t.routes[w.key]
			switch {
			case !o.active || it == nil || !it.blocked:
			case same[w.key]:
				it.state = theirs
			default:
				found[o] = append(found[o], "route "+w.text)
			}
		}
	}
	t.settleConflicts(routeConflicts, found)
}

// removeRoutes takes off what is ours and nobody wants.
func (t *Table) removeRoutes(ours map[routeKey][]rtnl.Route) {
	for key, list := range ours {
		for i, r := range list {
			if it := t.routes[key]; it == nil || it.refs == 0 || it.waits || i > 0 {
				t.ask(rtnl.Request{Op: rtnl.DeleteRoute, Route: r}, &thing[rtnl.Route]{})
			}
		}
	}
	for key, it := range t.routes {
		if it.refs == 0 {
			delete(t.routes, key)
		}
	}
}

// heardRoute notes a change to a route that is ours, or where one of ours should be.
func (t *Table) heardRoute(ev *rtnl.Event) {
	r := &ev.Route
	it := t.routes[routeKey{r.Prefix, r.Table, r.Metric}]
	switch {
	case ev.Own:
	case it != nil:
		if ev.Gone && r.Protocol == rtnl.Mark && it.state == holds {
			it.state = lost
		}
		t.look.routes = true
	case r.Protocol == rtnl.Mark && !ev.Gone:
		t.look.routes, t.swept.routes = true, false
	}
}

// find gives w its device.
func (w *wantedRoute) find(t *Table) {
	if w.device == "" {
		w.ready = true
		return
	}
	l := t.links[t.names[w.device]]
	w.spec.Index, w.ready = l.Index, l.Up
}
