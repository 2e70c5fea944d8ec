package holding

import (
	"net/netip"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/hareconcile/hareconcile/internal/vrrpd/rtnl"
)

// A fakeKernel does in memory what Linux does with links, addresses, routes and rules.
// Routes and rules: fakeroute_test.go; what others do: fakeip_test.go.
type fakeKernel struct {
	links   []rtnl.Link
	addrs   []rtnl.Address
	routes  []rtnl.Route
	rules   []rtnl.Rule
	refused map[netip.Addr]bool // nil while there is no filter
	next    int                 // the last index given
	queue   []rtnl.Event
	own     bool // whether the change under way comes from the Table
	noMarks bool
	deny    error // what becomes of every request
	silent  error // what becomes of every answer
	asked   int   // requests
	lists   int
}

func (k *fakeKernel) Marks() bool { return !k.noMarks }

func (k *fakeKernel) Links() ([]rtnl.Link, error) { return slices.Clone(k.links), nil }

func (k *fakeKernel) Addresses() ([]rtnl.Address, error) {
	k.lists++
	return slices.Clone(k.addrs), nil
}

func (k *fakeKernel) Do(reqs []rtnl.Request, errs []error) error {
	k.own = true
	defer func() { k.own = false }()
	for i := range reqs {
		k.asked++
		if errs[i] = k.deny; k.deny == nil {
			errs[i] = k.do(&reqs[i])
		}
	}
	return k.silent
}

func (k *fakeKernel) do(r *rtnl.Request) error {
	switch r.Op {
	case rtnl.AddAddress, rtnl.ReplaceAddress:
		a := r.Address
		a.Marked, a.Forever = true, true
		return k.addAddress(a, r.Op == rtnl.ReplaceAddress)
	case rtnl.DeleteAddress:
		k.deleteAddress(r.Address.Index, r.Address.Prefix)
	case rtnl.AddRoute, rtnl.ReplaceRoute:
		route := r.Route
		route.Protocol = rtnl.Mark
		return k.addRoute(route, r.Op == rtnl.ReplaceRoute)
	case rtnl.DeleteRoute:
		route := r.Route
		route.Protocol = rtnl.Mark
		k.deleteRoute(route)
	case rtnl.AddRule:
		return k.addRule(r.Rule)
	case rtnl.DeleteRule:
		k.deleteRule(func(h rtnl.Rule) bool { return h == r.Rule })
	case rtnl.AddLink:
		return k.addMacvlan(&r.Link)
	case rtnl.SetLink:
		return k.setLink(&r.Link)
	case rtnl.DeleteLink:
		if k.link(r.Link.Index) != nil {
			k.deleteLink(r.Link.Index)
		}
	}
	return nil
}

func (k *fakeKernel) link(index int) *rtnl.Link {
	for i := range k.links {
		if k.links[i].Index == index {
			return &k.links[i]
		}
	}
	return nil
}

func (k *fakeKernel) named(name string) *rtnl.Link {
	for i := range k.links {
		if k.links[i].Name == name {
			return &k.links[i]
		}
	}
	return nil
}

func (k *fakeKernel) addMacvlan(c *rtnl.LinkChange) error {
	switch {
	case k.named(c.Name) != nil:
		return unix.EEXIST
	case k.link(c.Parent) == nil:
		return unix.ENODEV
	}
	k.next++
	k.addLink(rtnl.Link{
		Index: k.next, Name: c.Name, MAC: c.MAC, ARP: true, Kind: "macvlan", Parent: c.Parent, Group: c.Group,
		Conf: rtnl.Conf{IPv4: true, IPv6: true, AcceptRA: 1},
	})
	return nil
}

// setLink tells of it if the link is up, as netdev_state_change does.
func (k *fakeKernel) setLink(c *rtnl.LinkChange) error {
	l := k.link(c.Index)
	if l == nil {
		return unix.ENODEV
	}
	if c.Alias != "" {
		l.Alias = c.Alias
	}
	if c.Manual {
		l.Conf.AddrGenMode = 1
	}
	for _, s := range c.Conf {
		*confValue(&l.Conf, s.Key) = s.Value
	}
	switch {
	case c.Up && !l.Up || c.Down && l.Up:
		k.setUp(l, c.Up)
	case l.Up:
		k.tell(rtnl.Event{Kind: rtnl.LinkEvent, Link: *l})
	}
	return nil
}

