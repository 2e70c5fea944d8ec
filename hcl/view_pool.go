package hcl

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/hareconcile/hareconcile/internal/spec"
)

func (v *view) pool(in *instance) spec.Pool {
	p := spec.Pool{
		Origin: v.note(in), Name: in.name,
		Port: uint16(in.int("port")), OnFail: in.string("on_fail"),
		Any: in.string("require") == "any", InitiallyUp: in.string("initial") == "up",
		SlowStart: in.duration("slow_start"), Drain: in.duration("drain"),
		DegradedPercent: in.percent("degraded_weight"), PanicPercent: in.percent("panic_threshold"),
	}
	servers := in.children("server")
	seen := make(map[string]bool, len(servers))
	p.Servers = make([]spec.Server, 0, len(servers))
	for _, s := range servers {
		if seen[s.name] {
			v.ev.report.errorf(s.at, "The name is taken", "Pool %q has another server %q.", p.Name, s.name)
			continue
		}
		seen[s.name] = true
		p.Servers = append(p.Servers, v.server(s, p.Port))
	}
	for _, c := range in.children("check") {
		if _, taken := v.at[c.address]; taken { // a pool may have several of one type
			c.address = fmt.Sprintf("%s[%d]", c.address, len(p.Checks))
		}
		p.Checks = append(p.Checks, v.check(c))
	}
	return p
}

func (v *view) server(in *instance, port uint16) spec.Server {
	s := spec.Server{
		Origin: v.note(in), Name: in.name, Address: v.serverAddress(in),
		Port: port, Weight: in.int("weight"), Draining: in.boolean("draining"),
		Forward: in.string("forward"),
		Upper:   uint32(in.int("max_connections")), Lower: uint32(in.int("resume_connections")),
	}
	if in.written("port") {
		s.Port = uint16(in.int("port"))
	}
	if in.written("tunnel") {
		s.Tunnel = v.tunnel(in)
		if s.Forward == "" {
			s.Forward = "tunnel"
		} else if s.Forward != "tunnel" {
			in.fail("tunnel", "tunnel does not fit", "forward = %q wraps no packets.", s.Forward)
		}
	}
	switch {
	case s.Lower > 0 && s.Upper == 0:
		in.fail("resume_connections", "resume_connections does not fit", "Without max_connections the server always gets connections.")
	case s.Lower > s.Upper:
		in.fail("resume_connections", "resume_connections is more than max_connections", "The server would get new connections at %d and none from %d on.", s.Lower, s.Upper)
	}
	return s
}

// serverAddress reads an IP address, or the name of a node.
func (v *view) serverAddress(in *instance) netip.Addr {
	s := in.string("address")
	if s == "" && !in.written("address") {
		return netip.Addr{} // reported
	}
	if a, err := netip.ParseAddr(s); err == nil {
		if problem := usable(a); problem != "" {
			in.fail("address", "address cannot be that", "%s", problem)
		}
		if a.Is6() && a.IsLinkLocalUnicast() {
			in.fail("address", "address cannot be that", "%s is a link-local address, which does not say on which link.", a)
		}
		return a
	}
	if n, ok := v.cluster.NodeByName(s); ok {
		return n.Address
	}
	if p, err := netip.ParsePrefix(s); err == nil {
		in.fail("address", "address cannot be that", "%q has a prefix length. Write %q, or host(%q).", s, p.Addr(), s)
		return netip.Addr{}
	}
	in.fail("address", "address cannot be that", "%.80q is neither an IP address nor a node of the cluster.%s Names are not resolved: the same files would mean something else on another day. Write the address.", s, DidYouMean(s, v.nodeNames()))
	return netip.Addr{}
}

// tunnel reads tunnel = { ... }. What is the default anyway stays out.
func (v *view) tunnel(in *instance) spec.Tunnel {
	o := in.object("tunnel")
	if !o.good {
		return spec.Tunnel{}
	}
	typ, checksum := o.string("type"), o.string("checksum")
	t := spec.Tunnel{Type: typ, Port: uint16(o.int("port")), Checksum: checksum}
	switch {
	case typ == "gue" && t.Port == 0:
		in.fail("tunnel", "port is missing", "gue wraps packets into UDP: write the port on which the servers expect it, such as port = 6080.")
	case typ != "gue" && t.Port != 0:
		o.fail("port", "port does not fit", "%s has no ports; gue has.", typ)
	}
	if !slices.Contains(tunnelChecksums[typ], checksum) {
		o.fail("checksum", "checksum does not fit", "With %s it may be %s.", typ, oneOf(tunnelChecksums[typ]))
	}
	if typ == "ipip" {
		t.Type = ""
	}
	if checksum == "none" {
		t.Checksum = ""
	}
	return t
}

// percent reads a percentage, 0 if there is none.
func (in *instance) percent(attr string) int {
	n, _ := percent(in.string(attr))
	return n
}

// plainMark reads a mark without a mask.
func (in *instance) plainMark(attr string) uint32 {
	n, _, _ := parseMark(strings.TrimSpace(in.string(attr))) // checked by the kind
	return n
}
