package holding

import "github.com/hareconcile/hareconcile/internal/vrrpd/rtnl"

// Acquire puts what owner should have on the host now: addresses, then routes, which may
// have them as source, then rules. It asks the kernel for nothing first: this is the
// failover path. What turns out to be there already is left to Sync.
func (t *Table) Acquire(name string) {
	o := t.owners[name]
	if o == nil || o.active {
		return
	}
	t.resolve()
	if o.macvlan == 0 && o.macvlanKey().parent != 0 {
		t.makeMacvlans() // before its first Sync
	}
	o.active = true
	t.refuseNow(t.raise(o), nil)
	t.setMacvlan(o)
	for i := range o.addrs {
		it := t.addrs[o.addrs[i].place]
		switch {
		case it == nil: // no such device
		case it.state == holds:
			t.look.addresses = true // adopted, or another owner's too
		default:
			t.ask(rtnl.Request{Op: rtnl.AddAddress, Address: it.spec}, it)
		}
	}
	for i := range o.routes {
		it := t.routes[o.routes[i].key]
		if o.routes[i].ready && it.state != holds {
			t.ask(rtnl.Request{Op: rtnl.AddRoute, Route: it.spec}, it)
		}
	}
	for i := range o.rules {
		it := t.rules[o.rules[i].spec]
		if it.state != holds {
			t.ask(rtnl.Request{Op: rtnl.AddRule, Rule: it.spec}, it)
		}
	}
	t.flush()
}

// Release takes off the host what owner holds and no other active owner should have, in
// the reverse order: secondaries go before the primary of their subnet.
func (t *Table) Release(name string) {
	o := t.owners[name]
	if o == nil || !o.active {
		return
	}
	t.resolve()
	accepted := t.lower(o)
	o.active = false
	for i := len(o.rules) - 1; i >= 0; i-- {
		dropThing(t, t.rules, o.rules[i].spec, func(r rtnl.Rule) rtnl.Request { return rtnl.Request{Op: rtnl.DeleteRule, Rule: r} })
	}
	for i := len(o.routes) - 1; i >= 0; i-- {
		dropThing(t, t.routes, o.routes[i].key, func(r rtnl.Route) rtnl.Request { return rtnl.Request{Op: rtnl.DeleteRoute, Route: r} })
	}
	for i := len(o.addrs) - 1; i >= 0; i-- {
		key := o.addrs[i].place
		if it := t.addrs[key]; it != nil && it.refs == 0 {
			if it.state == holds {
				t.ask(rtnl.Request{Op: rtnl.DeleteAddress, Address: it.spec}, it)
			}
			delete(t.addrs, key) // what is there now, if anything, is not ours
		}
	}
	t.setMacvlan(o)
	t.flush()
	t.refuseNow(nil, accepted)
}
