package main

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"

	internalhaproxy "github.com/hareconcile/hareconcile/internal/haproxy"
	"github.com/hareconcile/hareconcile/internal/revision"
	"github.com/hareconcile/hareconcile/internal/spec"
	"github.com/hareconcile/hareconcile/reconcile"
	"github.com/hareconcile/hareconcile/reconcile/kind/haproxy"
	"github.com/hareconcile/hareconcile/reconcile/planfile"
	"github.com/hareconcile/hareconcile/reconcile/resource"
)

// haproxies says where a node's haproxies are: unlike the kernel's objects, they are where the
// cluster file says. Its methods may be called from several goroutines.
type haproxies struct {
	node  string
	trust spec.HAProxyTrust

	mu   sync.Mutex
	list []haproxy.Managed
}

// follow replaces the definitions whose haproxies are looked at. Where several have one file,
// the last says how it is handled.
func (h *haproxies) follow(cs ...*spec.Cluster) {
	byPath := map[string]haproxy.Managed{}
	var paths []string
	for _, c := range cs {
		if c == nil {
			continue
		}
		for _, p := range c.HAProxies {
			if !slices.Contains(p.Nodes, h.node) {
				continue
			}
			m := managed(p)
			m.Refused = refusal(p, h.trust)
			if _, known := byPath[m.Path]; !known {
				paths = append(paths, m.Path)
			}
			byPath[m.Path] = m
		}
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.list = nil
	for _, path := range paths {
		h.list = append(h.list, byPath[path])
	}
}

// managed returns what the kind wants to know of a definition.
func managed(p spec.HAProxy) haproxy.Managed {
	m := haproxy.Managed{
		Path: internalhaproxy.ManagedPath(p), RuntimeSocket: p.RuntimeSocket, MasterSocket: p.MasterSocket, Requires: p.Requires,
		Reload:        haproxy.Reload{MinInterval: p.Reload.MinInterval, Timeout: p.Reload.Timeout, Keep: p.Reload.OnFailure == "keep"},
		IgnoreRuntime: p.IgnoreRuntime, AddServers: p.AddServers, Adopt: p.Adopt, Overwrite: p.Overwrite, Texts: map[string]string{},
	}
	for _, x := range p.Maps {
		m.Maps = append(m.Maps, x.Path)
		m.Texts[x.Path] = internalhaproxy.MapText(x)
	}
	for _, x := range p.Certificates {
		m.Certificates = append(m.Certificates, x.Path)
	}
	return m
}

// managed returns what the handlers look at now.
func (h *haproxies) managed() []haproxy.Managed {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.list
}

// without returns a node's haproxies without their content.
func without(c *spec.Cluster, node string) []spec.HAProxy {
	var out []spec.HAProxy
	for _, p := range c.HAProxies {
		if !slices.Contains(p.Nodes, node) {
			continue
		}
		p.Defaults, p.Frontends, p.Backends, p.RawSections = nil, nil, nil, nil
		p.Maps = slices.Clone(p.Maps)
		for i := range p.Maps {
			p.Maps[i].Entries = nil
		}
		out = append(out, p)
	}
	return out
}

// handlers are those of this host for what f is about and for its last good revision.
func (h *host) handlers(f planfile.File) ([]reconcile.Handler, error) {
	cs := []*spec.Cluster{{HAProxies: f.HAProxies}}
	// What cannot be read now is reported where the revision itself is needed.
	if good, err := revision.NewStore(h.cfg.DataDir).LoadGood(); err == nil && good != nil {
		cs = append([]*spec.Cluster{good.Cluster}, cs...)
	}
	h.proxies.follow(cs...)
	return handlers(h.cfg, h.runDir, h.proxies, h.log)
}

// ofHAProxy are the kinds of which only the definition says where they are.
var ofHAProxy = []resource.Kind{
	resource.KindHAProxyFile, resource.KindHAProxyServer, resource.KindHAProxyMap, resource.KindHAProxyCertificate,
}

// lookAtProxies looks once more where the definitions of p say that haproxies are, which was
// not known when this host was looked at.
func (h *host) lookAtProxies(ctx context.Context, p *prospect) {
	var prior *spec.Cluster
	if p.prior != nil {
		prior = p.prior.Cluster
	}
	h.proxies.follow(prior, p.next.Cluster)
	if len(h.proxies.managed()) == 0 {
		return
	}
	hs := slices.DeleteFunc(slices.Clone(p.handlers), func(x reconcile.Handler) bool { return !slices.Contains(ofHAProxy, x.Kind()) })
	live, err := reconcile.Observe(ctx, hs)
	maps.Copy(p.live.Owned, live.Owned)
	maps.Copy(p.live.Foreign, live.Foreign)
	p.live.Unobserved = append(p.live.Unobserved, live.Unobserved...)
	p.unknown = errors.Join(p.unknown, err)
}
