package agent

import (
	"cmp"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/hareconcile/hareconcile/internal/control"
	"github.com/hareconcile/hareconcile/internal/spec"
	"github.com/hareconcile/hareconcile/reconcile"
)

// A baseline is what worked before an attempt: only what it breaks speaks against it.
type baseline struct {
	quorum   map[string]bool              // virtual servers that had theirs
	unknown  map[reconcile.ServerRef]bool // servers without a verdict
	fault    map[string]bool              // instances in FAULT, by vrrp_instance ID name
	trackers map[string]bool              // plugin trackers that were up
	masters  map[string]census            // who was master of the instances, by their names
}

// worked returns what works now.
func (a *Agent) worked() baseline {
	b := baseline{quorum: map[string]bool{}, unknown: map[reconcile.ServerRef]bool{}, fault: map[string]bool{}, trackers: map[string]bool{}}
	if a.rev == nil {
		return b
	}
	for _, vs := range a.directed(a.rev.Cluster) {
		b.quorum[vs.Name] = a.facts.Quorum[vs.Name]
	}
	for _, p := range a.rev.Cluster.Pools {
		for _, s := range p.Servers {
			if a.facts.Verdict(p, s) == reconcile.Unknown {
				b.unknown[reconcile.NewServerRef(p.Name, s.Name)] = true
			}
		}
	}
	for id, role := range a.facts.Roles {
		b.fault[id] = role == roleFault
	}
	b.masters = a.masters()
	for name, v := range a.facts.Trackers {
		b.trackers[name] = v.Serves()
	}
	return b
}

const roleFault = "FAULT"

// unhealthy returns what is not as it should be with the revision in force, given what worked
// before; nothing if all is well. Whatever it names is a block address or a kind.
func (a *Agent) unhealthy(b baseline) []string {
	if a.phase != control.Converged || a.converged.IsZero() {
		return []string{"not converged: " + cmp.Or(a.message, string(a.phase))}
	}
	out := a.sickInstances(b)
	out = append(out, a.contested(b)...)
	out = append(out, a.sickServices(b)...)
	for _, t := range pluginTrackers(a.rev.Cluster, a.cfg.Node) {
		if b.trackers[t.Name] && a.facts.Trackers[t.Name] == reconcile.Down {
			out = append(out, fmt.Sprintf("tracker.%s is down: %s", t.Name, a.trackers[t.Name].message))
		}
	}
	return out
}

// sickInstances names virtual routers of this node that cannot take part, or hold less than
// they should.
func (a *Agent) sickInstances(b baseline) []string {
	if !takesPart(a.rev.Cluster, a.cfg.Node) {
		return nil
	}
	if a.vrrpErr != nil {
		return []string{"vrrpd cannot be asked: " + a.vrrpErr.Error()}
	}
	if a.vrrp == nil {
		return nil // as in the first moments; the plan is empty, so it has answered
	}
	var out []string
	for _, i := range a.rev.Cluster.Instances {
		id := reconcile.InstanceID(i).Name
		for _, s := range a.vrrp.Instances {
			switch {
			case s.Name != id:
			case s.State == roleFault && !b.fault[id]:
				out = append(out, fmt.Sprintf("vrrp_instance.%s is in FAULT: %s", i.Name, s.Reason))
			case s.State == reconcile.RoleMaster && len(s.Held) < len(i.Addresses):
				out = append(out, fmt.Sprintf("vrrp_instance.%s holds %d of %d addresses", i.Name, len(s.Held), len(i.Addresses)))
			}
		}
	}
	return out
}

// sickServices names virtual servers that lost their quorum, or whose servers have no verdict yet.
func (a *Agent) sickServices(b baseline) []string {
	var out []string
	pools := a.rev.Cluster.PoolsByName()
	for _, vs := range a.directed(a.rev.Cluster) {
		if !b.quorum[vs.Name] {
			continue
		}
		var down, unknown []string
		p := pools[vs.Pool]
		for _, s := range p.Servers {
			ref := reconcile.NewServerRef(p.Name, s.Name)
			switch v := a.facts.Verdict(p, s); {
			case v == reconcile.Unknown && !b.unknown[ref]:
				unknown = append(unknown, s.Name)
			case !v.Serves():
				down = append(down, fmt.Sprintf("%s is down (%s)", s.Name, a.results[ref].Message))
			}
		}
		switch {
		case len(unknown) > 0:
			out = append(out, fmt.Sprintf("virtual_server.%s: %s not checked yet", vs.Name, strings.Join(unknown, ", ")))
		case !a.facts.Quorum[vs.Name]:
			out = append(out, fmt.Sprintf("virtual_server.%s has no quorum: %s", vs.Name, strings.Join(down, ", ")))
		}
	}
	return out
}

// healthyTime is how long a node has to be healthy with next: what its rollout says, and as
// long as the checks of pools that are new or changed need to see that a server is down, but
// no more than half of the deadline. A rollout that says 0 asks for no proof.
func healthyTime(prior, next *spec.Cluster) time.Duration {
	d := next.Rollout.MinHealthyTime
	if d == 0 || prior == nil {
		return d
	}
	old := prior.PoolsByName()
	for _, p := range next.Pools {
		was, ok := old[p.Name]
		if ok && reflect.DeepEqual(withoutOrigins(was), withoutOrigins(p)) {
			continue
		}
		for _, c := range p.Checks {
			d = max(d, min(time.Duration(c.Fall)*c.Interval+c.Timeout, healthyDeadline(next)/2))
		}
	}
	return d
}

// withoutOrigins returns p as if it were written in another place of the file.
func withoutOrigins(p spec.Pool) spec.Pool {
	p.Origin = spec.Origin{}
	p.Servers, p.Checks = slices.Clone(p.Servers), slices.Clone(p.Checks)
	for k := range p.Servers {
		p.Servers[k].Origin = spec.Origin{}
	}
	for k := range p.Checks {
		p.Checks[k].Origin = spec.Origin{}
	}
	return p
}

// usualDeadline is that of revisions that an older release has compiled.
const usualDeadline = 2 * time.Minute

func healthyDeadline(c *spec.Cluster) time.Duration {
	return cmp.Or(c.Rollout.HealthyDeadline, usualDeadline)
}

// unsettle forgets the verdicts of servers that have another address in next: the checker
// says the same a moment later, and until then nothing may be taken for checked.
func (a *Agent) unsettle(prior, next *spec.Cluster) {
	old := prior.PoolsByName()
	for _, p := range next.Pools {
		for _, s := range p.Servers {
			was, ok := old[p.Name]
			k := slices.IndexFunc(was.Servers, func(o spec.Server) bool { return o.Name == s.Name })
			if ok && k >= 0 && was.Servers[k].Address != s.Address {
				ref := reconcile.NewServerRef(p.Name, s.Name)
				delete(a.facts.Servers, ref)
				delete(a.results, ref)
			}
		}
	}
}
