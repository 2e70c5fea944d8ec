package hcl

import (
	"cmp"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"time"

	hcl2 "github.com/hashicorp/hcl/v2"

	"github.com/hareconcile/hareconcile/internal/spec"
)

// The limits of a cluster, so that the rules below end soon and the kernel's tables stay small.
const (
	maxRouters      = 1024
	maxAddresses    = 4096   // of all instances
	maxDestinations = 50_000 // servers of all services
)

// rules refuses what every part allows and the whole cluster can never do.
func (v *view) rules() {
	c := v.cluster
	if !v.small() {
		return
	}
	owner := map[netip.Addr]spec.VRRPInstance{}
	byVRID := map[uint8][]spec.VRRPInstance{}
	for _, i := range c.Instances {
		v.instanceRules(i)
		for _, p := range i.Addresses {
			if other, taken := owner[p.Addr()]; taken && other.Name != i.Name {
				v.fail(i.Origin, "addresses", "The address is taken", "%s has %s, too.", other.Origin.Address, p.Addr())
			}
			owner[p.Addr()] = i
		}
		v.vridRules(i, byVRID[i.VRID])
		byVRID[i.VRID] = append(byVRID[i.VRID], i)
	}
	for _, p := range c.Pools {
		v.poolRules(p)
	}
	taken := map[string]spec.VirtualServer{}
	for _, s := range c.VirtualServers {
		key := fmt.Sprintf("%s %s", s.Protocol, netip.AddrPortFrom(s.Address, s.Port))
		if other, dup := taken[key]; dup {
			v.fail(s.Origin, "address", "The service is taken", "%s is %s, too.", other.Origin.Address, key)
		}
		taken[key] = s
		v.serviceRules(s)
	}
	for _, m := range c.Moved {
		v.movedRules(m)
	}
}

// small reports whether the cluster is within the limits, and says so if not.
func (v *view) small() bool {
	routers, addresses, destinations := len(v.cluster.Instances), 0, 0
	for _, i := range v.cluster.Instances {
		addresses += len(i.Addresses)
	}
	size := map[string]int{}
	for _, p := range v.cluster.Pools {
		size[p.Name] = len(p.Servers)
	}
	for _, s := range v.cluster.VirtualServers {
		destinations += size[s.Pool] + size[s.Sorry]
	}
	if routers <= maxRouters && addresses <= maxAddresses && destinations <= maxDestinations {
		return true
	}
	v.ev.report.errorf(hcl2.Range{Filename: mainFile}, "The cluster is too large",
		"It has %d vrrp_instances with %d addresses, and services with %d servers; at most %d, %d and %d are supported.",
		routers, addresses, destinations, maxRouters, maxAddresses, maxDestinations)
	return false
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
		return
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
			v.fail(i.Origin, "priority", "There is no such node", "priority names %q, which is no node of the cluster.%s", name, DidYouMean(name, names))
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
			v.fail(i.Origin, "source", "The source is no member's", "source names %q, which has no priority.%s", name, DidYouMean(name, members))
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

// vridRules compares an instance with the earlier ones of its VRID.
func (v *view) vridRules(i spec.VRRPInstance, others []spec.VRRPInstance) {
	for _, o := range others {
		if sharesSegment(i, o) {
			v.fail(i.Origin, "virtual_router_id", "The VRID is taken", "%s is on the same segment with %d. Two routers of one VRID shut each other out.", o.Origin.Address, i.VRID)
			return
		}
	}
}

// sharesSegment reports whether two instances are certainly on one segment: they have a
// network in common, or an interface of a node.
func sharesSegment(i, o spec.VRRPInstance) bool {
	for _, p := range i.Addresses {
		if slices.ContainsFunc(o.Addresses, p.Overlaps) {
			return true
		}
	}
	for name := range i.Priority {
		if _, both := o.Priority[name]; both && i.Interface == o.Interface {
			return true
		}
	}
	return false
}

func (v *view) poolRules(p spec.Pool) {
	if len(p.Servers) == 0 {
		v.fail(p.Origin, "", "The pool has no server", "Write server \"NAME\" { address = \"192.0.2.10\" }.")
	}
	seen := map[netip.AddrPort]string{}
	for _, s := range p.Servers {
		at := netip.AddrPortFrom(s.Address, s.Port)
		if other, dup := seen[at]; dup {
			v.fail(s.Origin, "address", "The server is there twice", "%s and %s are both %s.", other, s.Name, at)
		}
		seen[at] = s.Name
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
	real := map[netip.AddrPort]string{}
	for _, r := range pool.Servers {
		real[netip.AddrPortFrom(r.Address, r.Port)] = r.Name
	}
	for _, r := range sorry.Servers {
		if name, ok := real[netip.AddrPortFrom(r.Address, r.Port)]; ok {
			v.fail(s.Origin, "sorry", "The sorry server is a real server", "%s is in %s as %q and in %s as %q.", r.Address, pool.Origin.Address, name, sorry.Origin.Address, r.Name)
		}
	}
}

// serverRules checks what direct routing asks of the servers.
func (v *view) serverRules(s spec.VirtualServer, i spec.VRRPInstance, p spec.Pool, attr string) {
	directors := map[netip.Addr]string{}
	for _, n := range v.cluster.Nodes {
		if _, member := i.Priority[n.Name]; member {
			directors[n.Address], directors[i.SourceOf(n)] = n.Name, n.Name
		}
	}
	for _, r := range p.Servers {
		if r.Port != s.Port {
			v.fail(s.Origin, attr, "Direct routing cannot map ports", "%s has port %d and its server %s has port %d. The packet is passed on unchanged, so they have to be equal.", s.Origin.Address, s.Port, r.Origin.Address, r.Port)
		}
		if r.Address == s.Address {
			v.fail(s.Origin, attr, "The server is the service", "Server %q has the virtual address %s itself.", r.Name, s.Address)
		}
		if name, ok := directors[r.Address]; ok {
			v.fail(s.Origin, attr, "The server is a director", "Server %q is node %q, a member of %s. A director cannot be a real server of its own service in this version; 127.0.0.1 stands for whichever director has the address.", r.Name, name, i.Origin.Address)
		}
	}
}

func (v *view) movedRules(m spec.Moved) {
	if v.ev.report.full {
		return
	}
	if _, ok := v.at[m.To]; !ok {
		v.fail(m.Origin, "to", "There is no such block", "moved leads to %s, which does not exist.%s", m.To, DidYouMean(m.To, sortedKeys(v.at)))
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
