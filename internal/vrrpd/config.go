package vrrpd

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/hareconcile/hareconcile/internal/channel"
	"github.com/hareconcile/hareconcile/internal/secret"
	"github.com/hareconcile/hareconcile/internal/vrrp"
	"github.com/hareconcile/hareconcile/internal/vrrpd/announce"
	"github.com/hareconcile/hareconcile/internal/vrrpd/holding"
	"github.com/hareconcile/hareconcile/reconcile/resource"
)

// virtuals, addrs and the like read lists that checkConfig has accepted.
func virtuals(l resource.List) []resource.VirtualAddress {
	return parsed(l, resource.ParseVirtualAddress)
}

func addrs(l resource.List) []netip.Addr { return parsed(l, netip.ParseAddr) }

func parsed[T any](l resource.List, parse func(string) (T, error)) []T {
	var out []T
	for _, s := range l.Items() {
		if v, err := parse(s); err == nil {
			out = append(out, v)
		}
	}
	return out
}

// policy is how a router announces its addresses.
func policy(a resource.Announce) announce.Policy {
	return announce.Policy{
		Repeat: a.Repeat, Delay: time.Duration(a.Delay), Refresh: time.Duration(a.Refresh), Interval: time.Duration(a.Interval),
	}
}

// wants is what a router has to have while it is MASTER.
func wants(c resource.VRRPInstance) holding.Wants {
	return holding.Wants{
		Device: c.Interface, VRID: c.VRID, Family: c.Family, VirtualMAC: c.VirtualMAC,
		Addresses: virtuals(c.Addresses), Excluded: virtuals(c.Excluded),
		Routes: parsed(c.Routes, resource.ParseVirtualRoute), Rules: parsed(c.Rules, resource.ParseVirtualRule),
		Owner:    c.Priority == vrrp.OwnerPriority,
		NoAccept: c.NoAccept && c.Priority != vrrp.OwnerPriority, // the owner accepts what is for it (RFC 9568, section 6.4.3)
	}
}

// readSecrets reads every secret that instances name. It is not for the loop's goroutine:
// it reads files.
func readSecrets(c channel.Config) (map[string]string, error) {
	out := map[string]string{}
	var missing []error
	for _, i := range c.Instances {
		for _, name := range secretNames(i) {
			if _, done := out[name]; done {
				continue
			}
			s, err := secret.Read(secret.Dirs(), name)
			if err != nil {
				missing = append(missing, fmt.Errorf("instance %s: %w", i.ID().Name, err))
				continue
			}
			out[name] = s
		}
	}
	return out, errors.Join(missing...)
}

// secretNames are the secrets that an instance needs.
func secretNames(i resource.VRRPInstance) []string {
	var out []string
	if i.Password != "" {
		out = append(out, i.Password)
	}
	for _, k := range i.AuthKeys.Items() {
		if _, name, ok := strings.Cut(k, "="); ok {
			out = append(out, name)
		}
	}
	return out
}

// checkSecrets refuses secrets with which an instance could not run.
func checkSecrets(c channel.Config, secrets map[string]string) error {
	for _, i := range c.Instances {
		if _, err := authenticator(i, secrets); err != nil {
			return fmt.Errorf("instance %s: %w", i.ID().Name, err)
		}
		if n := len(secrets[i.Password]); i.Password != "" && (n == 0 || n > maxPassword) {
			return fmt.Errorf("instance %s: secret %s has %d bytes, want a password of 1 to %d", i.ID().Name, i.Password, n, maxPassword)
		}
	}
	return nil
}

// authenticator makes what signs and verifies the adverts of a router; nil without
// authentication.
func authenticator(c resource.VRRPInstance, secrets map[string]string) (*vrrp.Auth, error) {
	if c.Auth == "" {
		return nil, nil
	}
	keys := map[uint8][]byte{}
	for _, k := range c.AuthKeys.Items() {
		id, name, _ := strings.Cut(k, "=")
		var n uint8
		if _, err := fmt.Sscan(id, &n); err != nil {
			return nil, fmt.Errorf("key id %q: %w", id, err)
		}
		value, ok := secrets[name]
		if !ok {
			return nil, fmt.Errorf("secret %s cannot be read", name)
		}
		key, err := vrrp.ParseKey(value)
		if err != nil {
			return nil, fmt.Errorf("secret %s: %w", name, err)
		}
		keys[n] = key
	}
	return vrrp.NewAuth(vrrp.AuthConfig{
		Mode: c.Auth, Keys: keys, Active: c.AuthActive, Window: time.Duration(c.AuthWindow), Interval: time.Duration(c.Interval),
	})
}

