package reconcile

import (
	"fmt"

	"github.com/hareconcile/hareconcile/internal/spec"
	"github.com/hareconcile/hareconcile/reconcile/resource"
)

// A Target is what one node should be.
type Target struct {
	Set     resource.Set
	Origins map[resource.ID]spec.Origin
	// FactsKnown says whether Set was made with Facts.
	FactsKnown bool
	// Runtime marks resources that checks drive, with the value for each verdict.
	Runtime map[resource.ID]Runtime
	// Adopt marks resources that are taken over even from an object that differs.
	Adopt map[resource.ID]bool
}

// A Runtime says which part of a resource checks decide on.
type Runtime uint8

// The runtime-owned parts.
const (
	// RuntimeWeight may be 0 or the written weight.
	RuntimeWeight Runtime = iota + 1
	// RuntimePresence may be there or not; in a new service it is.
	RuntimePresence
	// RuntimeSorry may be there or not; in a new service it is not.
	RuntimeSorry
)

// Desired returns what node should be according to c. Without facts (nil) every server
// counts as in service, and Diff leaves out what checks decide on.
func Desired(c *spec.Cluster, node string, facts *Facts) (Target, error) {
	n, ok := c.NodeByName(node)
	if !ok {
		return Target{}, fmt.Errorf("node %q is not in cluster %q", node, c.Name)
	}
	b := &builder{cluster: c, node: n, facts: facts, t: Target{
		Set:        resource.Set{},
		Origins:    map[resource.ID]spec.Origin{},
		FactsKnown: facts != nil,
		Runtime:    map[resource.ID]Runtime{},
		Adopt:      map[resource.ID]bool{},
	}}
	for _, i := range c.Instances {
		b.vrrpInstance(i)
	}
	for _, vs := range c.VirtualServers {
		b.virtualServer(vs)
	}
	return b.t, nil
}

// A builder collects one node's Target.
type builder struct {
	cluster *spec.Cluster
	node    spec.Node
	facts   *Facts
	t       Target
}

// A resourceValue is one of the structs of package resource.
type resourceValue interface{ ID() resource.ID }

func (b *builder) add(v resourceValue, o spec.Origin) {
	id := v.ID()
	if _, ok := b.t.Set[id]; ok {
		return // the first block that asks is named; package hcl refuses contradictions
	}
	b.t.Set[id] = v
	b.t.Origins[id] = o
}

// assumeRuntime returns t's set with what checks decide on taken from live, and how many
// resources that touched.
func (t Target) assumeRuntime(live Live) (resource.Set, int) {
	out := make(resource.Set, len(t.Set))
	for id, v := range t.Set {
		have, exists := live.Owned[id]
		switch t.Runtime[id] {
		case RuntimeWeight:
			if s, ok := have.(resource.IPVSServer); ok && s.Weight == 0 {
				w := v.(resource.IPVSServer)
				w.Weight = 0
				v = w
			}
		case RuntimePresence:
			service, _ := parent(v)
			if _, known := live.Owned[service]; known && !exists {
				continue
			}
		case RuntimeSorry:
			if !exists {
				continue
			}
		}
		out[id] = v
	}
	return out, len(t.Runtime)
}

// parent returns the resource without which v cannot be.
func parent(v any) (resource.ID, bool) {
	s, ok := v.(resource.IPVSServer)
	if !ok {
		return resource.ID{}, false
	}
	return resource.IPVSService{ServiceKey: s.Service}.ID(), true
}
