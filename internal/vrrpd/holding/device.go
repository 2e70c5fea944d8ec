package holding

import (
	"slices"

	"github.com/hareconcile/hareconcile/internal/vrrpd/rtnl"
)

// A linkChange is a request about a link, which the Table takes for done once the kernel
// accepted it: sysctls change without an event.
type linkChange struct{ rtnl.LinkChange }

func (c *linkChange) settle(t *Table, op rtnl.Op, err error) {
	if err != nil {
		t.refused(err)
		return
	}
	l, ok := t.links[c.Index]
	if !ok || op != rtnl.SetLink {
		return
	}
	if c.Alias != "" {
		l.Alias = c.Alias
	}
	l.Up = l.Up && !c.Down || c.Up
	if c.Manual {
		l.Conf.AddrGenMode = 1
	}
	for _, s := range c.Conf {
		if v := confValue(&l.Conf, s.Key); v != nil {
			*v = s.Value
		}
	}
	t.links[c.Index] = l
}

// confValue is where a Conf keeps the value of a key.
func confValue(c *rtnl.Conf, key uint16) *int32 {
	switch key {
	case rtnl.ConfForwarding:
		return &c.Forwarding
	case rtnl.ConfRPFilter:
		return &c.RPFilter
	case rtnl.ConfARPFilter:
		return &c.ARPFilter
	case rtnl.ConfARPAnnounce:
		return &c.ARPAnnounce
	case rtnl.ConfARPIgnore:
		return &c.ARPIgnore
	case rtnl.ConfPromote:
		return &c.Promote
	case rtnl.ConfAcceptLocal:
		return &c.AcceptLocal
	}
	return nil
}

// want adds a setting to c unless the link has it.
func (c *linkChange) want(l *rtnl.Link, key uint16, value int32) {
	if v := confValue(&l.Conf, key); v != nil && *v != value && l.Conf.IPv4 {
		c.Conf = append(c.Conf, rtnl.Setting{Key: key, Value: value})
	}
}

// set asks for a change, if it is one.
func (t *Table) set(c *linkChange) bool {
	if c.Alias == "" && !c.Up && !c.Down && len(c.Conf) == 0 && !c.Manual {
		return false
	}
	t.ask(rtnl.Request{Op: rtnl.SetLink, Link: c.LinkChange}, c)
	return true
}

// syncLinks compares the links that we make and the settings of those that we use; what
// has to go is asked for by the func it returns.
func (t *Table) syncLinks(list bool) (remove func()) {
	if list && t.configures() {
		t.loose = -1 // not known
		t.listLinks()
		t.resolve()
	}
	t.makeMacvlans()
	for _, o := range t.order {
		t.setMacvlan(o)
	}
	t.quietParents()
	t.promote()
	t.flush()
	return func() {
		t.removeMacvlans()
		t.demote()
	}
}

// configures reports whether settings of links matter.
func (t *Table) configures() bool {
	if len(t.macvlans)+len(t.promoted) > 0 {
		return true
	}
	return slices.ContainsFunc(t.order, (*owner).configures)
}

func (o *owner) configures() bool {
	return o.wants.VirtualMAC || slices.ContainsFunc(o.addrs, func(a wantedAddress) bool { return a.subnet() })
}

// subnet reports whether an address is one of an IPv4 subnet, which has a primary.
func (w *wantedAddress) subnet() bool {
	return w.place.prefix.Addr().Is4() && !w.place.prefix.IsSingleIP()
}

func (t *Table) listLinks() {
	links, err := t.kernel.Links()
	if err != nil {
		t.refused(err)
		return
	}
	for i := range links {
		t.heardLink(&links[i], false, true)
	}
}

// promote lets the kernel keep the secondaries of an IPv4 subnet when its primary goes
// (net.ipv4.conf.DEV.promote_secondaries) wherever a virtual address may be that primary:
// others' addresses must not go along with it.
func (t *Table) promote() {
	for index := range t.subnets() {
		l := t.links[index]
		c := &linkChange{rtnl.LinkChange{Index: index}}
		if c.want(&l, rtnl.ConfPromote, 1); t.set(c) {
			t.promoted[index] = true
		}
	}
}

// demote puts back promote_secondaries where no virtual address needs it any more.
func (t *Table) demote() {
	if len(t.promoted) == 0 {
		return
	}
	needed := t.subnets()
	for index := range t.promoted {
		if needed[index] {
			continue
		}
		delete(t.promoted, index)
		if l, ok := t.links[index]; ok {
			c := &linkChange{rtnl.LinkChange{Index: index}}
			c.want(&l, rtnl.ConfPromote, 0)
			t.set(c)
		}
	}
}

// subnets are the links where owners list IPv4 addresses with a subnet.
func (t *Table) subnets() map[int]bool {
	out := map[int]bool{}
	for _, o := range t.order {
		for i := range o.addrs {
			if w := &o.addrs[i]; w.place.index != 0 && w.subnet() {
				out[w.place.index] = true
			}
		}
	}
	return out
}
