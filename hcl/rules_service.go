package hcl

import (
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/hareconcile/hareconcile/internal/spec"
)

// A table holds what the rules of virtual servers look up, so that ten thousand of them
// take as long as ten thousand look-ups.
type table struct {
	v      *view
	pools  map[string]*spec.Pool
	routes map[string]*directors // by instance
	taken  map[spec.Service][]*spec.VirtualServer
	nodes  map[netip.Addr]bool
	ways   map[arrival]way
}

// directors are the members of an instance.
type directors struct {
	spec.VRRPInstance
	addresses map[netip.Addr]bool
	nodes     map[netip.Addr]string // members by the addresses that they have
	synced    bool                  // one of them syncs connections
}

func (v *view) newTable() *table {
	t := &table{v: v, pools: map[string]*spec.Pool{}, routes: map[string]*directors{}, taken: map[spec.Service][]*spec.VirtualServer{}, nodes: map[netip.Addr]bool{}, ways: map[arrival]way{}}
	for _, n := range v.cluster.Nodes {
		t.nodes[n.Address] = true
	}
	for k := range v.cluster.Pools {
		t.pools[v.cluster.Pools[k].Name] = &v.cluster.Pools[k]
	}
	synced := v.synced()
	for _, i := range v.cluster.Instances {
		d := &directors{VRRPInstance: i, addresses: map[netip.Addr]bool{}, nodes: map[netip.Addr]string{}}
		for _, a := range i.All() {
			d.addresses[a.Prefix.Addr()] = true
		}
		for _, n := range v.cluster.Nodes {
			if _, member := i.Priority[n.Name]; member {
				d.nodes[n.Address], d.nodes[i.SourceOf(n)] = n.Name, n.Name
				d.synced = d.synced || synced[n.Name]
			}
		}
		t.routes[i.Name] = d
	}
	return t
}

// rules checks one virtual server against the instance and the pools that it names.
func (t *table) rules(s *spec.VirtualServer) {
	d, pool := t.routes[s.On], t.pools[s.Pool]
	if d == nil || pool == nil || t.v.ev.report.full {
		return // reported
	}
	if !t.family(s, pool) {
		return
	}
	t.unique(s, d)
	t.reachable(s, d)
	t.v.kindRules(s)
	t.v.quorumRules(s, pool)
	t.servers(s, d, pool, "pool")
	sorry := t.pools[s.Sorry]
	if sorry == nil {
		return
	}
	if s.Sorry == s.Pool {
		t.v.fail(s.Origin, "sorry", "The sorry pool is the pool", "The servers that answer when no other can have to be others.")
		return
	}
	t.servers(s, d, sorry, "sorry")
	real := make(map[netip.AddrPort]string, len(pool.Servers))
	for _, r := range pool.Servers {
		real[netip.AddrPortFrom(r.Address, r.Port)] = r.Name
	}
	for _, r := range sorry.Servers {
		if name, ok := real[netip.AddrPortFrom(r.Address, r.Port)]; ok {
			t.v.fail(s.Origin, "sorry", "The sorry server is a real server", "%s is in %s as %q and in %s as %q.", r.Address, pool.Origin.Address, name, sorry.Origin.Address, r.Name)
		}
	}
}

// family gives a mark without one the family of its servers.
func (t *table) family(s *spec.VirtualServer, pool *spec.Pool) bool {
	if len(s.Services) != 1 || s.Services[0].Mark == 0 || t.v.at[s.Origin.Address].body.Attributes["family"] != nil {
		return true
	}
	six := slices.ContainsFunc(pool.Servers, func(r spec.Server) bool { return r.Address.Is6() })
	four := slices.ContainsFunc(pool.Servers, func(r spec.Server) bool { return r.Address.Is4() })
	if six && four {
		t.v.fail(s.Origin, "mark", "family is missing", "A mark has no family, and %s has servers of both. Write family = \"ipv4\" or \"ipv6\", that of the clients.", pool.Origin.Address)
		return false
	}
	s.Services[0].IPv6 = six
	return true
}

// unique refuses a service that is there twice on a node.
func (t *table) unique(s *spec.VirtualServer, d *directors) {
	for _, service := range s.Services {
		for _, other := range t.taken[service] {
			if service.Mark == 0 || common(d.VRRPInstance, t.routes[other.On].VRRPInstance) {
				t.takenBy(s, other, service)
				return
			}
		}
		t.taken[service] = append(t.taken[service], s)
	}
}

func (t *table) takenBy(s, other *spec.VirtualServer, service spec.Service) {
	if s != other {
		t.v.fail(s.Origin, t.v.keyAttr(s), "The service is taken", "%s is %s, too.", other.Origin.Address, serviceText(service))
		return
	}
	for _, attr := range []string{"ports", "addresses", "protocols"} {
		if in := t.v.at[s.Origin.Address]; in.body.Attributes[attr] != nil {
			t.v.fail(s.Origin, attr, "The service is there twice", "%s is written more than once.", serviceText(service))
			return
		}
	}
}

