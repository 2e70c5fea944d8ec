package reconcile

import (
	"github.com/hareconcile/hareconcile/internal/spec"
	"github.com/hareconcile/hareconcile/reconcile/resource"
)

// SeedVerdicts reads the verdicts that the table of an earlier agent stands for: a server
// of ours that takes connections was up, one that takes none was down. A new agent starts
// from them, so that its start takes nothing out of service. Servers of services that are
// not in the table, those that the cluster file drains, and sorry servers that do not stand in
// are missing: they wait for their first check.
func SeedVerdicts(c *spec.Cluster, live resource.Set) map[ServerRef]Verdict {
	pools := c.PoolsByName()
	out := map[ServerRef]Verdict{}
	for _, vs := range c.VirtualServers {
		for _, s := range vs.Services {
			if _, ok := live[resource.IPVSService{ServiceKey: Key(s)}.ID()]; ok {
				seedPool(pools[vs.Pool], Key(s), live, out)
				seedSorry(pools[vs.Sorry], Key(s), live, out)
			}
		}
	}
	return out
}

func seedPool(p spec.Pool, key resource.ServiceKey, live resource.Set, out map[ServerRef]Verdict) {
	for _, s := range p.Servers {
		have, ok := live[ServerID(key, s)].(resource.IPVSServer)
		switch ref := NewServerRef(p.Name, s.Name); {
		case ok && (have.Weight > 0 || p.OnFail == "remove"):
			out[ref] = Up
		case out[ref] == Up:
			// Another service sends it connections.
		case s.Draining:
		case ok && s.Weight > 0, p.OnFail == "remove":
			out[ref] = Down
		}
	}
}

// seedSorry finds the servers that stand in. That one is not there says nothing of it.
func seedSorry(p spec.Pool, key resource.ServiceKey, live resource.Set, out map[ServerRef]Verdict) {
	for _, s := range p.Servers {
		if have, ok := live[ServerID(key, s)].(resource.IPVSServer); ok && have.Weight > 0 && len(p.Checks) > 0 {
			out[NewServerRef(p.Name, s.Name)] = Up
		}
	}
}
