package holding

import (
	"net/netip"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/hareconcile/hareconcile/internal/vrrpd/rtnl"
)

// A fakeKernel does what Linux does with addresses, in memory.
type fakeKernel struct {
	links   []rtnl.Link
	addrs   []rtnl.Address
	queue   []rtnl.Event
	own     bool // whether the change under way comes from the Table
	noMarks bool
	asked   int // requests
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
		errs[i] = k.do(&reqs[i])
	}
	return nil
}

func (k *fakeKernel) do(r *rtnl.Request) error {
	switch r.Op {
	case rtnl.AddAddress, rtnl.ReplaceAddress:
		a := r.Address
		a.Marked, a.Forever = true, true
		return k.addAddress(a, r.Op == rtnl.ReplaceAddress)
	case rtnl.DeleteAddress:
		k.deleteAddress(r.Address.Index, r.Address.Prefix)
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
// to be promoted.
func (k *fakeKernel) deleteAddress(index int, p netip.Prefix) {
	at := slices.IndexFunc(k.addrs, func(h rtnl.Address) bool { return h.Index == index && h.Prefix == p })
	if at < 0 {
		return
	}
	gone := k.addrs[at]
	k.addrs = slices.Delete(k.addrs, at, at+1)
	k.tell(rtnl.Event{Kind: rtnl.AddressEvent, Gone: true, Address: gone})
	if gone.Secondary || !p.Addr().Is4() {
		return
	}
	promote := k.link(index).Conf.Promote != 0
	for i := 0; i < len(k.addrs); i++ {
		if !sameSubnet(k.addrs[i], gone) {
			continue
		}
		if promote {
			k.addrs[i].Secondary = false
			return
		}
		along := k.addrs[i]
		k.addrs = slices.Delete(k.addrs, i, i+1)
		i--
		k.tell(rtnl.Event{Kind: rtnl.AddressEvent, Gone: true, Address: along})
	}
}

func (k *fakeKernel) tell(ev rtnl.Event) {
	ev.Own = k.own && (ev.Kind != rtnl.AddressEvent || ev.Address.Prefix.Addr().Is4())
	k.queue = append(k.queue, ev)
}

// addLink makes a link, or changes the one of that index.
func (k *fakeKernel) addLink(l rtnl.Link) {
	if at := k.link(l.Index); at != nil {
		*at = l
	} else {
		k.links = append(k.links, l)
	}
	k.tell(rtnl.Event{Kind: rtnl.LinkEvent, Link: l})
}

func (k *fakeKernel) deleteLink(index int) {
	k.addrs = slices.DeleteFunc(k.addrs, func(a rtnl.Address) bool { return a.Index == index })
	k.tell(rtnl.Event{Kind: rtnl.LinkEvent, Gone: true, Link: *k.link(index)})
	k.links = slices.DeleteFunc(k.links, func(l rtnl.Link) bool { return l.Index == index })
}

func (k *fakeKernel) Routes(rtnl.RouteFilter, func(), func(rtnl.Route)) error { return nil }

func (k *fakeKernel) Rules() ([]rtnl.Rule, error) { return nil, nil }
