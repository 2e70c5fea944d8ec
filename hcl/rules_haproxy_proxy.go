package hcl

import (
	"net/netip"
	"slices"
	"strings"

	"github.com/hareconcile/hareconcile/internal/haproxy"
	"github.com/hareconcile/hareconcile/internal/spec"
)

// Proxies checks the frontends and backends of one haproxy against each other.
type proxies struct {
	v        *view
	h        *spec.HAProxy
	binds    map[netip.AddrPort]string
	defaults map[string]*spec.HAProxyDefaults
	backends map[string]*spec.HAProxyBackend
}

func newProxies(v *view, h *spec.HAProxy) *proxies {
	p := &proxies{v, h, map[netip.AddrPort]string{}, map[string]*spec.HAProxyDefaults{}, map[string]*spec.HAProxyBackend{}}
	for k := range h.Frontends {
		for _, b := range h.Frontends[k].Binds {
			p.binds[netip.AddrPortFrom(b.Address, b.Port)] = b.Origin.Address
		}
	}
	for k := range h.Defaults {
		p.defaults[h.Defaults[k].Name] = &h.Defaults[k]
	}
	for k := range h.Backends {
		p.backends[h.Backends[k].Name] = &h.Backends[k]
	}
	return p
}

// from returns the defaults of a proxy, which may be none.
func (p *proxies) from(o spec.Origin, name string) (*spec.HAProxyDefaults, bool) {
	d, ok := p.defaults[name]
	if !ok && name != "" {
		p.v.fail(o, "from", "There are no such defaults", "from names %.80q, and this haproxy has no block defaults of that name.%s", name, DidYouMean(name, sortedKeys(p.defaults)))
	}
	return d, ok || name == ""
}

// timeouts warns where haproxy would.
func (p *proxies) timeouts(o spec.Origin, d *spec.HAProxyDefaults, names []string, texts []string) {
	var missing []string
	for _, n := range names {
		inherited := d != nil && (slices.ContainsFunc(d.Timeouts, func(t spec.HAProxyTime) bool { return t.Name == n }) || timed(n, d.Directives...))
		if !inherited && !timed(n, texts...) {
			missing = append(missing, n)
		}
	}
	if len(missing) > 0 {
		p.v.warn(o, "from", "There is no timeout", "Connections that went silent stay for ever: %s has no timeout %s. Write from = \"NAME\" of defaults with timeouts.", o.Address, strings.Join(missing, " and "))
	}
}

func (p *proxies) frontend(f *spec.HAProxyFrontend) {
	d, known := p.from(f.Origin, f.From)
	mode := effectiveMode(f.Mode, d)
	if len(f.Binds) == 0 {
		p.v.fail(f.Origin, "", "The frontend has no bind", "Nobody can reach it. Write bind \"NAME\" with address and port.")
	}
	if !known {
		mode = ""
	}
	if f.DefaultBackend != "" {
		p.target(f.Origin, "default_backend", f.DefaultBackend, mode)
	}
	for _, r := range f.Routes {
		if !dynamicBackend(r.Backend) {
			p.target(r.Origin, "backend", r.Backend, mode)
		}
	}
	if f.DefaultBackend == "" && len(f.Routes) == 0 && len(f.Directives) == 0 && f.Raw == "" {
		p.v.fail(f.Origin, "", "The frontend leads nowhere", "Write default_backend, or a route.")
	}
	if known {
		p.timeouts(f.Origin, d, []string{"client"}, append(slices.Clone(f.Directives), f.Raw))
	}
}

// target checks a backend that is sent requests. The mode is empty where it is not known.
func (p *proxies) target(o spec.Origin, attr, name, mode string) {
	b, ok := p.backends[name]
	if !ok {
		p.v.fail(o, attr, "There is no such backend", "%s names %.80q, and this haproxy has no backend of that name.%s", attr, name, DidYouMean(name, sortedKeys(p.backends)))
		return
	}
	if b.From != "" && p.defaults[b.From] == nil {
		return // reported
	}
	if got := effectiveMode(b.Mode, p.defaults[b.From]); mode != "" && got != mode {
		p.v.fail(o, attr, "The modes differ", "The frontend speaks %s and %s %s; haproxy loads no such file.", mode, b.Origin.Address, got)
	}
}

