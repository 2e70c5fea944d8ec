package reconcile

import (
	"cmp"
	"maps"
	"slices"

	"github.com/hareconcile/hareconcile/internal/spec"
	"github.com/hareconcile/hareconcile/reconcile/resource"
)

// virtualServer adds the table of a director, or what a real server needs, or nothing.
func (b *builder) virtualServer(vs spec.VirtualServer) {
	pool, ok := b.pools[vs.Pool]
	if !ok {
		return // package hcl refuses a pool that does not exist
	}
	instance := b.instances[vs.On]
	if b.directs(vs) {
		b.serving = true
		b.director(vs, instance, pool)
		return
	}
	b.realServer(vs, instance, pool)
}

// director adds the services of vs and those of their servers that should be in the table.
func (b *builder) director(vs spec.VirtualServer, i spec.VRRPInstance, pool spec.Pool) {
	role := b.role(i)
	if vs.Program == "master" && role != "" && role != RoleMaster {
		return
	}
	b.sessions(pool)
	b.sessions(b.pools[vs.Sorry])
	members := b.members(vs, pool)
	for _, s := range vs.Services {
		service := service(vs, s)
		id := b.add(service, vs.Origin)
		b.covers(id)
		b.t.Adopt[id] = vs.Adopt
		if vs.Program == "master" && role == "" {
			b.t.Runtime[id] |= RuntimeRole
		}
		if pool.Drain > 0 {
			b.t.Grace[id] = pool.Drain
		}
		for _, m := range members {
			b.server(vs, service.ServiceKey, m)
		}
	}
}

// sessions adds the BFD sessions that a pool's checks ask vrrpd for.
func (b *builder) sessions(p spec.Pool) {
	for _, c := range p.Checks {
		if c.Type != "bfd" {
			continue
		}
		for _, s := range p.Servers {
			b.add(resource.VRRPTracker{
				Type: resource.TrackBFD, Target: cmp.Or(c.Address, s.Address).String(), Device: c.Device, Source: c.Source,
				Interval: resource.Duration(c.Interval), Fall: c.Fall,
			}, c.Origin)
		}
	}
}

// role returns this node's state in i, or "" where it is not known.
func (b *builder) role(i spec.VRRPInstance) string {
	if b.facts == nil {
		return ""
	}
	return b.facts.Role(i)
}

func service(vs spec.VirtualServer, s spec.Service) resource.IPVSService {
	return resource.IPVSService{
		ServiceKey: Key(s), Scheduler: vs.Scheduler,
		Flags: resource.NewList(vs.Flags...), OnePacket: vs.OnePacket,
		Persistence:     resource.Duration(vs.Persistence.Timeout),
		PersistenceBits: vs.Persistence.Bits, PersistenceEngine: vs.Persistence.Engine,
	}
}

// server adds one member of a pool to one service, or says how it leaves.
func (b *builder) server(vs spec.VirtualServer, key resource.ServiceKey, m member) {
	v := b.destination(vs, key, m.Server)
	v.Weight = m.weight
	id := v.ID()
	b.covers(id)
	if v.Forward == resource.ForwardNAT { // those that leave and come back need it, too
		b.add(forwarding[v.Address.Addr().Is6()], vs.Origin)
	}
	switch {
	case m.draining:
		b.t.Grace[id] = m.grace
		return
	case m.absent:
		b.t.AtOnce[id] = true
		return
	}
	b.addAs(id, v, m.Origin)
	if vs.Adopt {
		b.t.Adopt[id] = true
	}
	if m.runtime != 0 && b.t.Origins[id] == m.Origin { // and not a server of another pool as well
		b.t.Runtime[id] = m.runtime
	}
}

// forwarding lets answers through that a director with NAT sends on, by whether they are of IPv6.
var forwarding = map[bool]resource.Sysctl{
	false: {Key: "net/ipv4/ip_forward", Value: "1"},
	true:  {Key: "net/ipv6/conf/all/forwarding", Value: "1"},
}

// destination returns the entry of a server, without its weight.
func (b *builder) destination(vs spec.VirtualServer, key resource.ServiceKey, s spec.Server) resource.IPVSServer {
	v := resource.IPVSServer{
		Service: key, Address: s.AddrPort(key.Address.Port()),
		Forward: resource.Forward(cmp.Or(s.Forward, vs.Forward)), Upper: s.Upper, Lower: s.Lower,
	}
	if s.Address.IsLoopback() || s.Address == b.node.Address {
		v.Forward = resource.ForwardLocal
	}
	if v.Forward == resource.ForwardTunnel {
		t := tunnel(vs, s)
		if t.Type != "ipip" {
			v.Tunnel, v.TunnelPort = t.Type, t.Port
		}
		if t.Checksum != "none" {
			v.TunnelChecksum = t.Checksum
		}
	}
	return v
}

// tunnel returns how packets to s are wrapped.
func tunnel(vs spec.VirtualServer, s spec.Server) spec.Tunnel {
	return cmp.Or(s.Tunnel, vs.Tunnel)
}

// ipvs adds what the table of a director has beside services.
func (b *builder) ipvs() {
	v := b.cluster.IPVS
	if v == nil || !b.serving {
		return
	}
	for _, name := range slices.Sorted(maps.Keys(v.Sysctls)) {
		b.add(resource.Sysctl{Key: "net/ipv4/vs/" + name, Value: v.Sysctls[name]}, v.Origin)
	}
	timeouts := resource.IPVSTimeouts{TCP: resource.Duration(v.TCP), TCPFin: resource.Duration(v.TCPFin), UDP: resource.Duration(v.UDP)}
	if timeouts != (resource.IPVSTimeouts{}) {
		b.add(timeouts, v.Origin)
	}
	for _, s := range v.Syncs {
		b.sync(s)
	}
}

// The roles of a synchronisation daemon (ipvsadm --start-daemon).
const (
	syncMaster = "master"
	syncBackup = "backup"
)

// sync adds the daemon of the node's role in the instance, or leaves the one that runs
// where the role is not known.
func (b *builder) sync(s spec.Sync) {
	i := b.instances[s.On]
	if _, member := i.Priority[b.node.Name]; !member {
		return
	}
	v := resource.IPVSSync{Interface: s.Interface, SyncID: s.ID, MaxLen: s.MaxLen, Group: s.Group, Port: s.Port, TTL: s.TTL}
	role := b.role(i)
	for _, daemon := range []string{syncMaster, syncBackup} {
		v.Role = daemon
		if role == "" {
			b.t.Runtime[b.add(v, s.Origin)] |= RuntimeRole
		} else if (role == RoleMaster) == (daemon == syncMaster) {
			b.add(v, s.Origin)
		}
	}
}
