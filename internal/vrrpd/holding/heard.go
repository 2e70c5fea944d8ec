package holding

import "github.com/hareconcile/hareconcile/internal/vrrpd/rtnl"

// Heard notes a change on the host.
func (t *Table) Heard(ev *rtnl.Event) {
	switch ev.Kind {
	case rtnl.Lost:
		t.Recheck()
	case rtnl.LinkEvent:
		t.heardLink(&ev.Link, ev.Gone)
	case rtnl.AddressEvent:
		t.heardAddress(ev)
	case rtnl.ForwardEvent:
		if l, ok := t.links[ev.Index]; ok && ev.IPv6 {
			l.Conf.Forwarding6 = 0
			if ev.Forwarding {
				l.Conf.Forwarding6 = 1
			}
			t.links[ev.Index] = l
		}
	}
}

func (t *Table) heardLink(l *rtnl.Link, gone bool) {
	old, known := t.links[l.Index]
	if known && (gone || old.Name != l.Name) {
		if t.names[old.Name] == l.Index {
			delete(t.names, old.Name)
		}
		t.stale = true
	}
	if gone {
		delete(t.links, l.Index)
		t.left[l.Index] = true
		t.stale = true
		return
	}
	t.stale = t.stale || !known
	t.links[l.Index] = *l
	t.names[l.Name] = l.Index
}

func (t *Table) heardAddress(ev *rtnl.Event) {
	if ev.Own && !ev.Gone {
		return
	}
	a := &ev.Address
	it := t.addrs[place{a.Index, a.Prefix}]
	switch {
	case it != nil && ev.Gone:
		if it.state == holds && !ev.Own {
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
