package reconcile

import (
	"github.com/hareconcile/hareconcile/internal/spec"
	"github.com/hareconcile/hareconcile/reconcile/resource"
)

// vrrpInstance adds i, and the trackers it needs, if this node takes part in it.
func (b *builder) vrrpInstance(i spec.VRRPInstance) {
	priority, member := i.Priority[b.node.Name]
	if !member {
		return
	}
	var addresses, peers, gates []string
	for _, p := range i.Addresses {
		addresses = append(addresses, p.String())
	}
	for _, name := range i.Members() {
		if n, ok := b.cluster.NodeByName(name); ok && name != b.node.Name {
			peers = append(peers, i.SourceOf(n).String())
		}
	}
	for _, name := range i.Gates {
		t, ok := b.cluster.Tracker(name)
		if !ok {
			continue // package hcl refuses a gate that does not exist
		}
		v := vrrpTracker(t)
		gates = append(gates, v.Key())
		b.add(v, t.Origin)
	}
	b.add(resource.VRRPInstance{
		Interface: i.Interface,
		VRID:      i.VRID,
		Version:   i.Version,
		Priority:  priority,
		Interval:  resource.Duration(i.Interval),
		Preempt:   i.Preempt,
		Addresses: resource.NewList(addresses...),
		Source:    i.SourceOf(b.node),
		Peers:     resource.NewList(peers...),
		Gates:     resource.NewList(gates...),
	}, i.Origin)
}

func vrrpTracker(t spec.Tracker) resource.VRRPTracker {
	if t.Interface != "" {
		return resource.VRRPTracker{Type: "interface", Target: t.Interface}
	}
	return resource.VRRPTracker{
		Type: "plugin", Target: t.Name, Hold: resource.Duration(t.Hold), OnUnknown: t.OnUnknown,
	}
}
