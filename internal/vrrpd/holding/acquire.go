package holding

import "github.com/hareconcile/hareconcile/internal/vrrpd/rtnl"

// Acquire puts what owner should have on the host now. It asks the kernel for nothing
// first: this is the failover path. What turns out to be there already is left to Sync.
func (t *Table) Acquire(name string) {
	o := t.owners[name]
	if o == nil || o.active {
		return
	}
	t.resolve()
	o.active = true
	t.raise(o)
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
	t.flush()
}

// Release takes off the host what owner holds and no other active owner should have: the
// last first, so that secondaries go before the primary of their subnet.
func (t *Table) Release(name string) {
	o := t.owners[name]
	if o == nil || !o.active {
		return
	}
	t.resolve()
	t.lower(o)
	o.active = false
	for i := len(o.addrs) - 1; i >= 0; i-- {
		it := t.addrs[o.addrs[i].place]
		if it == nil || it.refs > 0 {
			continue
		}
		if it.state == holds {
			t.ask(rtnl.Request{Op: rtnl.DeleteAddress, Address: it.spec}, it)
		}
		delete(t.addrs, o.addrs[i].place) // what is there now, if anything, is not ours
	}
	t.flush()
}