// setUp takes from a link that goes down its IPv6 addresses and its routes.
func (k *fakeKernel) setUp(l *rtnl.Link, up bool) {
	l.Up, l.Running = up, up
	k.tell(rtnl.Event{Kind: rtnl.LinkEvent, Link: *l})
	if up {
		return
	}
	index := l.Index
	for _, a := range slices.Clone(k.addrs) {
		if a.Index == index && a.Prefix.Addr().Is6() {
			k.deleteAddress(index, a.Prefix)
		}
	}
	k.dropRoutes(func(r rtnl.Route) bool { return r.Index == index })
}

// addLink makes a link, or changes the one of that index.
func (k *fakeKernel) addLink(l rtnl.Link) {
	k.next = max(k.next, l.Index)
	if at := k.link(l.Index); at != nil {
		*at = l
	} else {
		k.links = append(k.links, l)
	}
	k.tell(rtnl.Event{Kind: rtnl.LinkEvent, Link: l})
}

// deleteLink takes along what is on it, above it, and a veth's other end.
func (k *fakeKernel) deleteLink(index int) {
	gone := *k.link(index)
	k.links = slices.DeleteFunc(k.links, func(l rtnl.Link) bool { return l.Index == index })
	for _, l := range slices.Clone(k.links) {
		if l.Parent == index && k.link(l.Index) != nil {
			k.deleteLink(l.Index)
		}
	}
	on := func(a rtnl.Address) bool { return a.Index == index }
	left := slices.DeleteFunc(slices.Clone(k.addrs), on)
	along := slices.DeleteFunc(k.addrs, func(a rtnl.Address) bool { return !on(a) })
	k.addrs = left
	for _, a := range along {
		k.tell(rtnl.Event{Kind: rtnl.AddressEvent, Gone: true, Address: a})
		k.dropOrphans(a)
	}
	k.dropRoutes(func(r rtnl.Route) bool { return r.Index == index })
	k.tell(rtnl.Event{Kind: rtnl.LinkEvent, Gone: true, Link: gone})
}

func (k *fakeKernel) addAddress(a rtnl.Address, replace bool) error {
	l := k.link(a.Index)
	if l == nil {
		return unix.ENODEV
	}
	if k.noMarks {
		a.Marked = false
	}
	if a.Prefix.Addr().Is4() && a.Label == "" {
		a.Label = l.Name
	}
	at := slices.IndexFunc(k.addrs, func(h rtnl.Address) bool {
		return h.Index == a.Index && h.Prefix.Addr() == a.Prefix.Addr() && (h.Prefix == a.Prefix || a.Prefix.Addr().Is6())
	})
	switch {
	case at >= 0 && !replace:
		return unix.EEXIST
	case at >= 0:
		h := &k.addrs[at]
		h.Marked, h.Forever, h.Deprecated = a.Marked, a.Forever, a.Deprecated
		k.tell(rtnl.Event{Kind: rtnl.AddressEvent, Address: *h})
		return nil
	}
	a.Secondary = slices.ContainsFunc(k.addrs, func(h rtnl.Address) bool { return sameSubnet(h, a) && !h.Secondary })
	k.addrs = append(k.addrs, a)
	k.tell(rtnl.Event{Kind: rtnl.AddressEvent, Address: a})
	return nil
}

func sameSubnet(a, b rtnl.Address) bool {
	return a.Index == b.Index && a.Prefix.Addr().Is4() && a.Prefix.Masked() == b.Prefix.Masked()
}

// deleteAddress takes an address off, and with a primary its secondaries, unless they are
// to be promoted. Routes that rest on it go without a word.
func (k *fakeKernel) deleteAddress(index int, p netip.Prefix) bool {
	at := slices.IndexFunc(k.addrs, func(h rtnl.Address) bool { return h.Index == index && h.Prefix == p })
	if at < 0 {
		return false
	}
	gone := k.addrs[at]
	k.addrs = slices.Delete(k.addrs, at, at+1)
	k.tell(rtnl.Event{Kind: rtnl.AddressEvent, Gone: true, Address: gone})
	defer k.dropOrphans(gone)
	if gone.Secondary || !p.Addr().Is4() {
		return true
	}
	promote := k.link(index).Conf.Promote != 0
	for i := 0; i < len(k.addrs); i++ {
		if !sameSubnet(k.addrs[i], gone) {
			continue
		}
		if promote {
			k.addrs[i].Secondary = false
			return true
		}
		along := k.addrs[i]
		k.addrs = slices.Delete(k.addrs, i, i+1)
		i--
		k.tell(rtnl.Event{Kind: rtnl.AddressEvent, Gone: true, Address: along})
		k.dropOrphans(along)
	}
	return true
}

func (k *fakeKernel) tell(ev rtnl.Event) {
	ev.Own = k.own && (ev.Kind != rtnl.AddressEvent || ev.Address.Prefix.Addr().Is4())
	k.queue = append(k.queue, ev)
}
