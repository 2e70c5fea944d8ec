package agent

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/hareconcile/hareconcile/internal/control"
	"github.com/hareconcile/hareconcile/internal/spec"
	"github.com/hareconcile/hareconcile/reconcile"
	"github.com/hareconcile/hareconcile/reconcile/resource"
)

// servicesStatus adds the virtual servers that this node directs.
func (a *Agent) servicesStatus(s *control.Status, c *spec.Cluster) {
	pools, instances := c.PoolsByName(), c.InstancesByName()
	for _, vs := range a.directed(c) {
		if len(vs.Services) > 0 {
			s.Services = append(s.Services, a.service(vs, pools[vs.Pool], pools[vs.Sorry], instances[vs.On]))
		}
	}
}

// directed returns the virtual servers of c that this node directs.
func (a *Agent) directed(c *spec.Cluster) []spec.VirtualServer {
	mine := map[string]bool{}
	for _, i := range c.Instances {
		mine[i.Name] = i.Priority[a.cfg.Node] != 0
	}
	out := make([]spec.VirtualServer, 0, len(c.VirtualServers))
	for _, vs := range c.VirtualServers {
		if mine[vs.On] {
			out = append(out, vs)
		}
	}
	return out
}

func (a *Agent) service(vs spec.VirtualServer, pool, sorry spec.Pool, i spec.VRRPInstance) control.Service {
	first := reconcile.Key(vs.Services[0])
	out := control.Service{
		Name: vs.Name, Service: first.String(), Quorum: a.facts.Quorum[vs.Name],
		Servers: make([]control.Server, 0, len(pool.Servers)),
		Panic:   slices.ContainsFunc(a.alarms, func(n reconcile.Alarm) bool { return n.Kind == "panic" && n.Subject == pool.Origin.Address }),
	}
	if len(vs.Services) > 1 {
		for _, s := range vs.Services {
			out.Services = append(out.Services, reconcile.Key(s).String())
		}
	}
	if role := a.facts.Role(i); vs.Program == "master" && role != reconcile.RoleMaster {
		out.Program = "this node is " + cmp.Or(role, "not known to be MASTER")
	}
	for _, s := range pool.Servers {
		server, there := a.server(first, pool, s)
		server.Drained = server.Draining && !there && out.Program == ""
		out.Servers = append(out.Servers, server)
	}
	for _, s := range sorry.Servers {
		if server, there := a.server(first, sorry, s); there {
			out.Sorry = true
			out.Servers = append(out.Servers, server)
		}
	}
	return out
}

// server returns what is known of one server, as the first service of its virtual server has
// it, and whether it is in the table.
func (a *Agent) server(key resource.ServiceKey, p spec.Pool, s spec.Server) (control.Server, bool) {
	id := reconcile.ServerID(key, s)
	have, there := a.live.Owned[id].(resource.IPVSServer)
	ref := reconcile.NewServerRef(p.Name, s.Name)
	r := a.results[ref]
	_, ordered := a.orders[ref]
	out := control.Server{
		Name: s.Name, Address: s.AddrPort(key.Address.Port()).String(), Weight: have.Weight,
		Verdict: a.facts.Verdict(p, s), Message: r.Message, Since: r.At,
		Share: a.facts.Shares[ref], Draining: ordered || s.Draining, Connections: a.live.Connections[id],
	}
	if w, ok := a.facts.Weights[ref]; ok {
		out.Dynamic = &w
	}
	return out, there
}

// strangers are servers that others put into services of ours: they are left alone, as
// everything of others is, and take connections that their writer may have forgotten.
func (a *Agent) strangers() []control.Conflict {
	var out []control.Conflict
	for id, v := range a.live.Foreign {
		s, ok := v.(resource.IPVSServer)
		if _, ours := a.live.Owned[resource.IPVSService{ServiceKey: s.Service}.ID()]; !ok || !ours || a.isConflict(id) {
			continue
		}
		out = append(out, control.Conflict{
			Resource: id.String(),
			Detail:   fmt.Sprintf("was not made by hareconcile and has weight %d in a service that was", s.Weight),
		})
	}
	slices.SortFunc(out, func(a, b control.Conflict) int { return cmp.Compare(a.Resource, b.Resource) })
	return out
}

// isConflict reports whether an object of others is in the way, which is told already.
func (a *Agent) isConflict(id resource.ID) bool {
	return slices.ContainsFunc(a.conflicts, func(c reconcile.Conflict) bool { return c.ID == id })
}
