package hcl

import (
	"cmp"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"time"

	"github.com/hareconcile/hareconcile/internal/spec"
)

// rules refuses what every part allows and the whole cluster can never do.
func (v *view) rules() {
	for k, i := range v.cluster.Instances {
		v.instanceRules(i)
		for _, other := range v.cluster.Instances[:k] {
			v.pairRules(i, other)
		}
	}
	for _, p := range v.cluster.Pools {
		v.poolRules(p)
	}
	taken := map[string]spec.VirtualServer{}
	for _, s := range v.cluster.VirtualServers {
		key := fmt.Sprintf("%s %s", s.Protocol, netip.AddrPortFrom(s.Address, s.Port))
		if other, dup := taken[key]; dup {
			v.fail(s.Origin, "address", "The service is taken", "%s is %s, too.", other.Origin.Address, key)
		}
		taken[key] = s
		v.serviceRules(s)
	}
	for _, m := range v.cluster.Moved {
		v.movedRules(m)
	}
}

func (v *view) instanceRules(i spec.VRRPInstance) {
	if i.Version != 3 {
		v.fail(i.Origin, "version", "version 2 is not supported in this version", "Write version = 3, or leave it out.")
	}
	if i.Interval%(10*time.Millisecond) != 0 {
		v.fail(i.Origin, "advert_interval", "advert_interval cannot be that", "%s is no whole number of hundredths of a second, which is what adverts carry (RFC 9568, section 5.2.7).", i.Interval)
	}
	v.members(i)
	if len(i.Addresses) == 0 {
		v.fail(i.Origin, "addresses", "The instance has no address", "Write at least one, such as [\"192.0.2.1/24\"].")
	}
	if len(i.Addresses) > 255 {
		v.fail(i.Origin, "addresses", "The instance has too many addresses", "An advert counts up to 255 (RFC 9568, section 5.2.5).")
	}
	for k, p := range i.Addresses {
		v.vipRules(i, p, i.Addresses[:k])
	}
	for k, g := range i.Gates {
		if slices.Contains(i.Gates[:k], g) {
			v.fail(i.Origin, "gates", "The gate is there twice", "tracker.%s is in the list more than once.", g)
		}
	}
}

// members checks that priorities and sources name nodes, each with a rank of its own.
func (v *view) members(i spec.VRRPInstance) {
	var names []string
	for _, n := range v.cluster.Nodes {
		names = append(names, n.Name)
	}
	for _, name := range slices.Sorted(maps.Keys(i.Priority)) {
		if !slices.Contains(names, name) {
			v.fail(i.Origin, "priority", "There is no such node", "priority names %q, which is no node of the cluster.%s", name, didYouMean(name, names))
		}
	}
	if len(i.Priority) == 0 {
		v.fail(i.Origin, "priority", "The instance has no member", "Write priority = { NODE = 150, NODE = 100 }.")
	}
	members := i.Members()
	for k := 1; k < len(members); k++ {
		if i.Priority[members[k]] == i.Priority[members[k-1]] {
			v.fail(i.Origin, "priority", "Two priorities are equal", "%s and %s both have %d, so neither is preferred.", members[k-1], members[k], i.Priority[members[k]])
		}
	}
	for _, name := range slices.Sorted(maps.Keys(i.Source)) {
		if _, ok := i.Priority[name]; !ok {
			v.fail(i.Origin, "source", "The source is no member's", "source names %q, which has no priority.%s", name, didYouMean(name, members))
		}
	}
	sources := map[netip.Addr]string{}
	for _, name := range members {
		if n, ok := v.cluster.NodeByName(name); ok {
			if other, dup := sources[i.SourceOf(n)]; dup {
				v.fail(i.Origin, "source", "Two members have one source", "%s and %s would both send from %s.", other, name, i.SourceOf(n))
			}
			sources[i.SourceOf(n)] = name
		}
	}
}

func (v *view) vipRules(i spec.VRRPInstance, p netip.Prefix, before []netip.Prefix) {
	if slices.ContainsFunc(before, func(o netip.Prefix) bool { return o.Addr() == p.Addr() }) {
		v.fail(i.Origin, "addresses", "The address is there twice", "%s is in the list more than once.", p.Addr())
	}
	if p.Addr().IsLoopback() {
		v.fail(i.Origin, "addresses", "addresses cannot be that", "%s is a loopback address.", p.Addr())
	}
	if p.Bits() == 0 {
		v.fail(i.Origin, "addresses", "addresses cannot be that", "A prefix of length 0 would take the default route.")
	}
	for _, n := range v.cluster.Nodes {
		if n.Address == p.Addr() || i.SourceOf(n) == p.Addr() {
			v.fail(i.Origin, "addresses", "The address is a node's own", "%s belongs to node %q and cannot move.", p.Addr(), n.Name)
		}
	}
}

// pairRules compares two instances.
func (v *view) pairRules(i, other spec.VRRPInstance) {
	shared := slices.ContainsFunc(i.Members(), func(n string) bool { _, ok := other.Priority[n]; return ok })
	segment := shared && i.Interface == other.Interface
	for _, p := range i.Addresses {
		for _, o := range other.Addresses {
			if p.Addr() == o.Addr() {
				v.fail(i.Origin, "addresses", "The address is taken", "%s has %s, too.", other.Origin.Address, p.Addr())
			}
			segment = segment || p.Overlaps(o)
		}
	}
	if segment && i.VRID == other.VRID {
		v.fail(i.Origin, "virtual_router_id", "The VRID is taken", "%s is on the same segment with %d. Two routers of one VRID shut each other out.", other.Origin.Address, i.VRID)
	}
}

