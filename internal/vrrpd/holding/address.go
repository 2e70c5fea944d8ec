package holding

import (
	"errors"
	"net/netip"

	"golang.org/x/sys/unix"

	"github.com/hareconcile/hareconcile/internal/vrrpd/rtnl"
	"github.com/hareconcile/hareconcile/reconcile/resource"
)

// A place is the kernel's key of an address.
type place struct {
	index  int
	prefix netip.Prefix
}

// A wantedAddress is one address of an owner.
type wantedAddress struct {
	device string // by name
	place  place  // index 0 while the device does not exist
	spec   rtnl.Address
	text   string
}

// An address is one that some owner holds or should hold.
type address struct {
	spec  rtnl.Address // as it should be
	refs  int          // active owners that want it
	state state
	fresh bool         // has to be announced
	other bool         // spec was another before, so that the kernel's is no surprise
	seen  uint32       // the generation of the list that had it
	here  rtnl.Address // as that list had it
	done  uint32       // the generation that dealt with it
}

// wantedAddresses are w's, advertised ones first.
func wantedAddresses(w Wants) []wantedAddress {
	out := make([]wantedAddress, 0, len(w.Addresses)+len(w.Excluded))
	for _, list := range [][]resource.VirtualAddress{w.Addresses, w.Excluded} {
		for _, v := range list {
			a := wantedAddress{device: w.Device, place: place{prefix: v.Prefix}, text: v.Prefix.String()}
			if v.Device != "" && v.Device != w.Device {
				a.device = v.Device
				a.text += " dev " + v.Device
			}
			ip := v.Prefix.Addr()
			a.spec = rtnl.Address{Prefix: v.Prefix, NoPrefixRoute: v.NoPrefixRoute}
			if ip.Is4() {
				a.spec.Label, a.spec.Scope = v.Label, scope(v.Scope)
			} else if v.Prefix.IsSingleIP() && !ip.IsLinkLocalUnicast() {
				a.spec.Deprecated = true // serves, and is not chosen as source: as keepalived does it
			}
			if w.VirtualMAC && a.device == w.Device && !ip.IsLinkLocalUnicast() {
				// The host's own traffic to the segment stays on the device. What is
				// link-local needs its prefix on each link.
				a.spec.NoPrefixRoute = true
			}
			out = append(out, a)
		}
	}
	return out
}

// scope reads the words of ip-address(8).
func scope(s string) uint8 {
	switch s {
	case "site":
		return unix.RT_SCOPE_SITE
	case "link":
		return unix.RT_SCOPE_LINK
	case "host":
		return unix.RT_SCOPE_HOST
	}
	return unix.RT_SCOPE_UNIVERSE
}

// item returns the address at w's place, which is new if there was none. Of several owners'
// wishes the first counts.
func (t *Table) item(w *wantedAddress) *address {
	it := t.addrs[w.place]
	if it == nil {
		it = &address{}
		t.addrs[w.place] = it
	}
	if it.refs == 0 {
		spec := w.spec
		spec.Index = w.place.index
		it.other = it.other || it.spec != spec
		it.spec = spec
	}
	return it
}

// settle notes what became of a request about it.
func (it *address) settle(t *Table, op rtnl.Op, err error) {
	switch {
	case op == rtnl.DeleteAddress:
		if err != nil {
			t.refused(err)
		}
	case err == nil:
		t.look.routes = t.look.routes || t.lacking || t.syncing && len(t.routes) > 0
		it.state, it.fresh, it.other = holds, t.syncing, false
	case errors.Is(err, unix.EEXIST):
		it.state = absent
		t.look.addresses = true // ours from before, or somebody else's
	default:
		it.state = absent
		t.refused(err)
	}
}

// equal reports whether what the kernel has is what it should be.
func (it *address) equal() bool {
	h, s := &it.here, &it.spec
	return h.Forever && h.Marked && !it.differs() && h.Deprecated == s.Deprecated
}

