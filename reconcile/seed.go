package reconcile

import (
	"net/netip"

	"github.com/hareconcile/hareconcile/internal/spec"
	"github.com/hareconcile/hareconcile/reconcile/resource"
)

// SeedVerdicts reads the verdicts that the table of an earlier agent stands for: a server
// of ours that takes connections was up, one that takes none was down. A new agent starts
// from them, so that its start takes nothing out of service. Servers of services that are
// not in the table are missing: they wait for their first check.
func SeedVerdicts(c *spec.Cluster, live resource.Set) map[ServerRef]Verdict {
	out := map[ServerRef]Verdict{}
	for _, vs := range c.VirtualServers {
		key := Key(vs.Services[0])
		if _, ok := live[resource.IPVSService{ServiceKey: key}.ID()]; !ok {
			continue
		}
		pool, _ := c.Pool(vs.Pool)
		for _, s := range pool.Servers {
			id := resource.IPVSServer{Service: key, Address: netip.AddrPortFrom(s.Address, s.Port)}.ID()
			have, ok := live[id].(resource.IPVSServer)
			switch ref := NewServerRef(pool.Name, s.Name); {
			case ok && (have.Weight > 0 || pool.OnFail == "remove"):
				out[ref] = Up
			case out[ref] == Up:
				// Another virtual server sends it connections.
			case ok && s.Weight > 0, pool.OnFail == "remove":
				out[ref] = Down
			}
		}
	}
	return out
}
