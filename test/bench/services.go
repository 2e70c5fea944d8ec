package main

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"strings"

	"github.com/hareconcile/hareconcile/internal/spec"
	"github.com/hareconcile/hareconcile/reconcile"
	"github.com/hareconcile/hareconcile/reconcile/resource"
	"github.com/hareconcile/hareconcile/test/bench/rawipvs"
)

// A catalogue is so many virtual services with serversEach servers, which everybody who
// fills a table gets in his own words. The last service has servers of its own, one of
// which may have another weight than at first.
type catalogue struct {
	services int
	weight   int // of the last service's first server
}

const (
	serversEach = 5
	servicePort = 80
	firstWeight = 10
	scheduler   = "wlc"
)

// nth is the address so many behind the first of 10.SECOND.0.0/16.
func nth(second byte, n int) netip.Addr {
	first := netip.AddrFrom4([4]byte{10, second, 0, 1}).As4()
	return netip.AddrFrom4([4]byte(binary.BigEndian.AppendUint32(nil, binary.BigEndian.Uint32(first[:])+uint32(n))))
}

func (c catalogue) vip(n int) netip.AddrPort { return netip.AddrPortFrom(nth(96, n), servicePort) }

// last is the service whose weight changes.
func (c catalogue) last() netip.AddrPort { return c.vip(c.services - 1) }

// servers are those of the nth service.
func (c catalogue) servers(n int) []rawipvs.Server {
	own := n == c.services-1
	out := make([]rawipvs.Server, serversEach)
	for i := range out {
		out[i] = rawipvs.Server{Address: netip.AddrPortFrom(nth(97, i), servicePort), Weight: firstWeight}
		if own {
			out[i].Address = netip.AddrPortFrom(nth(98, i), servicePort)
		}
	}
	if own {
		out[0].Weight = uint32(c.weight)
	}
	return out
}

// raw is the catalogue for the bench's own loop.
func (c catalogue) raw() []rawipvs.Service {
	out := make([]rawipvs.Service, c.services)
	for n := range out {
		out[n] = rawipvs.Service{Address: c.vip(n), Scheduler: scheduler, Servers: c.servers(n)}
	}
	return out
}

// ipvsadm is the catalogue for ipvsadm -R.
func (c catalogue) ipvsadm() string {
	var b strings.Builder
	for n := range c.services {
		fmt.Fprintf(&b, "-A -t %v -s %s\n", c.vip(n), scheduler)
		for _, s := range c.servers(n) {
			fmt.Fprintf(&b, "-a -t %v -r %v -g -w %d\n", c.vip(n), s.Address, s.Weight)
		}
	}
	return b.String()
}

// keepalived is the catalogue for keepalived, without checks.
func (c catalogue) keepalived() string {
	var b strings.Builder
	b.WriteString("global_defs {\n\trouter_id bench\n}\n")
	for n := range c.services {
		vip := c.vip(n)
		fmt.Fprintf(&b, "virtual_server %v %d {\n\tlb_algo %s\n\tlb_kind DR\n\tprotocol TCP\n", vip.Addr(), vip.Port(), scheduler)
		for _, s := range c.servers(n) {
			fmt.Fprintf(&b, "\treal_server %v %d {\n\t\tweight %d\n\t}\n", s.Address.Addr(), s.Address.Port(), s.Weight)
		}
		b.WriteString("}\n")
	}
	return b.String()
}

// director is the one node of the clusters that the bench makes.
const director = "director"

// cluster is the catalogue as package hcl would hand it on: the services share a pool.
func (c catalogue) cluster() *spec.Cluster {
	pool := func(name string, servers []rawipvs.Server) spec.Pool {
		p := spec.Pool{Name: name, Port: servicePort, OnFail: "remove"}
		for i, s := range servers {
			p.Servers = append(p.Servers, spec.Server{
				Name: fmt.Sprintf("s%d", i), Address: s.Address.Addr(), Port: s.Address.Port(), Weight: int(s.Weight),
			})
		}
		return p
	}
	out := &spec.Cluster{
		Name: "bench", Node: director, Nodes: []spec.Node{{Name: director, Address: nth(99, 0)}},
		Instances: []spec.VRRPInstance{{Name: "vip", Interface: "lo", VRID: 1, Version: 3, Priority: map[string]uint8{director: 100}}},
		Pools:     []spec.Pool{pool("shared", c.servers(0)), pool("own", c.servers(c.services-1))},
	}
	for n := range c.services {
		vs := spec.VirtualServer{
			Name: fmt.Sprintf("web[%q]", fmt.Sprint(n)), On: "vip", Scheduler: scheduler, Forward: string(resource.ForwardDR), Pool: "shared",
			Services: []spec.Service{{Protocol: "tcp", Address: c.vip(n).Addr(), Port: servicePort}},
		}
		if n == c.services-1 {
			vs.Pool = "own"
		}
		out.VirtualServers = append(out.VirtualServers, vs)
	}
	return out
}

// target is what the core makes of a cluster on its director, less what is not of IPVS.
func target(c *spec.Cluster) (reconcile.Target, error) {
	t, err := reconcile.Desired(c, director, &reconcile.Facts{})
	for id := range t.Set {
		if id.Kind != resource.KindIPVSService && id.Kind != resource.KindIPVSServer {
			delete(t.Set, id)
		}
	}
	return t, err
}
