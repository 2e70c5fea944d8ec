package spec

import (
	"cmp"
	"net/netip"
	"slices"
)

// NodeByName returns the node of that name.
func (c *Cluster) NodeByName(name string) (Node, bool) {
	return find(c.Nodes, func(n Node) bool { return n.Name == name })
}

// NodeByAddress returns the node that has that address.
func (c *Cluster) NodeByAddress(a netip.Addr) (Node, bool) {
	return find(c.Nodes, func(n Node) bool { return n.Address == a })
}

// Instance returns the VRRP instance of that name.
func (c *Cluster) Instance(name string) (VRRPInstance, bool) {
	return find(c.Instances, func(i VRRPInstance) bool { return i.Name == name })
}

// Pool returns the pool of that name.
func (c *Cluster) Pool(name string) (Pool, bool) {
	return find(c.Pools, func(p Pool) bool { return p.Name == name })
}

// PoolsByName returns all pools, for whoever looks for many.
func (c *Cluster) PoolsByName() map[string]Pool {
	return byName(c.Pools, func(p Pool) string { return p.Name })
}

// InstancesByName returns all VRRP instances, for whoever looks for many.
func (c *Cluster) InstancesByName() map[string]VRRPInstance {
	return byName(c.Instances, func(i VRRPInstance) string { return i.Name })
}

func byName[T any](list []T, name func(T) string) map[string]T {
	out := make(map[string]T, len(list))
	for _, v := range list {
		out[name(v)] = v
	}
	return out
}

// Tracker returns the tracker of that name.
func (c *Cluster) Tracker(name string) (Tracker, bool) {
	return find(c.Trackers, func(t Tracker) bool { return t.Name == name })
}

// VIPs returns every virtual address of the cluster, sorted, each once.
func (c *Cluster) VIPs() []netip.Addr {
	var out []netip.Addr
	for _, i := range c.Instances {
		for _, a := range i.All() {
			out = append(out, a.Prefix.Addr())
		}
	}
	slices.SortFunc(out, netip.Addr.Compare)
	return slices.Compact(out)
}

// Members returns the names of the nodes that take part in i, by falling priority and then by name.
func (i VRRPInstance) Members() []string {
	names := make([]string, 0, len(i.Priority))
	for n := range i.Priority {
		names = append(names, n)
	}
	slices.SortFunc(names, func(a, b string) int {
		return cmp.Or(cmp.Compare(i.Priority[b], i.Priority[a]), cmp.Compare(a, b))
	})
	return names
}

// All returns the advertised and the excluded addresses of i.
func (i VRRPInstance) All() []VirtualAddress { return slices.Concat(i.Addresses, i.Excluded) }

// IPv6 reports whether i speaks over IPv6: the family of its advertised addresses.
func (i VRRPInstance) IPv6() bool {
	return len(i.Addresses) > 0 && i.Addresses[0].Prefix.Addr().Is6()
}

// SourceOf returns a member's address on the instance's segment. It is not valid where the
// cluster file does not tell: the other family's, or the link-local one from which
// multicast over IPv6 is sent (RFC 9568, section 5.1.2.1).
func (i VRRPInstance) SourceOf(n Node) netip.Addr {
	if a, ok := i.Source[n.Name]; ok {
		return a
	}
	if n.Address.Is6() != i.IPv6() || i.IPv6() && !i.Unicast {
		return netip.Addr{}
	}
	return n.Address
}

// Watches returns the type of t and what it watches, as vrrpd knows them
// (resource.VRRPTracker). A plugin is known by the tracker's name.
func (t Tracker) Watches() (kind, target string) {
	switch {
	case t.Interface != "":
		return "interface", t.Interface
	case t.Process != "":
		return "process", t.Process
	case t.File != "":
		return "file", t.File
	case t.Route.IsValid():
		return "route", t.Route.String()
	case t.Address.IsValid():
		return "address", t.Address.String()
	case t.Ping.IsValid():
		return "ping", t.Ping.String()
	case t.BFD.IsValid():
		return "bfd", t.BFD.String()
	}
	return "plugin", t.Name
}

func find[T any](list []T, is func(T) bool) (T, bool) {
	if k := slices.IndexFunc(list, is); k >= 0 {
		return list[k], true
	}
	var zero T
	return zero, false
}

// Empty reports whether c asks nothing of any node.
func (c *Cluster) Empty() bool {
	return len(c.Instances) == 0 && len(c.VirtualServers) == 0 && len(c.HAProxies) == 0
}
