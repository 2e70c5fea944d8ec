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

// Tracker returns the tracker of that name.
func (c *Cluster) Tracker(name string) (Tracker, bool) {
	return find(c.Trackers, func(t Tracker) bool { return t.Name == name })
}

// VIPs returns every virtual address of the cluster, sorted, each once.
func (c *Cluster) VIPs() []netip.Addr {
	var out []netip.Addr
	for _, i := range c.Instances {
		for _, p := range i.Addresses {
			out = append(out, p.Addr())
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

// SourceOf returns a member's address on the instance's segment.
func (i VRRPInstance) SourceOf(n Node) netip.Addr {
	if a, ok := i.Source[n.Name]; ok {
		return a
	}
	return n.Address
}

func find[T any](list []T, is func(T) bool) (T, bool) {
	if k := slices.IndexFunc(list, is); k >= 0 {
		return list[k], true
	}
	var zero T
	return zero, false
}
