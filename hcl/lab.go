package hcl

import (
	"net/netip"
	"slices"

	"github.com/hareconcile/hareconcile/internal/spec"
)

// ParseLab reads lab.hcl, which belongs to c. The lab is nil if any diagnostic is an error.
func ParseLab(name string, b []byte, c *spec.Cluster) (*spec.Lab, Diagnostics) {
	f, ds := openFlat(name, b, labFile)
	if f == nil {
		return nil, ds
	}
	if c == nil {
		c = &spec.Cluster{}
	}
	l := &spec.Lab{RestartDelay: f.only("restart").duration("delay")}
	for _, in := range f.root.children("segment") {
		l.Segments = append(l.Segments, f.segment(in, l, c))
	}
	for _, in := range f.root.children("host") {
		l.Hosts = append(l.Hosts, f.host(in, l, c))
	}
	l.Git = f.git(l, c)
	for _, in := range f.root.children("serve") {
		l.Serves = append(l.Serves, f.serve(in, l, c))
	}
	if len(l.Segments) == 0 {
		f.report.errorf(f.root.at, "There is no segment", `Write segment "NAME" { prefix = "192.0.2.0/24" nodes = [...] }.`)
	}
	for _, n := range c.Nodes {
		if !slices.ContainsFunc(l.Segments, func(s spec.Segment) bool { return slices.Contains(s.Nodes, n.Name) }) {
			f.report.errorf(f.root.at, "A node is on no segment", "Node %q is in the cluster and in no segment's nodes.", n.Name)
		}
	}
	if f.report.hasErrors() {
		return nil, f.report.diagnostics()
	}
	return l, f.report.diagnostics()
}

func (f *flatFile) segment(in *instance, l *spec.Lab, c *spec.Cluster) spec.Segment {
	s := spec.Segment{Origin: in.origin(), Name: in.name, Nodes: in.strings("nodes")}
	prefix, err := netip.ParsePrefix(in.string("prefix"))
	if err != nil {
		return s // reported by the kind
	}
	s.Prefix = prefix.Masked()
	if s.Prefix != prefix || prefix.Bits() > 30 {
		f.report.errorf(in.attrRange("prefix"), "Not a network", "%s is not the address of a network with room for two hosts; that would be %s.", prefix, s.Prefix)
	}
	if slices.ContainsFunc(l.Segments, func(o spec.Segment) bool { return o.Name == s.Name || o.Prefix.Overlaps(s.Prefix) }) {
		f.report.errorf(in.at, "The segment is there twice", "Another segment has the name or a part of %s.", s.Prefix)
	}
	for _, name := range s.Nodes {
		n, ok := c.NodeByName(name)
		if !ok {
			f.report.errorf(in.attrRange("nodes"), "There is no such node", "%q is no node of the cluster.%s", name, DidYouMean(name, nodeNames(c)))
			continue
		}
		elsewhere := slices.ContainsFunc(l.Segments, func(o spec.Segment) bool { return slices.Contains(o.Nodes, name) })
		if !s.Prefix.Contains(n.Address) && !elsewhere {
			f.report.errorf(in.attrRange("nodes"), "The node is not in the network", "Node %q has %s, which is not in %s.", name, n.Address, s.Prefix)
		}
	}
	return s
}

func (f *flatFile) host(in *instance, l *spec.Lab, c *spec.Cluster) spec.LabHost {
	h := spec.LabHost{Origin: in.origin(), Name: in.name, Segment: in.string("segment"), Address: in.addr("address")}
	f.hostAt(in, h, l, c)
	return h
}

// hostAt refuses a host that cannot be where it is to be.
func (f *flatFile) hostAt(in *instance, h spec.LabHost, l *spec.Lab, c *spec.Cluster) {
	k := slices.IndexFunc(l.Segments, func(s spec.Segment) bool { return s.Name == h.Segment })
	switch {
	case k < 0:
		var names []string
		for _, s := range l.Segments {
			names = append(names, s.Name)
		}
		f.report.errorf(in.attrRange("segment"), "There is no such segment", "No segment is named %q.%s", h.Segment, DidYouMean(h.Segment, names))
	case h.Address.IsValid() && !l.Segments[k].Prefix.Contains(h.Address):
		f.report.errorf(in.attrRange("address"), "The address is not in the network", "%s is not in %s.", h.Address, l.Segments[k].Prefix)
	}
	_, node := c.NodeByName(h.Name)
	if node || slices.ContainsFunc(l.Hosts, func(o spec.LabHost) bool { return o.Name == h.Name }) {
		f.report.errorf(in.at, "The name is taken", "Another host or node is named %q.", h.Name)
	}
	_, node = c.NodeByAddress(h.Address)
	if node || slices.Contains(c.VIPs(), h.Address) || slices.ContainsFunc(l.Hosts, func(o spec.LabHost) bool { return o.Address == h.Address }) {
		f.report.errorf(in.attrRange("address"), "The address is taken", "%s belongs to another host or to the cluster.", h.Address)
	}
}

func (f *flatFile) serve(in *instance, l *spec.Lab, c *spec.Cluster) spec.Serve {
	s := spec.Serve{Origin: in.origin(), Host: in.name, Body: in.string("body"), Port: uint16(in.int("port"))}
	names := nodeNames(c)
	for _, h := range l.Hosts {
		names = append(names, h.Name)
	}
	if !slices.Contains(names, s.Host) {
		f.report.errorf(in.at, "There is no such host", "%q is no node and no host.%s", s.Host, DidYouMean(s.Host, names))
	}
	if slices.ContainsFunc(l.Serves, func(o spec.Serve) bool { return o.Host == s.Host && o.Port == s.Port }) {
		f.report.errorf(in.at, "The port is taken", "Another serve block has port %d of %s.", s.Port, s.Host)
	}
	return s
}

func nodeNames(c *spec.Cluster) []string {
	var out []string
	for _, n := range c.Nodes {
		out = append(out, n.Name)
	}
	return out
}
