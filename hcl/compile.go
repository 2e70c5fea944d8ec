// Package hcl turns the files of the language into spec values, or into diagnostics that
// say file, line and column.
package hcl

import (
	"slices"

	hcl2 "github.com/hashicorp/hcl/v2"

	"github.com/hareconcile/hareconcile/internal/build"
	"github.com/hareconcile/hareconcile/internal/spec"
)

// A Tree is the files of a cluster's folder: slash paths relative to it, and their bytes.
type Tree map[string][]byte

// Options say for whom a cluster is compiled, and with what.
type Options struct {
	// Node is the node whose view is wanted. Empty means the first node's, after every node's was checked.
	Node string
	// Vars set variables, over the files of values.
	Vars map[string]string
	// PluginSchemas are the plugins' schemas by plugin, beside those in the tree.
	PluginSchemas map[string][]byte
	// Progress is told each file before it is parsed.
	Progress func(file string)

	// slices divides the bounds of evaluation: tests measure what one of many costs.
	slices int
}

func (o Options) share(bound int) int { return bound / max(1, o.slices) }

// Compile returns what t says, for one node. The cluster is nil if any diagnostic is an error.
func Compile(t Tree, o Options) (*spec.Cluster, Diagnostics) {
	p := newProgram(t, o)
	if !p.load() {
		return nil, p.report.diagnostics()
	}
	base := p.base()
	if base == nil || p.report.hasErrors() {
		return nil, p.report.diagnostics()
	}
	if b, locked := t[LockFile]; locked {
		lock, ds := ParseLock(b)
		if ds.HasErrors() {
			return nil, ds
		}
		base.Lock = &lock
	}
	var wanted *spec.Cluster
	var views []*view
	for _, n := range p.viewed(base) {
		v := p.view(base, n)
		if p.report.hasErrors() {
			return nil, p.report.diagnostics()
		}
		if n.Name == o.Node || wanted == nil {
			c := *v.cluster
			wanted = &c
		}
		v.shrink()
		views = append(views, v)
	}
	agree(views)
	sharedGates(views)
	sameTrackers(views)
	if p.report.hasErrors() {
		return nil, p.report.diagnostics()
	}
	return wanted, p.report.diagnostics()
}

// base evaluates what is the same on every node: variables, nodes, rollout.
func (p *program) base() *spec.Cluster {
	ev := newEvaluator(p, nil)
	c := &spec.Cluster{}
	for _, b := range p.blocks["hareconcile"] {
		in := ev.instance(hareconcileBlock, b, "hareconcile", nil)
		c.RequiredVersion = in.string("required_version")
		p.requireVersion(c.RequiredVersion, in.attrRange("required_version"))
	}
	ev.variables()
	for _, b := range p.blocks["cluster"] {
		if len(b.Labels) != 1 {
			return nil
		}
		in := ev.instance(clusterBlock, b, "cluster."+b.Labels[0], nil)
		c.Name = in.name
		p.nodes(in, c)
		c.Rollout = p.rollout(in)
		if len(c.Nodes) > 0 && p.options.Node != "" {
			p.known(in, c)
		}
	}
	return c
}

func (p *program) nodes(in *instance, c *spec.Cluster) {
	nodes := in.children("node")
	if len(nodes) == 0 {
		p.report.errorf(in.at, "The cluster has no node", `Write node "NAME" { address = "192.0.2.1" } for every host.`)
	}
	if len(nodes) > maxNodes {
		p.report.errorf(in.at, "The cluster has too many nodes", "It has %d; at most %d are supported.", len(nodes), maxNodes)
		return
	}
	for _, n := range nodes {
		node := spec.Node{Origin: n.origin(), Name: n.name, Address: n.addr("address"), Key: n.string("key")}
		if other, dup := c.NodeByName(node.Name); dup {
			p.report.errorf(n.at, "The name is taken", "Another node %q is at %s:%d.", node.Name, other.Origin.File, other.Origin.Line)
			continue
		}
		if node.Address.Is6() && node.Address.IsLinkLocalUnicast() {
			p.report.errorf(n.attrRange("address"), "address cannot be that", "%s is a link-local address, which does not say on which link.", node.Address)
		}
		if other, dup := c.NodeByAddress(node.Address); dup && node.Address.IsValid() {
			p.report.errorf(n.attrRange("address"), "The address is taken", "Node %q has %s, too.", other.Name, node.Address)
		}
		c.Nodes = append(c.Nodes, node)
	}
	p.keys(nodes, c)
}

// known reports a wanted node that is not in the cluster.
func (p *program) known(in *instance, c *spec.Cluster) {
	if _, ok := c.NodeByName(p.options.Node); ok {
		return
	}
	var names []string
	for _, n := range c.Nodes {
		names = append(names, n.Name)
	}
	p.report.errorf(in.at, "There is no such node", "No node is named %q.%s", p.options.Node, DidYouMean(p.options.Node, names))
}

// viewed returns the nodes whose views have to be evaluated: one, unless something depends on node.*.
func (p *program) viewed(base *spec.Cluster) []spec.Node {
	if p.perNode {
		return base.Nodes
	}
	k := max(0, slices.IndexFunc(base.Nodes, func(n spec.Node) bool { return n.Name == p.options.Node }))
	return base.Nodes[k : k+1]
}

func (p *program) requireVersion(constraint string, at hcl2.Range) {
	if constraint == "" {
		return
	}
	ok, err := satisfies(build.Version, constraint)
	switch {
	case err != nil:
		p.report.errorf(at, "Not a version constraint", "%v. Write for example \">= 0.1, < 1.0\".", err)
	case !ok:
		p.report.errorf(at, "The version does not fit", "This is hareconcile %s, and the file asks for %s.", build.Version, constraint)
	}
}

func (in *instance) origin() spec.Origin {
	return spec.Origin{Address: in.address, File: in.at.Filename, Line: in.at.Start.Line}
}
