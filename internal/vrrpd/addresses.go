package vrrpd

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/hareconcile/hareconcile/internal/vrrp"
)

// acquire puts r's addresses on the host and announces them. It asks the kernel for
// nothing first: this is the failover path.
func (l *loop) acquire(r *router) {
	for _, p := range r.vips {
		if _, adopted := r.held[p]; adopted {
			l.dirty = true // there since before we started, or not: compare
			continue
		}
		l.add(r, p)
	}
	l.burst(r)
	r.announceAt = l.t + announceDelay
}

// add puts one address on the host; true if it was not there.
func (l *loop) add(r *router, p netip.Prefix) bool {
	err := l.host.addAddress(r.ifindex, p, false)
	switch {
	case err == nil:
		r.held[p] = holds
		return true
	case errors.Is(err, unix.EEXIST):
		l.dirty = true // ours from before, or somebody else's
	default:
		l.refused(r, err)
	}
	return false
}

func (l *loop) refused(r *router, err error) {
	l.log.Error("kernel refused an address", "router", r.name, "err", err)
	l.retryAt = min(l.retryAt, l.t+retryAfter)
}

// release takes r's addresses off the host: those that we put there.
func (l *loop) release(r *router) {
	r.announceAt = never
	for p := range r.held {
		l.drop(r, p)
	}
}

func (l *loop) drop(r *router, p netip.Prefix) {
	h := r.held[p]
	delete(r.held, p)
	if h == lost {
		return // what is there now, if anything, is not ours
	}
	if err := l.host.deleteAddress(r.ifindex, p); err != nil {
		l.refused(r, err)
	}
}

// addressChanged notes a change that somebody else made to an address that matters here.
func (l *loop) addressChanged(in *input) {
	if in.own && !in.gone {
		return
	}
	for _, r := range l.routers {
		for _, p := range r.vips {
			if p.Addr() != in.address.prefix.Addr() {
				continue
			}
			if _, held := r.held[p]; held && in.gone && !in.own && in.address.ifindex == r.ifindex && in.address.prefix == p {
				r.held[p] = lost
			}
			l.dirty = l.dirty || !in.own || r.m.State() == vrrp.Master
		}
	}
	l.dirty = l.dirty || in.address.marked && !in.own
}

// syncAddresses makes what the kernel has be what the routers' states call for. Marked
// addresses that no router holds are left from before and go; unmarked ones stay.
func (l *loop) syncAddresses() {
	have, err := l.host.addresses()
	if err != nil {
		l.log.Error("cannot list addresses", "err", err)
		l.retryAt = min(l.retryAt, l.t+retryAfter)
		return
	}
	for _, r := range l.routers {
		l.syncRouter(r, have)
	}
	for _, a := range have {
		if a.marked && !l.wants(a) {
			if err := l.host.deleteAddress(a.ifindex, a.prefix); err != nil {
				l.log.Error("cannot withdraw address", "id", a.prefix.String(), "err", err)
			}
		}
	}
}

// wants reports whether a router holds a.
func (l *loop) wants(a address) bool {
	for _, r := range l.routers {
		if _, held := r.held[a.prefix]; held && r.ifindex == a.ifindex {
			return true
		}
	}
	return false
}

func (l *loop) syncRouter(r *router, have []address) {
	var conflicts []string
	fresh := false
	wanted := map[netip.Prefix]bool{}
	for _, p := range r.vips {
		wanted[p] = true
		now, others := l.syncAddress(r, p, have)
		fresh, conflicts = fresh || now, append(conflicts, others...)
	}
	for p := range r.held {
		switch {
		case wanted[p]:
		case l.movesOn(r, p):
			delete(r.held, p)
		default:
			l.drop(r, p)
		}
	}
	if fresh {
		l.changed = true
		l.burst(r)
	}
	if fmt.Sprint(conflicts) != fmt.Sprint(r.conflicts) {
		l.changed = true
		r.conflicts = conflicts
		if len(conflicts) > 0 {
			l.log.Error("address was put on this host by somebody else", "router", r.name, "id", fmt.Sprint(conflicts))
		}
	}
}

// movesOn reports whether p passes from r to another router of the same interface, which
// holds it from this comparison on.
func (l *loop) movesOn(r *router, p netip.Prefix) bool {
	return slices.ContainsFunc(l.routers, func(o *router) bool {
		return o != r && o.ifindex == r.ifindex && o.m.State() == vrrp.Master && slices.Contains(o.vips, p)
	})
}

// syncAddress mends one address; it reports whether the address is fresh on the host, so
// that it has to be announced, and the places where somebody else has it.
func (l *loop) syncAddress(r *router, p netip.Prefix, have []address) (fresh bool, conflicts []string) {
	var here *address
	for i, a := range have {
		switch {
		case a.prefix.Addr() != p.Addr():
		case a.ifindex == r.ifindex && a.prefix == p:
			here = &have[i]
		case !a.marked:
			conflicts = append(conflicts, fmt.Sprintf("%v on %s", a.prefix, l.linkName(a.ifindex)))
		}
	}
	h := r.held[p]
	ours := here != nil && (here.marked || h == holds && !l.host.marks())
	switch {
	case r.m.State() != vrrp.Master:
		if here != nil && !ours && h != holds {
			conflicts = append(conflicts, fmt.Sprintf("%v on %s", p, r.cfg.Interface))
		}
		if h != 0 {
			l.drop(r, p)
		}
	case here == nil:
		if h != 0 {
			l.repaired(r, p, "address was missing")
			delete(r.held, p)
		}
		fresh = l.add(r, p)
	case ours && here.forever:
		r.held[p] = holds
	case ours, h == holds: // altered: its lifetime, or its mark by a replacement
		if err := l.host.addAddress(r.ifindex, p, true); err != nil {
			l.refused(r, err)
			break
		}
		r.held[p] = holds
		l.repaired(r, p, "address was altered")
		fresh = true
	default:
		delete(r.held, p)
		conflicts = append(conflicts, fmt.Sprintf("%v on %s", p, r.cfg.Interface))
	}
	return fresh, conflicts
}

func (l *loop) repaired(r *router, p netip.Prefix, what string) {
	l.repairs++
	l.log.Warn(what, "router", r.name, "id", p.String())
}

func (l *loop) linkName(index int) string {
	for name, k := range l.links {
		if k.index == index {
			return name
		}
	}
	return fmt.Sprintf("interface %d", index)
}
