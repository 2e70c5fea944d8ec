package agent

import (
	"maps"
	"net/netip"
	"slices"
	"strings"

	"github.com/hareconcile/hareconcile/internal/checker"
	"github.com/hareconcile/hareconcile/internal/spec"
	"github.com/hareconcile/hareconcile/reconcile"
)

// jobs returns the checks that node runs: those of every pool behind a virtual server
// that it directs, one for each member however many services share the pool.
func jobs(c *spec.Cluster, node string, f reconcile.Facts) []checker.Job {
	seen := map[reconcile.ServerRef]checker.Job{}
	for _, vs := range c.VirtualServers {
		i, _ := c.Instance(vs.On)
		if _, director := i.Priority[node]; !director {
			continue
		}
		for _, name := range []string{vs.Pool, vs.Sorry} {
			p, ok := c.Pool(name)
			if !ok || len(p.Checks) == 0 {
				continue
			}
			for _, s := range p.Servers {
				ref := reconcile.NewServerRef(p.Name, s.Name)
				seen[ref] = checker.Job{
					Ref:     ref,
					Address: netip.AddrPortFrom(s.Address, s.Port),
					Checks:  p.Checks,
					Initial: f.Servers[ref],
				}
			}
		}
	}
	out := make([]checker.Job, 0, len(seen))
	for _, ref := range slices.Sorted(maps.Keys(seen)) {
		out = append(out, seen[ref])
	}
	return out
}

// pluginTrackers returns the plugin trackers that an instance asks in which node takes part.
func pluginTrackers(c *spec.Cluster, node string) []spec.Tracker {
	var out []spec.Tracker
	for _, t := range c.Trackers {
		used := slices.ContainsFunc(c.Instances, func(i spec.VRRPInstance) bool {
			_, member := i.Priority[node]
			scores := func(p spec.Points) bool { return p.Tracker == t.Name }
			return member && (slices.Contains(i.Gates, t.Name) || slices.ContainsFunc(i.Points, scores))
		})
		if t.Plugin != "" && used {
			out = append(out, t)
		}
	}
	return out
}

// move carries what is known of renamed blocks over to their new names.
func (a *Agent) move(moves []spec.Moved) {
	for _, m := range moves {
		kind, from, _ := strings.Cut(m.From, ".")
		_, to, _ := strings.Cut(m.To, ".")
		switch kind {
		case "pool":
			for ref, v := range maps.Clone(a.facts.Servers) {
				if server, ok := strings.CutPrefix(string(ref), from+"/"); ok {
					next := reconcile.NewServerRef(to, server)
					a.facts.Servers[next] = v
					a.results[next] = a.results[ref]
				}
			}
		case "tracker":
			if v, ok := a.facts.Trackers[from]; ok {
				a.facts.Trackers[to] = v
				a.trackers[to] = a.trackers[from]
			}
		}
	}
}

// dropMovedServers forgets the verdicts of servers that have another address now: they were
// about another machine.
func (a *Agent) dropMovedServers(before, after *spec.Cluster) {
	names := map[string]string{} // of renamed pools, as they were
	for _, m := range after.Moved {
		names[m.To] = m.From
	}
	for _, p := range after.Pools {
		old, ok := before.Pool(p.Name)
		if !ok {
			old, _ = before.Pool(strings.TrimPrefix(names["pool."+p.Name], "pool."))
		}
		for _, was := range old.Servers {
			for _, is := range p.Servers {
				if is.Name == was.Name && (is.Address != was.Address || is.Port != was.Port) {
					delete(a.facts.Servers, reconcile.NewServerRef(old.Name, is.Name))
				}
			}
		}
	}
}

// forget drops the facts of servers and trackers that the cluster no longer has.
func (a *Agent) forget(c *spec.Cluster) {
	servers := map[reconcile.ServerRef]bool{}
	for _, p := range c.Pools {
		for _, s := range p.Servers {
			servers[reconcile.NewServerRef(p.Name, s.Name)] = true
		}
	}
	maps.DeleteFunc(a.facts.Servers, func(r reconcile.ServerRef, _ reconcile.Verdict) bool { return !servers[r] })
	maps.DeleteFunc(a.results, func(r reconcile.ServerRef, _ checker.Result) bool { return !servers[r] })
	gone := func(name string) bool { _, ok := c.Tracker(name); return !ok }
	maps.DeleteFunc(a.facts.Trackers, func(n string, _ reconcile.Verdict) bool { return gone(n) })
	maps.DeleteFunc(a.trackers, func(n string, _ trackerState) bool { return gone(n) })
}
