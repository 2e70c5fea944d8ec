package agent

import (
	"maps"
	"slices"
	"time"

	"github.com/hareconcile/hareconcile/internal/checker"
	"github.com/hareconcile/hareconcile/internal/spec"
	"github.com/hareconcile/hareconcile/reconcile"
	"github.com/hareconcile/hareconcile/reconcile/resource"
)

// absorbServer makes a verdict a fact. A server that comes up starts slowly where its pool
// says so.
func (a *Agent) absorbServer(r checker.Result) {
	was := a.facts.Servers[r.Ref]
	a.results[r.Ref] = r
	a.facts.Servers[r.Ref] = r.Verdict
	if r.HasWeight {
		a.facts.Weights[r.Ref] = r.Weight
	} else {
		delete(a.facts.Weights, r.Ref)
	}
	switch {
	case !r.Verdict.Serves():
		delete(a.upSince, r.Ref)
	case !was.Serves() && !(was == reconcile.Unknown && optimistic(a.homes[r.Ref])):
		a.upSince[r.Ref] = time.Now()
	}
}

// shareStep is by how many percent the weight of a server in slow start grows at a time: each
// step is a change of the kernel's table.
const shareStep = 5

// optimistic reports whether the servers of a pool count as up before their first verdict.
func optimistic(p *spec.Pool) bool { return p != nil && p.InitiallyUp }

// ramp brings the shares of servers in slow start up to date, and returns the servers whose
// share is another one.
func (a *Agent) ramp(now time.Time) (changed []reconcile.ServerRef) {
	was := a.facts.Shares
	a.facts.Shares = make(map[reconcile.ServerRef]int, len(a.upSince))
	maps.DeleteFunc(a.upSince, func(ref reconcile.ServerRef, since time.Time) bool {
		p := a.homes[ref]
		if p == nil || now.Sub(since) >= p.SlowStart {
			return true
		}
		share := int(now.Sub(since) * 100 / p.SlowStart)
		share = max(share-share%shareStep, 1)
		if a.facts.Shares[ref] = share; was[ref] != share {
			changed = append(changed, ref)
		}
		return false
	})
	for ref := range was {
		if _, still := a.facts.Shares[ref]; !still {
			changed = append(changed, ref)
		}
	}
	return changed
}

// desired returns what the node should be now, and keeps what later decisions depend on.
func (a *Agent) desired() (reconcile.Target, error) {
	a.ramp(time.Now())
	x, err := a.prepared()
	if err != nil {
		return reconcile.Target{}, err
	}
	t := x.Desired(&a.facts)
	a.decided(t)
	return t, nil
}

// decided keeps what later decisions depend on, and tells of alarms that come and go.
func (a *Agent) decided(t reconcile.Target) {
	for id := range a.departures {
		if _, wanted := t.Set[id]; wanted { // and if it leaves again, its connections count anew
			delete(a.departures, id)
			delete(a.facts.Drained, id.Name)
		}
	}
	a.facts.Quorum = reconcile.Merge(a.facts.Quorum, t.Quorum, t.Scope)
	other := func(name string) bool { return !slices.Equal(a.raised[name], t.Raised[name]) }
	if t.Scope != nil && !slices.ContainsFunc(t.Scope.VirtualServers, other) {
		return // thousands of others may have alarms
	}
	a.raised = reconcile.Merge(a.raised, t.Raised, t.Scope)
	now := a.index.Alarms(a.raised)
	was, is := alarmed(a.alarms), alarmed(now)
	for _, n := range now {
		if !was[alarmKey(n)] {
			a.cfg.Log.Error("alarm", "id", n.Subject, "alarm", n.Kind, "err", n.Message)
		}
	}
	for _, n := range a.alarms {
		if !is[alarmKey(n)] {
			a.cfg.Log.Info("alarm is over", "id", n.Subject, "alarm", n.Kind)
		}
	}
	a.alarms = now
}

// alarmKey is n without its message: an alarm whose figures change is the same alarm.
func alarmKey(n reconcile.Alarm) reconcile.Alarm {
	n.Message = ""
	return n
}

func alarmed(list []reconcile.Alarm) map[reconcile.Alarm]bool {
	out := make(map[reconcile.Alarm]bool, len(list))
	for _, n := range list {
		out[alarmKey(n)] = true
	}
	return out
}

// follows keeps track of servers that leave, after live state was read.
func (a *Agent) follows(t reconcile.Target) {
	for id, d := range a.departures {
		if _, there := a.live.Owned[id]; !there && d.Connections > 0 && !slices.Contains(a.live.Unobserved, id.Kind) {
			a.cutOff[id] = d.Connections
		}
	}
	maps.DeleteFunc(a.cutOff, func(id resource.ID, _ int) bool {
		_, drains := t.Grace[id]
		_, there := a.live.Owned[id]
		return !drains || there
	})
	a.departures = reconcile.Departures(a.live, t, a.departures, time.Now())
	a.facts.Drained = map[string]bool{}
	for id, d := range a.departures {
		if d.Drained {
			a.facts.Drained[id.Name] = true
		}
	}
}

// copyFacts returns facts that the loop will not touch again.
func (a *Agent) copyFacts() reconcile.Facts {
	f := a.facts
	f.Servers, f.Weights, f.Shares = maps.Clone(f.Servers), maps.Clone(f.Weights), maps.Clone(f.Shares)
	f.Drains, f.Drained, f.Quorum = maps.Clone(f.Drains), maps.Clone(f.Drained), maps.Clone(f.Quorum)
	f.Roles, f.Trackers = maps.Clone(f.Roles), maps.Clone(f.Trackers)
	return f
}

// renameServers carries what is known of a pool's servers over to its new name.
func (a *Agent) renameServers(c *spec.Cluster, from, to string) {
	p, _ := c.Pool(to)
	for _, s := range p.Servers {
		was, is := reconcile.NewServerRef(from, s.Name), reconcile.NewServerRef(to, s.Name)
		rename(a.facts.Servers, was, is)
		rename(a.facts.Weights, was, is)
		rename(a.results, was, is)
		rename(a.upSince, was, is)
		// What is ordered is moved and not copied: it would come back with the next revision
		// that tells of the rename, after people took it back.
		if o, ok := a.orders[was]; ok {
			a.orders.set(o, true)
			o.Server = is
			a.orders.set(o, false)
			a.renamed = true
		}
	}
	a.facts.Drains = a.orders.facts()
}

// rename copies: forget drops what is under a name that the cluster has not.
func rename[K comparable, V any](m map[K]V, from, to K) {
	if v, ok := m[from]; ok {
		m[to] = v
	}
}
