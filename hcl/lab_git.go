package hcl

import (
	"net/netip"
	"slices"

	"github.com/hareconcile/hareconcile/internal/spec"
)

// gitBlock is the schema of git in lab.hcl.
var gitBlock = &block{
	name: "git", labels: []string{"name"}, single: true, doc: "A host that serves the lab's repository as a real one does, and tells the agents of pushes by webhook. Without one they read it from the disk.",
	attrs: []attribute{
		{name: "segment", kind: stringKind, doc: "The segment it is on, with all of the cluster's nodes; the first if it is absent."},
		{name: "address", kind: addressKind, doc: "Its address there; the highest free one if it is absent."},
		{name: "ssh", kind: boolKind, def: "true", doc: "Whether it serves over ssh, with OpenSSH's sshd."},
		{name: "https", kind: boolKind, def: "true", doc: "Whether it serves over https, with git http-backend. Agents ask over ssh where both are served."},
		{name: "signed", kind: boolKind, def: "false", doc: "Whether agents ask for signatures. `lab push` signs with the lab's key then, and `git push` may use it, too: it is the file `signer` in the lab's folder."},
	},
}

// git reads the git block; nil without one.
func (f *flatFile) git(l *spec.Lab, c *spec.Cluster) *spec.LabGit {
	found := f.root.children("git")
	if len(found) == 0 || len(l.Segments) == 0 {
		return nil // that there is no segment is reported elsewhere
	}
	in := found[0]
	g := &spec.LabGit{Origin: in.origin(), Name: in.name, SSH: in.boolean("ssh"), HTTPS: in.boolean("https"), Signed: in.boolean("signed")}
	if !g.SSH && !g.HTTPS {
		f.report.errorf(in.at, "The git server serves nothing", "Leave ssh or https to be true.")
	}
	g.Segment, g.Address = in.string("segment"), in.addr("address")
	if in.absent("segment") {
		g.Segment = l.Segments[0].Name
	}
	k := slices.IndexFunc(l.Segments, func(s spec.Segment) bool { return s.Name == g.Segment })
	if k >= 0 {
		for _, n := range c.Nodes {
			if !slices.Contains(l.Segments[k].Nodes, n.Name) {
				f.report.errorf(in.at, "A node cannot reach the git server", "Node %q is not on segment %q, and a lab has no routers.", n.Name, g.Segment)
			}
		}
		if in.absent("address") {
			g.Address = highestFree(l.Segments[k].Prefix, l, c)
		}
	}
	f.hostAt(in, spec.LabHost{Origin: g.Origin, Name: g.Name, Segment: g.Segment, Address: g.Address}, l, c)
	return g
}

// highestFree returns the highest address of a network that neither the lab nor the cluster has.
func highestFree(p netip.Prefix, l *spec.Lab, c *spec.Cluster) netip.Addr {
	taken := c.VIPs()
	for _, n := range c.Nodes {
		taken = append(taken, n.Address)
	}
	for _, i := range c.Instances {
		for _, a := range i.Source {
			taken = append(taken, a)
		}
	}
	for _, h := range l.Hosts {
		taken = append(taken, h.Address)
	}
	a := p.Addr().As4()
	for k := p.Bits(); k < 32; k++ {
		a[k/8] |= 0x80 >> (k % 8)
	}
	out := netip.AddrFrom4(a).Prev() // the highest is for broadcasts
	for slices.Contains(taken, out) {
		out = out.Prev()
	}
	return out
}
