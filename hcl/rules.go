package hcl

import (
	"cmp"
	"fmt"
	"maps"
	"net/netip"
	"slices"

	hcl2 "github.com/hashicorp/hcl/v2"

	"github.com/hareconcile/hareconcile/internal/spec"
)

// The limits of a cluster, so that the rules below end soon and the kernel's tables stay small.
const (
	maxRouters      = 1024
	maxTrackers     = 1024
	maxAddresses    = 16_384 // of all instances
	maxDestinations = 50_000 // servers of all services
)

// rules refuses what every part allows and the whole cluster can never do.
func (v *view) rules() {
	c := v.cluster
	if !v.small() {
		return
	}
	v.join()
	v.trackerRules()
	for _, i := range c.Instances {
		v.instanceRules(i)
	}
	v.takenRules()
	v.vridRules()
	v.routeConflicts()
	v.lonelySessions()
	for _, p := range c.Pools {
		v.poolRules(p)
	}
	taken := map[string]spec.VirtualServer{}
	for _, s := range c.VirtualServers {
		key := fmt.Sprintf("%s %s", s.Services[0].Protocol, netip.AddrPortFrom(s.Services[0].Address, s.Services[0].Port))
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
		addresses += len(i.Addresses) + len(i.Excluded)
	}
	size := map[string]int{}
	for _, p := range v.cluster.Pools {
		size[p.Name] = len(p.Servers)
	}
	for _, s := range v.cluster.VirtualServers {
		destinations += size[s.Pool] + size[s.Sorry]
	}
	if routers <= maxRouters && len(v.cluster.Trackers) <= maxTrackers && addresses <= maxAddresses && destinations <= maxDestinations {
		return true
	}
	v.ev.report.errorf(hcl2.Range{Filename: mainFile}, "The cluster is too large",
		"It has %d vrrp_instances with %d addresses, %d trackers, and services with %d servers; at most %d, %d, %d and %d are supported.",
		routers, addresses, len(v.cluster.Trackers), destinations, maxRouters, maxAddresses, maxTrackers, maxDestinations)
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
	if !slices.ContainsFunc(i.All(), func(a spec.VirtualAddress) bool { return a.Prefix.Addr() == s.Services[0].Address }) {
		v.fail(s.Origin, "address", "The address is not the instance's", "%s does not have %s, so no packet for it would arrive at a director.", i.Origin.Address, s.Services[0].Address)
	}
	if i.NoAccept {
		v.fail(s.Origin, "on", "The instance accepts no packets", "%s has accept = false, which drops packets to its addresses before IPVS sees them.", i.Origin.Address)
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
		if r.Port != s.Services[0].Port {
			v.fail(s.Origin, attr, "Direct routing cannot map ports", "%s has port %d and its server %s has port %d. The packet is passed on unchanged, so they have to be equal.", s.Origin.Address, s.Services[0].Port, r.Origin.Address, r.Port)
		}
		if r.Address == s.Services[0].Address {
			v.fail(s.Origin, attr, "The server is the service", "Server %q has the virtual address %s itself.", r.Name, s.Services[0].Address)
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
	byAddr := func(l []spec.VirtualAddress) []netip.Prefix {
		var out []netip.Prefix
		for _, a := range l {
			out = append(out, a.Prefix)
		}
		slices.SortFunc(out, func(a, b netip.Prefix) int {
			return cmp.Or(a.Addr().Compare(b.Addr()), cmp.Compare(a.Bits(), b.Bits()))
		})
		return out
	}
	differs("addresses", slices.Equal(byAddr(o.Addresses), byAddr(i.Addresses)))
	differs("virtual_router_id", o.VRID == i.VRID)
	differs("version", o.Version == i.Version)
	differs("advert_interval", o.Interval == i.Interval)
	differs("preempt", o.Preempt == i.Preempt && o.PreemptDelay == i.PreemptDelay)
	differs("unicast", o.Unicast == i.Unicast)
	differs("priority", maps.Equal(o.Priority, i.Priority))
	differs("source", maps.Equal(o.Source, i.Source))
	if o.Group != i.Group {
		v.fail(i.Origin, "", "The nodes see different groups", "%s is in a sync_group on one of %s and %s and not in the same on the other.", i.Origin.Address, node, v.cluster.Node)
	}
}
