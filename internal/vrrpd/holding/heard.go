package holding

import "github.com/hareconcile/hareconcile/internal/vrrpd/rtnl"

// Heard notes a change on the host.
func (t *Table) Heard(ev *rtnl.Event) {
	switch ev.Kind {
	case rtnl.Lost:
		t.Recheck()
	case rtnl.LinkEvent:
		t.heardLink(&ev.Link, ev.Gone, false)
	case rtnl.AddressEvent:
		t.heardAddress(ev)
	case rtnl.RouteEvent:
		t.heardRoute(ev)
	case rtnl.RuleEvent:
		t.heardRule(ev)
	case rtnl.ForwardEvent:
		if l, ok := t.links[ev.Index]; ok && ev.IPv6 {
			l.Conf.Forwarding6 = 0
			if ev.Forwarding {
				l.Conf.Forwarding6 = 1
			}
			t.links[ev.Index] = l
			t.look.links = true // what is above it follows
		}
	}
}

// heardLink takes over what is known of a link. Only a list tells how its settings are: they
// change without an event, and an event may be older than what we set.
func (t *Table) heardLink(l *rtnl.Link, gone, listed bool) {
	old, known := t.links[l.Index]
	if known && !listed {
		l.Conf, l.Alias = old.Conf, old.Alias
	}
	if known {
		if k, ok := macvlanOf(&old); ok && t.macvlans[k] == l.Index {
			delete(t.macvlans, k)
		}
	}
	if known && (gone || old.Name != l.Name) && t.names[old.Name] == l.Index {
		delete(t.names, old.Name)
	}
	if gone {
		delete(t.links, l.Index)
		t.left[l.Index] = true
		t.stale = true
		return
	}
	// The kernel drops routes with their device, and tells nobody of IPv4 ones.
	t.stale = t.stale || !known || old.Name != l.Name || old.Up != l.Up || old.Parent != l.Parent
	t.links[l.Index] = *l
	t.names[l.Name] = l.Index
	k, ok := macvlanOf(l)
	if ok {
		t.macvlans[k] = l.Index
	}
	if was, had := macvlanOf(&old); ok && old != *l || had != ok || was != k && ok {
		t.stale = t.stale || had != ok || was != k
		t.look.links = true
	}
}

func (t *Table) heardAddress(ev *rtnl.Event) {
	if t.lacking || ev.Gone && len(t.routes) > 0 {
		t.look.routes = true // with a route's source, or the last address of its device, the route goes
	}
	if ev.Own && !ev.Gone {
		return
	}
	a := &ev.Address
	it := t.addrs[place{a.Index, a.Prefix}]
	switch {
	case it != nil && ev.Gone:
		// Where nothing marks what is ours, an IPv6 event may be our own from before.
		if it.state == holds && !ev.Own && (t.kernel.Marks() || a.Prefix.Addr().Is4()) {
			it.state = lost
		}
		t.look.addresses = true
	case it != nil && a.Marked && it.state == holds:
		// Our own work: the kernel does not say so of IPv6 addresses.
		it.here = *a
		t.look.addresses = t.look.addresses || !it.equal()
	case ev.Own:
	case t.ips[a.Prefix.Addr()] > 0, a.Marked && !ev.Gone:
		t.look.addresses = true
	}
}