// serviceText writes a service as plans do.
func serviceText(s spec.Service) string {
	if s.Mark != 0 {
		family := "ipv4"
		if s.IPv6 {
			family = "ipv6"
		}
		return "mark " + strconv.FormatUint(uint64(s.Mark), 10) + " " + family
	}
	return s.Protocol + " " + netip.AddrPortFrom(s.Address, s.Port).String()
}

// keyAttr returns the attribute that says what clients ask for.
func (v *view) keyAttr(s *spec.VirtualServer) string {
	for _, attr := range []string{"addresses", "mark"} {
		if v.at[s.Origin.Address].body.Attributes[attr] != nil {
			return attr
		}
	}
	return "address"
}

// reachable checks that packets for the services arrive at IPVS.
func (t *table) reachable(s *spec.VirtualServer, d *directors) {
	for _, service := range s.Services {
		if service.Mark != 0 {
			return
		}
		if service.Address.IsValid() && !d.addresses[service.Address] {
			t.v.fail(s.Origin, t.v.keyAttr(s), "The address is not the instance's", "%s does not have %s, so no packet for it would arrive at a director.", d.Origin.Address, service.Address)
			break
		}
	}
	if d.NoAccept {
		t.v.fail(s.Origin, "on", "The instance accepts no packets", "%s has accept = false, which drops packets to its addresses before IPVS sees them.", d.Origin.Address)
	}
}

// kindRules checks what the scheduler, the transport and persistence ask of each other.
func (v *view) kindRules(s *spec.VirtualServer) {
	known := schedulerFlags[s.Scheduler]
	if known == nil {
		known = anyFlags
	}
	for k, f := range s.Flags {
		if !slices.Contains(known, f) {
			v.fail(s.Origin, "scheduler_flags", "scheduler_flags cannot be that", "%.40q is no flag of %s, which has %s.%s", f, s.Scheduler, strings.Join(known, ", "), DidYouMean(f, known))
			break
		}
		if k > 0 && s.Flags[k-1] == f {
			v.fail(s.Origin, "scheduler_flags", "scheduler_flags cannot be that", "%s is there twice.", f)
		}
	}
	for _, service := range s.Services {
		udp := service.Mark != 0 || service.Protocol == "udp"
		switch {
		case s.OnePacket && !udp:
			v.fail(s.Origin, "one_packet", "one_packet does not fit", "%s has packets that belong together; one_packet is for udp.", serviceText(service))
		case service.Mark == 0 && service.Port == 0 && s.Persistence.Timeout == 0:
			v.fail(s.Origin, "port", "persistence is missing", "Port 0 is all ports, of which a client has to get one server: write persistence { timeout = \"6m\" }.")
		case s.Persistence.Engine != "" && !udp:
			v.fail(v.persistenceOrigin(s), "engine", "engine does not fit", "The kernel looks for Call-IDs in udp only (ip_vs_pe_sip.c), and %s is not.", serviceText(service))
		case s.Persistence.Bits > 32 && !isIPv6(service):
			v.fail(v.persistenceOrigin(s), "bits", "bits cannot be that", "%s is of IPv4, whose addresses have 32 bits.", serviceText(service))
		default:
			continue
		}
		return
	}
}

func isIPv6(s spec.Service) bool { return s.Mark != 0 && s.IPv6 || s.Address.Is6() }

// persistenceOrigin returns the origin of the persistence block.
func (v *view) persistenceOrigin(s *spec.VirtualServer) spec.Origin {
	o := s.Origin
	o.Address += ".persistence"
	return o
}

// quorumRules refuses a quorum that the pool never has.
func (v *view) quorumRules(s *spec.VirtualServer, pool *spec.Pool) {
	if s.Hysteresis >= s.Quorum && s.Hysteresis > 0 {
		v.fail(s.Origin, "hysteresis", "hysteresis is not below the quorum", "The quorum, %d, would be lost below %d: never.", s.Quorum, s.Quorum-s.Hysteresis)
		return
	}
	sum := 0
	for _, r := range pool.Servers {
		sum += r.Weight
	}
	in := v.at[s.Origin.Address]
	if s.Quorum+s.Hysteresis <= sum || !in.written("quorum") && !in.written("hysteresis") ||
		slices.ContainsFunc(pool.Checks, func(c spec.Check) bool { return c.Dynamic }) {
		return
	}
	attr := "quorum"
	if s.Quorum <= sum {
		attr = "hysteresis"
	}
	v.fail(s.Origin, attr, "The pool can never have the quorum", "The weights of %s are %d in all, and it is gained at %d.", pool.Origin.Address, sum, s.Quorum+s.Hysteresis)
}
