package hcl

import (
	"cmp"
	"net/netip"
	"slices"

	"github.com/hareconcile/hareconcile/internal/spec"
)

// servers checks what the way to the servers of a pool asks of them.
func (t *table) servers(s *spec.VirtualServer, d *directors, p *spec.Pool, attr string) {
	tunnelled := false
	for k := range p.Servers {
		r := &p.Servers[k]
		forward := cmp.Or(r.Forward, s.Forward)
		tunnelled = tunnelled || forward == "tunnel"
		if name, ok := d.nodes[r.Address]; ok {
			t.v.fail(s.Origin, attr, "The server is a director", "Server %q is node %q, a member of %s. A director cannot be a real server of its own service in this version; %s stands for whichever director has the address.", r.Name, name, d.Origin.Address, loopback(r.Address.Is6()))
		}
		t.arrives(s, r, forward, attr)
		for _, service := range s.Services {
			if !t.server(s, service, d, r, forward, attr) {
				break
			}
		}
	}
	if attr == "pool" && !tunnelled && t.v.at[s.Origin.Address].body.Attributes["tunnel"] != nil {
		t.v.fail(s.Origin, "tunnel", "tunnel does not fit", "forward = %q wraps no packets. Write forward = \"tunnel\".", s.Forward)
	}
}

func loopback(six bool) netip.Addr {
	if six {
		return netip.IPv6Loopback()
	}
	return netip.AddrFrom4([4]byte{127, 0, 0, 1})
}

// server checks one server of one service, and reports whether it may be that.
func (t *table) server(s *spec.VirtualServer, service spec.Service, d *directors, r *spec.Server, forward, attr string) bool {
	fail := func(summary, format string, args ...any) bool {
		t.v.fail(s.Origin, attr, summary, format, args...)
		return false
	}
	six, local := isIPv6(service), r.Address.IsLoopback()
	switch {
	case !r.Address.IsValid():
		return false // reported
	case r.Address == service.Address:
		return fail("The server is the service", "Server %q has the virtual address %s itself.", r.Name, r.Address)
	case local && r.Address.Is6() != six:
		return fail("The server is of the other family", "%s has clients of %s, for which the director itself is %s.", serviceText(service), familyText(six), loopback(six))
	case r.Address.Is6() != six && forward != "tunnel":
		return fail("The server is of the other family", "%s has clients of %s, and server %q has %s. Only a tunnel takes packets of one family to a host of the other: forward = \"tunnel\".", serviceText(service), familyText(six), r.Name, r.Address)
	case r.Address.Is6() != six && d.synced:
		return fail("The server is of the other family", "The kernel allows that on no director with a sync (ip_vs_ctl.c, ip_vs_genl_set_cmd), and server %q has %s.", r.Name, r.Address)
	case r.Port == 0 || r.Port == service.Port:
		return true
	case service.Mark != 0 && forward == "nat" && !local && s.Persistence.Timeout == 0:
		return true // with persistence the kernel maps the service's own port only (ip_vs_core.c, ip_vs_sched_persist)
	case service.Mark != 0:
		return fail("The ports of a mark cannot be mapped", "Packets of mark %d may have any port, which server %s gets unchanged. Leave port out, and say in the checks which port they ask.", service.Mark, r.Origin.Address)
	case service.Port == 0:
		return fail("All ports cannot be mapped", "%s has every port, which server %s gets unchanged. Leave port out, and say in the checks which port they ask.", s.Origin.Address, r.Origin.Address)
	case local:
		return fail("A local server cannot have another port", "%s has port %d and its server %s has port %d. What the director keeps for itself is passed on unchanged, so they have to be equal.", s.Origin.Address, service.Port, r.Origin.Address, r.Port)
	case forward == "nat":
		return true
	case forward == "tunnel":
		return fail("A tunnel cannot map ports", "%s has port %d and its server %s has port %d. The packet is wrapped unchanged, so they have to be equal.%s", s.Origin.Address, service.Port, r.Origin.Address, r.Port, severalPorts(s))
	}
	return fail("Direct routing cannot map ports", "%s has port %d and its server %s has port %d. The packet is passed on unchanged, so they have to be equal.%s", s.Origin.Address, service.Port, r.Origin.Address, r.Port, severalPorts(s))
}

// severalPorts says what to do about one port of a pool for several of a service.
func severalPorts(s *spec.VirtualServer) string {
	if slices.ContainsFunc(s.Services, func(o spec.Service) bool { return o.Port != s.Services[0].Port }) {
		return " Leave port out of the pool: each server then has the port of the service."
	}
	return ""
}

func familyText(six bool) string {
	if six {
		return "IPv6"
	}
	return "IPv4"
}

// synced returns the nodes that take part in a connection sync.
func (v *view) synced() map[string]bool {
	out := map[string]bool{}
	if v.cluster.IPVS == nil {
		return out
	}
	for _, s := range v.cluster.IPVS.Syncs {
		i, _ := v.cluster.Instance(s.On)
		for n := range i.Priority {
			out[n] = true
		}
	}
	return out
}

// ipvsRules refuses two syncs on one node: the kernel has one daemon of a role.
func (v *view) ipvsRules() {
	if v.cluster.IPVS == nil {
		return
	}
	holder := map[string]string{}
	for _, s := range v.cluster.IPVS.Syncs {
		i, _ := v.cluster.Instance(s.On)
		for _, n := range i.Members() {
			if other, ok := holder[n]; ok {
				v.fail(s.Origin, "on", "The node has a sync already", "%s is a member of sync %q, too, and the kernel has one daemon of a role.", n, other)
				break
			}
			holder[n] = s.Name
		}
	}
}
