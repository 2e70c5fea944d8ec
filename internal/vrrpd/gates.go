package vrrpd

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/hareconcile/hareconcile/internal/vrrp"
	"github.com/hareconcile/hareconcile/internal/vrrpd/rtnl"
	"github.com/hareconcile/hareconcile/internal/vrrpd/wire"
	"github.com/hareconcile/hareconcile/reconcile/resource"
)

// locals are the addresses of one interface that do not belong to a virtual router.
type locals struct{ addrs []netip.Addr }

// A place is an address on an interface.
type place struct {
	device  string
	address netip.Addr
}

// virtualLinkLocals are the link-local addresses that a host has as MASTER only. Kernels
// that keep no marks do not tell them from its own.
func virtualLinkLocals(list []resource.VRRPInstance) map[place]bool {
	out := map[place]bool{}
	for _, c := range list {
		if c.Priority == vrrp.OwnerPriority {
			continue
		}
		for _, v := range append(virtuals(c.Addresses), virtuals(c.Excluded)...) {
			if a := v.Prefix.Addr(); a.Is6() && a.IsLinkLocalUnicast() {
				out[place{cmp.Or(v.Device, c.Interface), a}] = true
			}
		}
	}
	return out
}

// heard follows a change that the kernel reports.
func (l *loop) heard(ev *rtnl.Event) {
	l.table.Heard(ev)
	switch ev.Kind {
	case rtnl.LinkEvent:
		l.linkChanged(ev.Link, ev.Gone)
	case rtnl.AddressEvent:
		if l.localChanged(ev.Address, ev.Gone) {
			l.attach()
			l.regate()
		}
		if l.watchAddress(ev.Address, ev.Gone) {
			l.regate()
		}
	case rtnl.RouteEvent:
		if l.watchRoute(ev.Route, ev.Gone) {
			l.regate()
		}
	case rtnl.Lost:
		l.overruns++
		l.log.Warn("kernel dropped events")
		l.refresh()
	}
}

// localChanged keeps the addresses of an interface; it reports whether a router may care.
func (l *loop) localChanged(a rtnl.Address, gone bool) bool {
	if a.Marked {
		return false
	}
	o := l.local[a.Index]
	if o == nil {
		o = &locals{}
		l.local[a.Index] = o
	}
	addr := a.Prefix.Addr()
	i := slices.Index(o.addrs, addr)
	usable := !gone && !a.Tentative && !a.DADFailed
	switch {
	case usable && i < 0:
		o.addrs = append(o.addrs, addr)
	case !usable && i >= 0:
		o.addrs = slices.Delete(o.addrs, i, i+1)
	default:
		return false
	}
	return slices.ContainsFunc(l.routers, func(r *router) bool {
		return r.index == a.Index && (!r.cfg.Source.IsValid() || r.cfg.Source == addr)
	})
}

// linkChanged follows what the kernel says of an interface.
func (l *loop) linkChanged(k rtnl.Link, gone bool) {
	known, ok := l.links[k.Name]
	if ok && !gone && known == k {
		return
	}
	for name, old := range l.links {
		if old.Index == k.Index && (gone || name != k.Name) {
			delete(l.links, name) // removed, or renamed
			l.watchLinks()
			l.regate() // while the routers still know where their addresses are
		}
	}
	if gone {
		delete(l.local, k.Index)
	} else {
		l.links[k.Name] = k
	}
	l.watchLinks()
	switch {
	case gone || !ok || known.Index != k.Index:
		l.attach()
	case known.MAC != k.MAC: // as that of a bond, with its active port
		for _, r := range l.routers {
			r.retell, l.retell = true, true
		}
	}
	l.regate()
}

// attach gives every router its interface and its source, and every port in use its socket.
// Ports that are not in use any more, as those of an interface that went away, are closed.
func (l *loop) attach() {
	clear(l.byKey)
	known := map[wire.Port][]wire.Known{}
	for _, r := range l.routers {
		k, exists := l.links[r.cfg.Interface]
		r.index = k.Index
		if !exists {
			continue
		}
		l.seat(r)
		p := r.port()
		known[p] = append(known[p], wire.Known{VRID: r.cfg.VRID, Peers: r.guard.Peers, Open: r.guard.Open, MinTTL: r.cfg.MinTTL})
		l.byKey[routerKey{p, r.cfg.VRID}] = r
		if why, done := l.joined[p]; done && why == "" {
			continue
		}
		l.joined[p] = ""
		if err := l.lan.join(p, k.Name); err != nil {
			l.joined[p] = err.Error()
			l.retryAt = min(l.retryAt, l.t+retryAfter)
		}
	}
	for p := range l.joined {
		if known[p] == nil {
			l.lan.leave(p)
			delete(l.joined, p)
			delete(l.filters, p)
		}
	}
	l.filter(known)
}