func (v *view) poolRules(p spec.Pool) {
	for k, s := range p.Servers {
		for _, o := range p.Servers[:k] {
			if o.Address == s.Address && o.Port == s.Port {
				v.fail(s.Origin, "address", "The server is there twice", "%s and %s are both %s.", o.Name, s.Name, netip.AddrPortFrom(s.Address, s.Port))
			}
		}
	}
}

func (v *view) serviceRules(s spec.VirtualServer) {
	if s.Forward != "dr" {
		v.fail(s.Origin, "forward", fmt.Sprintf("forward = %q is not supported in this version", s.Forward), "Write forward = \"dr\".")
		return
	}
	i, _ := v.cluster.Instance(s.On)
	pool, _ := v.cluster.Pool(s.Pool)
	if !slices.ContainsFunc(i.Addresses, func(p netip.Prefix) bool { return p.Addr() == s.Address }) {
		v.fail(s.Origin, "address", "The address is not the instance's", "%s does not have %s, so no packet for it would arrive at a director.", i.Origin.Address, s.Address)
	}
	v.serverRules(s, i, pool, "pool")
	sorry, ok := v.cluster.Pool(s.Sorry)
	if !ok {
		return
	}
	if s.Sorry == s.Pool {
		v.fail(s.Origin, "sorry", "The sorry pool is the pool", "The servers that answer when no other can have to be others.")
		return
	}
	v.serverRules(s, i, sorry, "sorry")
	for _, r := range sorry.Servers {
		for _, o := range pool.Servers {
			if r.Address == o.Address && r.Port == o.Port {
				v.fail(s.Origin, "sorry", "The sorry server is a real server", "%s is in %s as %q and in %s as %q.", r.Address, pool.Origin.Address, o.Name, sorry.Origin.Address, r.Name)
			}
		}
	}
}

// serverRules checks what direct routing asks of the servers.
func (v *view) serverRules(s spec.VirtualServer, i spec.VRRPInstance, p spec.Pool, attr string) {
	for _, r := range p.Servers {
		if r.Port != s.Port {
			v.fail(s.Origin, attr, "Direct routing cannot map ports", "%s has port %d and its server %s has port %d. The packet is passed on unchanged, so they have to be equal.", s.Origin.Address, s.Port, r.Origin.Address, r.Port)
		}
		if r.Address == s.Address {
			v.fail(s.Origin, attr, "The server is the service", "Server %q has the virtual address %s itself.", r.Name, s.Address)
		}
		for _, name := range i.Members() {
			n, ok := v.cluster.NodeByName(name)
			if ok && (n.Address == r.Address || i.SourceOf(n) == r.Address) {
				v.fail(s.Origin, attr, "The server is a director", "Server %q is node %q, a member of %s. A director cannot be a real server of its own service in this version; 127.0.0.1 stands for whichever director has the address.", r.Name, n.Name, i.Origin.Address)
			}
		}
	}
}

func (v *view) movedRules(m spec.Moved) {
	if _, ok := v.at[m.To]; !ok {
		v.fail(m.Origin, "to", "There is no such block", "moved leads to %s, which does not exist.%s", m.To, didYouMean(m.To, sortedKeys(v.at)))
	}
	if _, ok := v.at[m.From]; ok {
		v.fail(m.Origin, "from", "The block is still there", "moved comes from %s, which still exists.", m.From)
	}
}

// agree compares what the members of an instance have to see alike.
func agree(views []*view) {
	if len(views) < 2 {
		return
	}
	first := views[0]
	for _, v := range views[1:] {
		for _, i := range v.cluster.Instances {
			if o, ok := first.cluster.Instance(i.Name); ok {
				v.agree(o, i, first.cluster.Node)
			}
		}
		if len(v.cluster.Instances) != len(first.cluster.Instances) {
			v.fail(spec.Origin{File: mainFile}, "", "The nodes see different instances", "%s sees %d and %s sees %d. Which nodes take part is said by priority.",
				first.cluster.Node, len(first.cluster.Instances), v.cluster.Node, len(v.cluster.Instances))
		}
	}
}

func (v *view) agree(o, i spec.VRRPInstance, node string) {
	differs := func(attr string, same bool) {
		if !same {
			v.fail(i.Origin, attr, fmt.Sprintf("The nodes see different %s", attr), "%s of %s is not the same on %s and %s, and all members have to agree on it.", attr, i.Origin.Address, node, v.cluster.Node)
		}
	}
	byAddr := func(l []netip.Prefix) []netip.Prefix {
		return slices.SortedFunc(slices.Values(l), func(a, b netip.Prefix) int {
			return cmp.Or(a.Addr().Compare(b.Addr()), cmp.Compare(a.Bits(), b.Bits()))
		})
	}
	differs("addresses", slices.Equal(byAddr(o.Addresses), byAddr(i.Addresses)))
	differs("virtual_router_id", o.VRID == i.VRID)
	differs("advert_interval", o.Interval == i.Interval)
	differs("preempt", o.Preempt == i.Preempt)
	differs("priority", maps.Equal(o.Priority, i.Priority))
	differs("source", maps.Equal(o.Source, i.Source))
}