func (p *proxies) backend(b *spec.HAProxyBackend) {
	d, known := p.from(b.Origin, b.From)
	if b.Hash != "" && b.Balance == "" {
		p.v.fail(b.Origin, "hash", "hash does not fit", "roundrobin hashes nothing. Write balance, such as \"source\" or \"uri\".")
	}
	static := haproxy.StaticBalance(b.Balance, b.Hash)
	seen := map[netip.AddrPort]string{}
	for k := range b.Servers {
		s := &b.Servers[k]
		if static && s.Weight > 1 {
			p.v.fail(s.Origin, "weight", "weight cannot be that", "balance = %q is static: a running haproxy takes no other weight than none and all of it. Write 0 or 1, or hash = \"consistent\" or another algorithm in %s.", b.Balance, b.Origin.Address)
		}
		at := netip.AddrPortFrom(s.Address, s.Port)
		if bind := p.loop(at); bind != "" {
			p.v.fail(s.Origin, "address", "The server is haproxy itself", "%s listens on %s: a request would go round until haproxy has no connection left.", bind, at)
		}
		if other, dup := seen[at]; dup {
			p.v.warn(s.Origin, "address", "The server is there twice", "%s and %s are both %s.", other, s.Name, at)
		}
		seen[at] = s.Name
	}
	if known {
		p.timeouts(b.Origin, d, []string{"connect", "server"}, append(slices.Clone(b.Directives), b.Raw))
	}
}

// loop returns the bind that takes what is sent to a server: of its address, or of all
// addresses of a node that runs this haproxy.
func (p *proxies) loop(at netip.AddrPort) string {
	if bind, ok := p.binds[at]; ok {
		return bind
	}
	all := netip.IPv4Unspecified()
	if at.Addr().Is6() {
		all = netip.IPv6Unspecified()
	}
	bind, ok := p.binds[netip.AddrPortFrom(all, at.Port())]
	if !ok {
		return ""
	}
	n, own := p.v.cluster.NodeByAddress(at.Addr())
	if _, virtual := p.v.virtual(at.Addr()); virtual || at.Addr().IsLoopback() || own && slices.Contains(p.h.Nodes, n.Name) {
		return bind
	}
	return ""
}

// Listeners are who listens on what.
type listeners struct {
	v    *view
	seen map[netip.AddrPort][]listener
}

type listener struct {
	spec.Origin
	of *spec.HAProxy
}

func newListeners(v *view) *listeners {
	return &listeners{v, map[netip.AddrPort][]listener{}}
}

// frontend refuses two binds of one address and port on one node: haproxy loads them, and the
// kernel spreads connections over both (SO_REUSEPORT).
func (l *listeners) frontend(h *spec.HAProxy, f *spec.HAProxyFrontend) {
	for k := range f.Binds {
		b := &f.Binds[k]
		l.local(h, b)
		at := netip.AddrPortFrom(b.Address, b.Port)
		nodes := l.v.spoken(h)
		taken := slices.IndexFunc(l.seen[at], func(o listener) bool {
			return slices.ContainsFunc(l.v.spoken(o.of), func(n string) bool { return slices.Contains(nodes, n) })
		})
		if taken >= 0 {
			other := l.seen[at][taken]
			l.v.fail(b.Origin, "port", "The port is taken", "%s listens on %s of the same node, too. haproxy would load both, and connections would be spread between them.", other.Address, at)
			continue
		}
		l.seen[at] = append(l.seen[at], listener{b.Origin, h})
	}
}

// local refuses a bind that fails on a node which does not have the address: the reload
// would keep all listeners shut while haproxy tries, two seconds.
func (l *listeners) local(h *spec.HAProxy, b *spec.HAProxyBind) {
	if b.Nonlocal != "none" {
		return
	}
	const advice = "haproxy could not bind, and a reload that tries keeps every listener of the process shut for two seconds. Write nonlocal = \"transparent\"."
	if i, ok := l.v.virtual(b.Address); ok {
		if len(i.Priority) > 1 || !slices.ContainsFunc(h.Nodes, func(n string) bool { return i.Priority[n] > 0 }) {
			l.v.fail(b.Origin, "nonlocal", "nonlocal cannot be that", "%s is a virtual address of %s, which moves. On a node without it %s", b.Address, i.Origin.Address, advice)
		}
		return
	}
	owner, ok := l.v.cluster.NodeByAddress(b.Address)
	for _, n := range l.v.spoken(h) {
		if ok && n != owner.Name {
			l.v.fail(b.Origin, "address", "The address is another node's", "%s is %s, and this is on %s, too. There %s", b.Address, owner.Name, n, advice)
			return
		}
	}
}
