package hcl

import (
	"fmt"
	"maps"
	"net/netip"

	hcl2 "github.com/hashicorp/hcl/v2"

	"github.com/hareconcile/hareconcile/internal/spec"
)

// A view is the cluster as one node sees it, and where each part was written.
type view struct {
	ev      *evaluator
	cluster *spec.Cluster
	at      map[string]*instance // by block address
	vips    map[string][]vip     // by instance
	groups  []group
	points  map[string]*instance // the block that has the instance's points, by instance

	virtuals map[netip.Addr]int // places of instances by their addresses
}

// view evaluates everything for one node and applies the rules.
func (p *program) view(base *spec.Cluster, n spec.Node) *view {
	c := *base
	c.Node = n.Name
	v := &view{
		ev:      newEvaluator(p, &nodeContext{n.Name, n.Address.String()}),
		cluster: &c, at: map[string]*instance{}, vips: map[string][]vip{}, points: map[string]*instance{},
	}
	for _, name := range sortedKeys(p.locals) {
		v.ev.local(name, p.locals[name].NameRange)
	}
	for _, in := range v.ev.all(trackerBlock) {
		c.Trackers = append(c.Trackers, v.tracker(in))
	}
	for _, in := range v.ev.all(vrrpBlock) {
		c.Instances = append(c.Instances, v.instance(in))
	}
	for _, in := range v.ev.all(syncGroupBlock) {
		v.groups = append(v.groups, v.group(in))
	}
	for _, in := range v.ev.all(poolBlock) {
		c.Pools = append(c.Pools, v.pool(in))
	}
	for _, in := range v.ev.all(virtualServerBlock) {
		c.VirtualServers = append(c.VirtualServers, v.virtualServer(in))
	}
	for _, b := range p.blocks["ipvs"] {
		c.IPVS = v.ipvs(v.ev.instance(ipvsBlock, b, "ipvs", nil))
	}
	for _, in := range v.ev.all(haproxyBlock) {
		c.HAProxies = append(c.HAProxies, v.haproxy(in))
	}
	for _, b := range p.blocks["notify"] {
		if len(b.Labels) != len(notifyBlock.labels) {
			continue // reported by checkBody
		}
		if n, ok := v.notify(b); ok {
			c.Notify = append(c.Notify, n)
		}
	}
	for k, b := range p.blocks["moved"] {
		if m, ok := v.moved(b, k); ok {
			c.Moved = append(c.Moved, m)
		}
	}
	if !p.report.hasErrors() {
		v.rules()
	}
	return v
}

// shrink drops what comparing views does not need: ten thousand services are large.
func (v *view) shrink() {
	v.ev.slots, v.ev.instances, v.ev.shared, v.vips = nil, nil, nil, nil
	v.cluster.Pools, v.cluster.VirtualServers, v.cluster.HAProxies = nil, nil, nil
	maps.DeleteFunc(v.at, func(_ string, in *instance) bool { return in.def != vrrpBlock && in.def != trackerBlock })
}

// note remembers where a block was written and returns its origin.
func (v *view) note(in *instance) spec.Origin {
	v.at[in.address] = in
	return in.origin()
}

// fail reports a rule that an attribute of a block breaks.
func (v *view) fail(o spec.Origin, attr, summary, format string, args ...any) {
	v.ev.report.errorf(v.place(o, attr), summary, format, args...)
}

// warn reports what works and is hardly meant.
func (v *view) warn(o spec.Origin, attr, summary, format string, args ...any) {
	v.ev.report.add(Warning, v.place(o, attr), summary, fmt.Sprintf(format, args...))
}

func (v *view) place(o spec.Origin, attr string) hcl2.Range {
	if in, ok := v.at[o.Address]; ok {
		return in.attrRange(attr)
	}
	return hcl2.Range{Filename: o.File}
}

// fail reports a mistake in an attribute of in.
func (in *instance) fail(attr, summary, format string, args ...any) {
	in.ev.report.errorf(in.attrRange(attr), summary, format, args...)
}
