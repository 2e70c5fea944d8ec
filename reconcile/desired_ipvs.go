package reconcile

import (
	"net/netip"
	"slices"

	"github.com/hareconcile/hareconcile/internal/spec"
	"github.com/hareconcile/hareconcile/reconcile/resource"
)

// virtualServer adds the table of a director, or the address of a real server, or nothing.
func (b *builder) virtualServer(vs spec.VirtualServer) {
	pool, ok := b.cluster.Pool(vs.Pool)
	if !ok {
		return // package hcl refuses a pool that does not exist
	}
	instance, _ := b.cluster.Instance(vs.On)
	if _, director := instance.Priority[b.node.Name]; director {
		b.director(vs, pool)
		return
	}
	sorry, _ := b.cluster.Pool(vs.Sorry)
	here := func(s spec.Server) bool { return s.Address == b.node.Address }
	if vs.Forward == string(resource.ForwardDR) &&
		(slices.ContainsFunc(pool.Servers, here) || slices.ContainsFunc(sorry.Servers, here)) {
		b.realServer(vs)
	}
}

// arpSysctls keep a real server silent about an address on lo: it answers ARP only for
// addresses of the interface asked (arp_ignore 1) and announces only those (arp_announce 2).
// Source: Documentation/networking/ip-sysctl.rst; all and lo are both set because the
// kernel takes the larger of "all" and the interface's own value.
var arpSysctls = []resource.Sysctl{
	{Key: "net/ipv4/conf/all/arp_ignore", Value: "1"},
	{Key: "net/ipv4/conf/all/arp_announce", Value: "2"},
	{Key: "net/ipv4/conf/lo/arp_ignore", Value: "1"},
	{Key: "net/ipv4/conf/lo/arp_announce", Value: "2"},
}

// realServer makes this node accept packets for the virtual address (LVS-DR).
func (b *builder) realServer(vs spec.VirtualServer) {
	for _, s := range arpSysctls {
		b.add(s, vs.Origin)
	}
	b.add(resource.Address{
		Prefix: netip.PrefixFrom(vs.Services[0].Address, vs.Services[0].Address.BitLen()), Device: "lo",
	}, vs.Origin)
	b.t.Adopt[resource.Address{Prefix: netip.PrefixFrom(vs.Services[0].Address, vs.Services[0].Address.BitLen())}.ID()] = vs.Adopt
}

// director adds the virtual service and those of its servers that should be in the table.
func (b *builder) director(vs spec.VirtualServer, pool spec.Pool) {
	key := Key(vs.Services[0])
	service := resource.IPVSService{ServiceKey: key, Scheduler: vs.Scheduler}
	b.add(service, vs.Origin)
	b.t.Adopt[service.ID()] = vs.Adopt

	serving := 0
	for _, s := range pool.Servers {
		up := b.inService(pool, s)
		if up && s.Weight > 0 {
			serving++
		}
		runtime := RuntimeWeight
		weight := s.Weight
		if pool.OnFail == "remove" {
			runtime = RuntimePresence
			if !up {
				continue
			}
		} else if !up {
			weight = 0
		}
		id := b.server(vs, key, s, weight)
		if len(pool.Checks) > 0 {
			b.t.Runtime[id] = runtime
		}
	}

	sorry, ok := b.cluster.Pool(vs.Sorry)
	if !ok {
		return
	}
	// Without facts the sorry servers are listed, and Diff accepts them present or absent.
	if serving > 0 && b.facts != nil {
		return
	}
	for _, s := range sorry.Servers {
		if !b.inService(sorry, s) {
			continue
		}
		id := b.server(vs, key, s, s.Weight)
		if b.t.Origins[id] == s.Origin { // and not a server of the pool as well
			b.t.Runtime[id] = RuntimeSorry
		}
	}
}

func (b *builder) server(vs spec.VirtualServer, key resource.ServiceKey, s spec.Server, weight int) resource.ID {
	v := resource.IPVSServer{
		Service: key,
		Address: netip.AddrPortFrom(s.Address, s.Port),
		Forward: resource.Forward(vs.Forward),
		Weight:  weight,
	}
	if s.Address.IsLoopback() || s.Address == b.node.Address {
		v.Forward = resource.ForwardLocal
	}
	b.add(v, s.Origin)
	b.t.Adopt[v.ID()] = vs.Adopt
	return v.ID()
}

// inService reports whether checks let a server take connections. A server with checks
// and no verdict is not in service.
func (b *builder) inService(p spec.Pool, s spec.Server) bool {
	if len(p.Checks) == 0 || b.facts == nil {
		return true
	}
	return b.facts.Servers[NewServerRef(p.Name, s.Name)] == Up
}