// filter tells every port what to let through.
func (l *loop) filter(known map[wire.Port][]wire.Known) {
	for p, list := range known {
		text := fmt.Sprint(list)
		if l.joined[p] != "" || l.filters[p] == text {
			continue
		}
		if err := l.lan.filter(p, list); err != nil {
			l.log.Warn("cannot filter", "device", p.Index, "err", err) // hears more than it has to
		}
		l.filters[p] = text
	}
}

// seat finds the address that r's adverts come from. One that was lost is kept until there
// is another: for the last advert, by which a MASTER gives up.
func (l *loop) seat(r *router) {
	source := l.sourceOf(r)
	if source == r.source || !source.IsValid() {
		return
	}
	if err := r.address(source, l.secrets[r.cfg.Password]); err != nil {
		l.broke(r, err)
		return
	}
	l.step(r, vrrp.Reconfigured{Config: r.machineConfig(l.effective(r))})
}

// sourceOf is the address that r's adverts come from: the one that is configured, or a
// link-local one of the interface; not valid while it is not known.
func (l *loop) sourceOf(r *router) netip.Addr {
	o := l.local[r.index]
	if o == nil || r.cfg.Source.IsValid() {
		return r.cfg.Source
	}
	for _, a := range o.addrs {
		if a.Is6() && a.IsLinkLocalUnicast() && !l.virtual[place{r.cfg.Interface, a}] {
			return a
		}
	}
	return netip.Addr{}
}

// regate tells routers whose gates or points changed.
func (l *loop) regate() {
	for _, r := range l.routers {
		l.regateOne(r)
	}
}

func (l *loop) regateOne(r *router) {
	if p := l.effective(r); p != r.m.Priority() {
		l.changed = true
		l.log.Info("priority changed", "router", r.name, "from", r.m.Priority(), "to", p)
		l.step(r, vrrp.Reprioritized{Priority: p})
	}
	gate := l.closedGate(r)
	if gate == r.gate {
		return
	}
	r.gate, l.changed = gate, true
	if r.m.State() == vrrp.Fault && gate != "" {
		r.reason = gate
	}
	l.step(r, vrrp.Gate{Up: gate == ""})
}

// effective is the priority that trackers leave a router: 1 to 254, and 255 for an owner,
// whom points never touch.
func (l *loop) effective(r *router) uint8 {
	if r.cfg.Priority == vrrp.OwnerPriority {
		return r.cfg.Priority
	}
	p := int(r.cfg.Priority)
	for _, pt := range r.points {
		if t, ok := l.trackers[pt.Tracker]; ok {
			p += t.points(pt)
		}
	}
	return uint8(min(max(p, 1), vrrp.OwnerPriority-1))
}

// closedGate says what keeps r out of the election; "" if nothing does.
func (l *loop) closedGate(r *router) string {
	if r.broken != "" {
		return r.broken
	}
	if why := l.linkDown(r.cfg.Interface); why != "" {
		return why
	}
	if why := l.joined[r.port()]; why != "" {
		return why
	}
	if why := l.sourceMissing(r); why != "" {
		return why
	}
	for _, key := range r.cfg.Gates.Items() {
		t, ok := l.trackers[key]
		if !ok {
			return fmt.Sprintf("tracker %s does not exist", key)
		}
		if why := t.down(); why != "" {
			return strings.TrimSuffix(fmt.Sprintf("tracker %s %s: %s", key, why, t.message), ": ")
		}
	}
	return ""
}

// sourceMissing says that the address that adverts come from is not there.
func (l *loop) sourceMissing(r *router) string {
	o := l.local[r.index]
	switch {
	case !r.source.IsValid():
		return fmt.Sprintf("interface %s has no link-local address", r.cfg.Interface)
	case o == nil || !slices.Contains(o.addrs, r.source):
		return fmt.Sprintf("address %v is not on interface %s", r.source, r.cfg.Interface)
	}
	return ""
}

// linkDown says what is wrong with an interface; "" if it can carry traffic.
func (l *loop) linkDown(name string) string {
	k, exists := l.links[name]
	switch {
	case !exists:
		return fmt.Sprintf("interface %s does not exist", name)
	case !k.Up:
		return fmt.Sprintf("interface %s is down", name)
	case !k.Running:
		return fmt.Sprintf("interface %s has no carrier", name)
	}
	return ""
}

// refresh compares everything with the kernel: at the start, after lost events, and to
// try again what failed.
func (l *loop) refresh() {
	links, err := l.kernel.Links()
	if err != nil {
		l.log.Error("cannot list links", "err", err)
		l.retryAt = min(l.retryAt, l.t+retryAfter)
		return
	}
	gone := map[string]rtnl.Link{}
	for name, k := range l.links {
		gone[name] = k
	}
	for _, k := range links {
		delete(gone, k.Name)
		l.heard(&rtnl.Event{Kind: rtnl.LinkEvent, Link: k})
	}
	for _, k := range gone {
		l.heard(&rtnl.Event{Kind: rtnl.LinkEvent, Link: k, Gone: true})
	}
	l.recount()
	l.table.Recheck()
	l.attach()
	l.regate()
}