// configure makes the routers be what c says, in place: one whose interface, router id and
// family stay is altered and does not leave its state. The secrets are those that c names.
func (l *loop) configure(c channel.Config, secrets map[string]string) error {
	if err := checkConfig(c); err != nil {
		return err
	}
	if err := checkSecrets(c, secrets); err != nil { // nothing is half applied
		return err
	}
	before := l.secrets
	l.secrets, l.virtual = secrets, virtualLinkLocals(c.Instances)
	l.setTrackers(c.Trackers)
	old := map[string]*router{}
	for _, r := range l.routers {
		old[r.name] = r
	}
	next, fresh := make([]*router, 0, len(c.Instances)), []*router(nil)
	for _, cfg := range c.Instances {
		name := cfg.ID().Name
		r := old[name]
		if delete(old, name); r == nil {
			r = newRouter(name, cfg)
			fresh = append(fresh, r)
		}
		next = append(next, r)
	}
	slices.SortFunc(next, func(a, b *router) int { return strings.Compare(a.name, b.name) })
	for _, r := range old {
		l.remove(r)
	}
	l.routers, l.shortest = next, 0
	l.queue.fill(next)
	cfgs := map[string]resource.VRRPInstance{}
	for _, cfg := range c.Instances {
		cfgs[cfg.ID().Name] = cfg
	}
	for _, r := range l.routers {
		if cfg := cfgs[r.name]; r.cfg != cfg || slices.Contains(fresh, r) || rekeyed(cfg, before, secrets) {
			l.alter(r, cfg)
		}
	}
	l.regroup()
	l.recount()
	l.attach()
	l.regate()
	round := l.t
	l.t = l.lan.now() // all this took its time, of which no first wait may lack
	for _, r := range fresh {
		l.start(r, false)
	}
	l.t = round // nobody has read yet what arrived meanwhile
	l.changed = true
	return nil
}

// rekeyed reports whether a secret of an instance has another value.
func rekeyed(i resource.VRRPInstance, before, after map[string]string) bool {
	return slices.ContainsFunc(secretNames(i), func(name string) bool { return before[name] != after[name] })
}

// alter gives r a configuration; addresses follow when the round settles.
func (l *loop) alter(r *router, cfg resource.VRRPInstance) {
	r.cfg, r.points, r.broken = cfg, parsed(cfg.Points, resource.ParsePoints), ""
	before := r.auth
	var err error
	if r.auth, err = authenticator(cfg, l.secrets); err == nil {
		if before != nil && r.auth != nil {
			r.auth.Restore(before.State())
		}
		err = r.address(l.sourceOf(r), l.secrets[cfg.Password])
	}
	if err != nil {
		l.broke(r, err)
	}
	l.step(r, vrrp.Reconfigured{Config: r.machineConfig(l.effective(r))})
	l.table.Want(r.name, wants(cfg))
	r.retell, l.retell = true, true // addresses may be gone, or the policy another
}

// broke keeps a router that cannot run as configured out of the election.
func (l *loop) broke(r *router, err error) {
	r.broken, r.letters, l.changed = err.Error(), nil, true
	l.log.Error("router cannot run", "router", r.name, "err", err)
}

// start brings a router up, at once or after its delay; adopt says that it was MASTER
// moments ago.
func (l *loop) start(r *router, adopt bool) {
	if r.slot < 0 {
		r.slot = l.store.claim()
	}
	l.step(r, vrrp.Gate{Up: r.gate == ""})
	switch {
	case adopt && !r.rival:
		l.step(r, vrrp.Adopt{})
	case r.cfg.StartDelay > 0 && r.was != vrrp.Backup.String() && r.was != vrrp.Fault.String():
		r.startAt, r.reason = min(r.startAt, l.t+time.Duration(r.cfg.StartDelay)), "waits for start_delay"
	default:
		l.step(r, vrrp.Start{})
	}
	l.queue.fix(r)
}

// remove takes a router down for good.
func (l *loop) remove(r *router) {
	r.group = nil // its group goes on without it
	l.step(r, vrrp.Stop{})
	l.table.Forget(r.name)
	l.store.giveBack(r.slot)
}
