package reconcile

import (
	"time"

	"github.com/hareconcile/hareconcile/internal/spec"
	"github.com/hareconcile/hareconcile/reconcile/resource"
)

// A Target is what one node should be.
type Target struct {
	Set     resource.Set
	Origins map[resource.ID]spec.Origin
	// FactsKnown says whether Set was made with Facts.
	FactsKnown bool
	// Runtime marks resources of Set on which facts decide that are not known.
	Runtime map[resource.ID]Runtime
	// Adopt marks resources that are taken over even from an object that differs.
	Adopt map[resource.ID]bool
	// Grace is how long a server that is not in Set may keep its connections: by the ID of
	// the server, or of its service for all others. It gets weight 0 until it is Drained.
	Grace   map[resource.ID]time.Duration
	Drained map[string]bool // by the name of the server's ID
	// AtOnce marks servers that leave without Grace, if they leave: they are dead or stood in for
	// others.
	AtOnce map[resource.ID]bool
	// Quorum is what Facts.Quorum is to be from now on.
	Quorum map[string]bool
	// Raised are the alarms by the name of the virtual server that raises them.
	Raised map[string][]Alarm
	// Alarms are what needs a person, in the order of the cluster's virtual servers.
	Alarms []Alarm
	// Scope is what the target speaks of: nil is the whole node.
	Scope *Scope
}

// A Runtime is a set of parts of a resource on which facts decide.
type Runtime uint8

// The parts that facts decide on.
const (
	// RuntimeWeight may be 0 or the written weight.
	RuntimeWeight Runtime = 1 << iota
	// RuntimeAnyWeight may be any: checks or slow start set it.
	RuntimeAnyWeight
	// RuntimePresence may be there or not; in a new service it is.
	RuntimePresence
	// RuntimeSorry may be there or not; in a new service it is not.
	RuntimeSorry
	// RuntimeRole may be there or not, with all that depends on it.
	RuntimeRole
)

// Desired returns what node should be according to c. Without facts (nil) every server
// counts as in service, and Diff leaves out what checks and roles decide on.
func Desired(c *spec.Cluster, node string, facts *Facts) (Target, error) {
	x, err := NewIndex(c, node)
	if err != nil {
		return Target{}, err
	}
	return x.Desired(facts), nil
}

// A builder collects one node's Target.
type builder struct {
	*Index
	facts   *Facts
	t       Target
	serving bool // some virtual server is programmed on this node
}

// covers says that the target has something to say of id.
func (b *builder) covers(id resource.ID) {
	if b.t.Scope != nil {
		b.t.Scope.IDs[id] = true
	}
}

// A resourceValue is one of the structs of package resource.
type resourceValue interface{ ID() resource.ID }

// add puts v into the target and returns its ID.
func (b *builder) add(v resourceValue, o spec.Origin) resource.ID {
	id := v.ID()
	b.addAs(id, v, o)
	return id
}

func (b *builder) addAs(id resource.ID, v resourceValue, o spec.Origin) {
	if _, ok := b.t.Set[id]; ok {
		return // the first block that asks is named; package hcl refuses contradictions
	}
	b.t.Set[id] = v
	b.t.Origins[id] = o
}

// assumeRuntime returns t's set with what unknown facts decide on taken from live.
func (t Target) assumeRuntime(live Live) resource.Set {
	if len(t.Runtime) == 0 {
		return t.Set
	}
	out := make(resource.Set, len(t.Set))
	for id, v := range t.Set {
		have, exists := live.Owned[id]
		open := t.Runtime[id]
		service, isServer := parent(v)
		if isServer {
			_, served := live.Owned[service]
			if !served && t.Runtime[service]&RuntimeRole != 0 || served && !exists && open&RuntimePresence != 0 {
				continue
			}
			if s, ok := have.(resource.IPVSServer); ok && (open&RuntimeAnyWeight != 0 || open&RuntimeWeight != 0 && s.Weight == 0) {
				w := v.(resource.IPVSServer)
				w.Weight = s.Weight
				v = w
			}
		}
		if !exists && open&(RuntimeSorry|RuntimeRole) != 0 {
			continue
		}
		out[id] = v
	}
	return out
}

// parent returns the resource without which v cannot be.
func parent(v any) (resource.ID, bool) {
	s, ok := v.(resource.IPVSServer)
	if !ok {
		return resource.ID{}, false
	}
	return resource.IPVSService{ServiceKey: s.Service}.ID(), true
}
