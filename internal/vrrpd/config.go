package vrrpd

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/hareconcile/hareconcile/internal/channel"
	"github.com/hareconcile/hareconcile/internal/vrrp"
	"github.com/hareconcile/hareconcile/reconcile/resource"
)

const (
	maxInstances = slots
	maxTrackers  = 4096
	maxName      = 15 // of an interface (IFNAMSIZ)
)

// prefixes and addrs read lists that checkConfig has accepted.
func prefixes(l resource.List) []netip.Prefix {
	var out []netip.Prefix
	for _, s := range l.Items() {
		if p, err := netip.ParsePrefix(s); err == nil {
			out = append(out, p)
		}
	}
	return out
}

func addrs(l resource.List) []netip.Addr {
	var out []netip.Addr
	for _, s := range l.Items() {
		if a, err := netip.ParseAddr(s); err == nil {
			out = append(out, a)
		}
	}
	return out
}

// checkConfig refuses what vrrpd could not run as it is written.
func checkConfig(c channel.Config) error {
	if len(c.Instances) > maxInstances || len(c.Trackers) > maxTrackers {
		return fmt.Errorf("%d instances and %d trackers: at most %d of each", len(c.Instances), len(c.Trackers), maxInstances)
	}
	trackers := map[string]bool{}
	for _, t := range c.Trackers {
		if err := checkTracker(t); err != nil {
			return fmt.Errorf("tracker %s: %w", t.Key(), err)
		}
		if trackers[t.Key()] {
			return fmt.Errorf("tracker %s is there twice", t.Key())
		}
		trackers[t.Key()] = true
	}
	names, vips := map[string]bool{}, map[string]string{}
	for _, i := range c.Instances {
		name := i.ID().Name
		if err := checkInstance(i, trackers); err != nil {
			return fmt.Errorf("instance %s: %w", name, err)
		}
		if names[name] {
			return fmt.Errorf("instance %s is there twice", name)
		}
		names[name] = true
		for _, p := range prefixes(i.Addresses) {
			if other, dup := vips[p.Addr().String()]; dup {
				return fmt.Errorf("instance %s: address %v is also on %s", name, p.Addr(), other)
			}
			vips[p.Addr().String()] = name
		}
	}
	return nil
}

func checkTracker(t resource.VRRPTracker) error {
	switch {
	case t.Type != trackInterface && t.Type != trackPlugin:
		return fmt.Errorf("type %q is not known", t.Type)
	case t.Target == "" || len(t.Target) > 255:
		return errors.New("no target")
	case t.Type == trackPlugin && t.OnUnknown != up && t.OnUnknown != down:
		return fmt.Errorf("on_unknown is %q, want up or down", t.OnUnknown)
	case t.Hold < 0:
		return fmt.Errorf("hold is %v", t.Hold)
	}
	return nil
}

func checkInstance(i resource.VRRPInstance, trackers map[string]bool) error {
	interval := time.Duration(i.Interval)
	switch {
	case i.Interface == "" || len(i.Interface) > maxName || strings.ContainsAny(i.Interface, "/ \x00"):
		return fmt.Errorf("interface %q is not a name", i.Interface)
	case i.VRID == 0:
		return errors.New("virtual router id is 0")
	case i.Version != 3:
		return fmt.Errorf("version %d is not supported, want 3", i.Version)
	case i.Priority == 0:
		return errors.New("priority is 0, want 1 to 255")
	case interval < vrrp.Tick || interval > vrrp.MaxInterval || interval%vrrp.Tick != 0:
		return fmt.Errorf("advert interval %v, want a multiple of %v up to %v", i.Interval, vrrp.Tick, vrrp.MaxInterval)
	case !i.Source.Is4():
		return fmt.Errorf("source %v is not an IPv4 address", i.Source)
	}
	return errors.Join(checkAddresses(i), checkGates(i, trackers))
}

func checkAddresses(i resource.VRRPInstance) error {
	items := i.Addresses.Items()
	if len(items) == 0 || len(items) > vrrp.MaxAddresses {
		return fmt.Errorf("%d addresses, want 1 to %d", len(items), vrrp.MaxAddresses)
	}
	for n, s := range items {
		p, err := netip.ParsePrefix(s)
		if err != nil || !p.Addr().Is4() {
			return fmt.Errorf("address %q is not an IPv4 prefix", s)
		}
		if slices.Contains(items[:n], s) {
			return fmt.Errorf("address %s is there twice", s)
		}
	}
	for _, s := range i.Peers.Items() {
		if a, err := netip.ParseAddr(s); err != nil || !a.Is4() {
			return fmt.Errorf("peer %q is not an IPv4 address", s)
		}
	}
	return nil
}

func checkGates(i resource.VRRPInstance, trackers map[string]bool) error {
	for _, g := range i.Gates.Items() {
		if !trackers[g] {
			return fmt.Errorf("gate %s is not a tracker", g)
		}
	}
	return nil
}

// configure makes the routers be what c says, in place: one whose interface and router id
// stay is altered and does not leave its state.
func (l *loop) configure(c channel.Config) error {
	if err := checkConfig(c); err != nil {
		return err
	}
	l.setTrackers(c.Trackers)
	old := map[string]*router{}
	for _, r := range l.routers {
		old[r.name] = r
	}
	l.routers = l.routers[:0:0]
	var fresh []*router
	for _, cfg := range c.Instances {
		name := cfg.ID().Name
		r := old[name]
		if delete(old, name); r == nil {
			r = newRouter(name, cfg)
			fresh = append(fresh, r)
		}
		l.routers = append(l.routers, r)
	}
	for _, r := range old {
		l.remove(r)
	}
	slices.SortFunc(l.routers, func(a, b *router) int { return strings.Compare(a.name, b.name) })
	for _, cfg := range c.Instances {
		for _, r := range l.routers {
			if r.name == cfg.ID().Name {
				if err := l.alter(r, cfg); err != nil {
					return err // checkConfig accepted what cannot be sent: a defect of ours
				}
			}
		}
	}
	l.attach()
	l.regate()
	for _, r := range fresh {
		l.start(r, false)
	}
	l.dirty, l.changed = true, true
	return nil
}

func newRouter(name string, cfg resource.VRRPInstance) *router {
	return &router{
		name: name, m: vrrp.New(machineConfig(cfg)), deadline: never, announceAt: never,
		burstAt: -announcePause, held: map[netip.Prefix]holding{}, slot: -1,
	}
}

// alter gives r a configuration; addresses follow when the round settles.
func (l *loop) alter(r *router, cfg resource.VRRPInstance) error {
	if r.cfg == cfg {
		return nil
	}
	if err := r.reload(cfg); err != nil {
		return err
	}
	l.do(r, r.m.Step(vrrp.Reconfigured{Config: machineConfig(cfg)}))
	return nil
}

// start brings a router up; adopt says that it was MASTER moments ago.
func (l *loop) start(r *router, adopt bool) {
	if r.slot < 0 {
		r.slot = l.store.claim()
	}
	if r.gate != "" {
		l.do(r, r.m.Step(vrrp.Gate{}))
	}
	if adopt && !r.rival {
		l.do(r, r.m.Step(vrrp.Adopt{}))
		return
	}
	l.do(r, r.m.Step(vrrp.Start{}))
}

// remove takes a router down for good.
func (l *loop) remove(r *router) {
	l.do(r, r.m.Step(vrrp.Stop{}))
	l.store.giveBack(r.slot)
}
