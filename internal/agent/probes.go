package agent

import (
	"maps"
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
	for _, u := range used(c, node) {
		for _, s := range u.pool.Servers {
			ref := reconcile.NewServerRef(u.pool.Name, s.Name)
			seen[ref] = checker.Job{
				Ref:     ref,
				Address: s.AddrPort(u.port),
				Checks:  u.pool.Checks,
				Any:     u.pool.Any,
				Initial: f.Verdict(u.pool, s),
			}
		}
	}
	out := make([]checker.Job, 0, len(seen))
	for _, ref := range slices.Sorted(maps.Keys(seen)) {
		out = append(out, seen[ref])
	}
	return out
}

// A usedPool is a pool with checks, and the port of servers that have none of their own: the
// first service's.
type usedPool struct {
	pool spec.Pool
	port uint16
}

// used returns the pools that node has to check, each once.
func used(c *spec.Cluster, node string) []usedPool {
	pools, directs := c.PoolsByName(), map[string]bool{}
	for _, i := range c.Instances {
		_, directs[i.Name] = i.Priority[node]
	}
	var out []usedPool
	seen := map[string]bool{}
	for _, vs := range c.VirtualServers {
		if !directs[vs.On] {
			continue
		}
		for _, name := range []string{vs.Pool, vs.Sorry} {
			if p, ok := pools[name]; ok && len(p.Checks) > 0 && !seen[name] {
				seen[name] = true
				out = append(out, usedPool{p, vs.Services[0].Port})
			}
		}
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
			a.renameServers(a.rev.Cluster, from, to)
		case "virtual_server":
			rename(a.facts.Quorum, from, to)
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
	pools := before.PoolsByName()
	for _, p := range after.Pools {
		old, ok := pools[p.Name]
		if !ok {
			old = pools[strings.TrimPrefix(names["pool."+p.Name], "pool.")]
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
	maps.DeleteFunc(a.facts.Weights, func(r reconcile.ServerRef, _ int) bool { return !servers[r] })
	maps.DeleteFunc(a.results, func(r reconcile.ServerRef, _ checker.Result) bool { return !servers[r] })
	gone := func(name string) bool { _, ok := c.Tracker(name); return !ok }
	maps.DeleteFunc(a.facts.Trackers, func(n string, _ reconcile.Verdict) bool { return gone(n) })
	maps.DeleteFunc(a.trackers, func(n string, _ trackerState) bool { return gone(n) })
}
