package hcl

import (
	"net/netip"

	"github.com/hareconcile/hareconcile/internal/spec"
)

// sharedGates refuses gates that take every member out at once: all of them ask one thing
// somewhere else. views has one for each node, or one for all.
func sharedGates(views []*view) {
	first := views[0]
	trackers := map[string]map[string]spec.Tracker{} // by node and name
	for _, v := range views {
		byName := map[string]spec.Tracker{}
		for _, t := range v.cluster.Trackers {
			byName[t.Name] = t
		}
		trackers[v.cluster.Node] = byName
	}
	nodes := map[string]netip.Addr{}
	for _, n := range first.cluster.Nodes {
		nodes[n.Name] = n.Address
	}
	common := trackers[first.cluster.Node]
	for _, i := range first.cluster.Instances {
		for _, g := range i.Gates {
			target, ok := asked(common[g])
			if !ok || len(i.Priority) < 2 {
				continue
			}
			shared := true
			for m := range i.Priority {
				t := common[g]
				if own, ok := trackers[m]; ok {
					t = own[g]
				}
				a, ok := asked(t)
				shared = shared && ok && a == target && a != nodes[m]
			}
			if shared {
				first.fail(i.Origin, "gates", "All members share a gate", "Every member asks %s. Should it go, nobody would hold the addresses. Use points for tracker.%s, so that the best of them keeps them.", target, g)
			}
		}
	}
}

// asked returns the host that t asks; the other trackers ask their own.
func asked(t spec.Tracker) (netip.Addr, bool) {
	if t.Ping.IsValid() {
		return t.Ping, true
	}
	return t.BFD, t.BFD.IsValid()
}
