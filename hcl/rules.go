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
	maxAddresses    = 16_384  // of all instances
	maxServices     = 20_000  // of all virtual servers
	maxDestinations = 120_000 // servers of all services
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
	for k := range c.Pools {
		v.poolRules(&c.Pools[k])
	}
	v.sessionRules()
	v.ipvsRules()
	table := v.newTable()
	for k := range c.VirtualServers {
		table.rules(&c.VirtualServers[k])
	}
	v.usedPools()
	v.haproxyRules()
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
	services := 0
	for _, s := range v.cluster.VirtualServers {
		services += len(s.Services)
		destinations += len(s.Services) * (size[s.Pool] + size[s.Sorry])
	}
	if routers <= maxRouters && len(v.cluster.Trackers) <= maxTrackers && addresses <= maxAddresses && services <= maxServices && destinations <= maxDestinations {
		return true
	}
	v.ev.report.errorf(hcl2.Range{Filename: mainFile}, "The cluster is too large",
		"It has %d vrrp_instances with %d addresses, %d trackers, and %d services with %d servers; at most %d, %d, %d, %d and %d are supported.",
		routers, addresses, len(v.cluster.Trackers), services, destinations, maxRouters, maxAddresses, maxTrackers, maxServices, maxDestinations)
	return false
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
	differs("points", slices.Equal(o.Points, i.Points))
	if o.Group != i.Group {
		v.fail(i.Origin, "", "The nodes see different groups", "%s is in a sync_group on one of %s and %s and not in the same on the other.", i.Origin.Address, node, v.cluster.Node)
	}
}