// differs reports whether only a new address can be what it should be.
func (it *address) differs() bool {
	h, s := &it.here, &it.spec
	return h.DADFailed || h.NoPrefixRoute != s.NoPrefixRoute ||
		s.Prefix.Addr().Is4() && (h.Scope != s.Scope || s.Label != "" && h.Label != s.Label)
}

// syncAddresses compares addresses; what has to go is asked for by the func it returns.
func (t *Table) syncAddresses() (remove func()) {
	have, err := t.kernel.Addresses()
	if err != nil {
		t.refused(err)
		return func() {}
	}
	t.generation++
	found := map[*owner][]string{}
	for i := range have {
		a := &have[i]
		it := t.addrs[place{a.Index, a.Prefix}]
		if it != nil {
			it.here, it.seen = *a, t.generation
			if a.Marked || it.state == holds {
				continue
			}
		}
		if !a.Marked && t.ips[a.Prefix.Addr()] > 0 {
			t.conflict(found, a)
		}
	}
	t.settleConflicts(addressConflicts, found)
	for _, o := range t.order {
		if !o.active {
			continue
		}
		for i := range o.addrs {
			if it := t.addrs[o.addrs[i].place]; it != nil && it.refs > 0 && it.done != t.generation {
				it.done = t.generation
				t.syncAddress(o, it)
			}
		}
	}
	return func() { t.removeAddresses(have) }
}

// syncAddress mends one address that an active owner wants.
func (t *Table) syncAddress(o *owner, it *address) {
	switch {
	case it.seen != t.generation:
		if it.state == holds || it.state == lost {
			t.repaired(o, it.spec.Prefix.String(), "address was missing")
		}
		t.ask(rtnl.Request{Op: rtnl.AddAddress, Address: it.spec}, it)
	case !it.here.Marked && it.state != holds: // somebody else's: a conflict, or the owner's own
		it.fresh = it.fresh || it.state != theirs
		it.state = theirs
	case it.equal() || !t.kernel.Marks() && it.here.Forever && !it.differs():
		it.fresh = it.fresh || it.state != holds
		it.state, it.other = holds, false
	default: // altered: by somebody, or by a new configuration
		if it.state == holds && !it.other {
			t.repaired(o, it.spec.Prefix.String(), "address was altered")
		}
		if it.differs() {
			t.ask(rtnl.Request{Op: rtnl.DeleteAddress, Address: it.here}, it)
			t.ask(rtnl.Request{Op: rtnl.AddAddress, Address: it.spec}, it)
			return
		}
		t.ask(rtnl.Request{Op: rtnl.ReplaceAddress, Address: it.spec}, it)
	}
}

// removeAddresses takes off what is ours and nobody wants. The last ones in the kernel's
// list go first: a primary before its secondaries would make it move the subnet each time.
func (t *Table) removeAddresses(have []rtnl.Address) {
	for i := len(have) - 1; i >= 0; i-- {
		a := &have[i]
		it := t.addrs[place{a.Index, a.Prefix}]
		switch {
		case it == nil && a.Marked:
			it = &address{}
		case it == nil || it.refs > 0 || !a.Marked && it.state != holds:
			continue
		}
		t.ask(rtnl.Request{Op: rtnl.DeleteAddress, Address: *a}, it)
	}
	t.flush()
	for p, it := range t.addrs {
		if it.refs == 0 {
			delete(t.addrs, p)
		}
	}
}

// conflict notes that somebody else has an address of ours.
func (t *Table) conflict(found map[*owner][]string, a *rtnl.Address) {
	for _, o := range t.order {
		for i := range o.addrs {
			if p := o.addrs[i].place; p.prefix.Addr() == a.Prefix.Addr() && !(o.wants.Owner && p.index == a.Index) {
				found[o] = append(found[o], a.Prefix.String()+" on "+t.linkName(a.Index))
				break
			}
		}
	}
}
