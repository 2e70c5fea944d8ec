package reconcile

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/hareconcile/hareconcile/internal/spec"
	"github.com/hareconcile/hareconcile/reconcile/resource"
)

// An Index is a cluster made ready for one node: what depends on a few pools is found without
// looking at the others. It is made once for each revision and never modified.
type Index struct {
	cluster   *spec.Cluster
	node      spec.Node
	pools     map[string]spec.Pool
	instances map[string]spec.VRRPInstance
	size      int              // how many objects there are on a director, about
	places    map[string]int   // of virtual servers in the cluster, by name
	users     map[string][]int // by pool, the places of those that the node directs
	haproxies []managedHAProxy
}

// NewIndex makes c ready for node.
func NewIndex(c *spec.Cluster, node string) (*Index, error) {
	n, ok := c.NodeByName(node)
	if !ok {
		return nil, fmt.Errorf("node %q is not in cluster %q", node, c.Name)
	}
	x := &Index{
		cluster: c, node: n, pools: c.PoolsByName(), instances: c.InstancesByName(),
		places: make(map[string]int, len(c.VirtualServers)), users: map[string][]int{}, haproxies: haproxies(c, node),
	}
	for k, vs := range c.VirtualServers {
		x.places[vs.Name] = k
		x.size += x.sizeOf(vs)
		if !x.directs(vs) {
			continue
		}
		x.users[vs.Pool] = append(x.users[vs.Pool], k)
		if vs.Sorry != "" && vs.Sorry != vs.Pool {
			x.users[vs.Sorry] = append(x.users[vs.Sorry], k)
		}
	}
	return x, nil
}

// sizeOf estimates how many objects vs makes on a director.
func (x *Index) sizeOf(vs spec.VirtualServer) int {
	return len(vs.Services) * (1 + len(x.pools[vs.Pool].Servers))
}

// directs reports whether the node has vs in its table, or would in another role.
func (x *Index) directs(vs spec.VirtualServer) bool {
	_, director := x.instances[vs.On].Priority[x.node.Name]
	return director
}

// Desired returns what the node should be, as the function Desired does.
func (x *Index) Desired(facts *Facts) Target {
	b := x.builder(facts, x.size)
	for _, i := range x.cluster.Instances {
		b.vrrpInstance(i)
	}
	for _, vs := range x.cluster.VirtualServers {
		b.virtualServer(vs)
	}
	b.ipvs()
	for _, h := range x.haproxies {
		b.haproxy(h)
	}
	b.t.Alarms = x.Alarms(b.t.Raised)
	return b.t
}

// A Scope is the part of a node that a Target speaks of.
type Scope struct {
	// VirtualServers are the names of those that were asked.
	VirtualServers []string
	// IDs are their services that should be there, and every server that can be in these.
	IDs map[resource.ID]bool
}

// Part returns what Desired returns, less what servers of other pools than these decide on:
// its Scope are the services that use one of pools. Facts about servers make no service come
// or go, and nothing beside servers, so that after such facts this is all that can differ.
func (x *Index) Part(facts *Facts, pools ...string) Target {
	var places []int
	for _, name := range pools {
		places = append(places, x.users[name]...)
	}
	slices.Sort(places)
	places = slices.Compact(places)
	size := 0
	for _, k := range places {
		size += x.sizeOf(x.cluster.VirtualServers[k])
	}
	b := x.builder(facts, size)
	b.t.Scope = &Scope{IDs: make(map[resource.ID]bool, size)}
	for _, k := range places {
		vs := x.cluster.VirtualServers[k]
		b.t.Scope.VirtualServers = append(b.t.Scope.VirtualServers, vs.Name)
		b.virtualServer(vs)
	}
	maps.DeleteFunc(b.t.Set, func(id resource.ID, _ any) bool { return !b.t.Scope.IDs[id] })
	b.t.Alarms = x.Alarms(b.t.Raised)
	return b.t
}

// Alarms returns those that virtual servers raised, in the order of the cluster: once where
// several virtual servers have one pool.
func (x *Index) Alarms(raised map[string][]Alarm) []Alarm {
	var out []Alarm
	told := map[Alarm]bool{}
	names := slices.SortedFunc(maps.Keys(raised), func(a, b string) int { return x.places[a] - x.places[b] })
	for _, name := range names {
		for _, a := range raised[name] {
			if !told[a] {
				told[a] = true
				out = append(out, a)
			}
		}
	}
	return out
}

// Merge returns what is known of virtual servers, by name, after a Target with that Scope said
// now of them. Without a scope now is all there is; with one, known is modified.
func Merge[V any](known, now map[string]V, s *Scope) map[string]V {
	if s == nil || known == nil {
		return now
	}
	for _, name := range s.VirtualServers {
		if v, ok := now[name]; ok {
			known[name] = v
		} else {
			delete(known, name)
		}
	}
	return known
}

// builder returns one for about size objects.
func (x *Index) builder(facts *Facts, size int) *builder {
	t := Target{
		Set:        make(resource.Set, size),
		Origins:    make(map[resource.ID]spec.Origin, size),
		FactsKnown: facts != nil,
		Runtime:    map[resource.ID]Runtime{},
		Adopt:      map[resource.ID]bool{},
		Grace:      map[resource.ID]time.Duration{},
		AtOnce:     map[resource.ID]bool{},
		Quorum:     map[string]bool{},
		Raised:     map[string][]Alarm{},
	}
	if facts != nil {
		t.Drained = facts.Drained
	}
	return &builder{Index: x, facts: facts, t: t}
}
