package holding

import "github.com/hareconcile/hareconcile/internal/vrrpd/announce"

// Targets are what has to be announced for owner: the addresses that it holds, each on the
// link where it is. Those that somebody else put there are announced too: they may be the
// host's own, of which the router is the owner (RFC 9568, section 6.4.1).
func (t *Table) Targets(name string) []announce.Target {
	o := t.owners[name]
	if o == nil || !o.active {
		return nil
	}
	out := make([]announce.Target, 0, len(o.addrs))
	for i := range o.addrs {
		w := &o.addrs[i]
		it := t.addrs[w.place]
		if it == nil || it.state != holds && it.state != theirs {
			continue
		}
		l := t.links[w.place.index]
		out = append(out, announce.Target{
			Index: l.Index, MAC: l.MAC, Address: w.place.prefix.Addr(),
			Router: t.forwards(w), Silent: !l.ARP,
		})
	}
	return out
}

// forwards reports whether the host is an IPv6 router on the device of w.
func (t *Table) forwards(w *wantedAddress) bool {
	return w.place.prefix.Addr().Is6() && t.links[t.names[w.device]].Conf.Forwarding6 != 0
}

// Transmit is where owner's adverts go out, and from which MAC; index 0 is nowhere.
func (t *Table) Transmit(name string) (index int, mac [6]byte) {
	o := t.owners[name]
	if o == nil {
		return 0, mac
	}
	t.resolve()
	l := t.links[o.device]
	if o.wants.VirtualMAC {
		l = t.links[o.macvlan]
	}
	return l.Index, l.MAC
}
