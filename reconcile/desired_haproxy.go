package reconcile

import (
	"net/netip"
	"slices"

	"github.com/hareconcile/hareconcile/internal/haproxy"
	"github.com/hareconcile/hareconcile/internal/spec"
	"github.com/hareconcile/hareconcile/reconcile/resource"
)

// A managedHAProxy is one of the node's haproxies with its file, which no fact changes.
type managedHAProxy struct {
	spec.HAProxy
	file haproxy.File
}

// haproxies returns those that a node runs.
func haproxies(c *spec.Cluster, node string) []managedHAProxy {
	var out []managedHAProxy
	for _, h := range c.HAProxies {
		if slices.Contains(h.Nodes, node) {
			out = append(out, managedHAProxy{h, haproxy.Render(h, c.Name)})
		}
	}
	return out
}

// haproxy adds the managed file, the servers that a running worker is told of, maps, certificates,
// and the sysctls that binds ask for.
func (b *builder) haproxy(h managedHAProxy) {
	file := b.add(resource.HAProxyFile{Path: h.file.Path, Text: h.file.Text, Structure: h.file.Structure}, h.Origin)
	b.t.Adopt[file] = h.Adopt
	for _, f := range h.Frontends {
		for _, bind := range f.Binds {
			if bind.Nonlocal == "sysctl" {
				b.add(nonlocal[bind.Address.Is6()], bind.Origin)
			}
		}
	}
	for _, backend := range h.Backends {
		for _, s := range backend.Servers {
			b.add(resource.HAProxyServer{
				Socket: h.RuntimeSocket, Backend: backend.Name, Name: s.Name,
				Address: netip.AddrPortFrom(s.Address, s.Port), Weight: s.Weight, Admin: s.Admin, MaxConn: s.MaxConn,
			}, s.Origin)
		}
	}
	for _, m := range h.Maps {
		b.add(resource.HAProxyMap{Socket: h.RuntimeSocket, Path: m.Path, Text: haproxy.MapText(m)}, m.Origin)
	}
	for _, c := range h.Certificates {
		b.add(resource.HAProxyCertificate{Socket: h.RuntimeSocket, Path: c.Path}, c.Origin)
	}
}

// nonlocal lets a listener take an address that the node may not have, by whether it is of IPv6.
var nonlocal = map[bool]resource.Sysctl{
	false: {Key: "net/ipv4/ip_nonlocal_bind", Value: "1"},
	true:  {Key: "net/ipv6/ip_nonlocal_bind", Value: "1"},
}
