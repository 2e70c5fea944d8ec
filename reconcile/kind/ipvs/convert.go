package ipvs

import (
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/cloudflare/ipvs"
	"github.com/cloudflare/ipvs/netmask"

	"github.com/hareconcile/hareconcile/reconcile/resource"
)

// The names of the kernel's numbers. There are few of each, so that looking through them
// costs less than a map would: every server that is made passes through four.
var (
	protocols = names[string, ipvs.Protocol]{{"tcp", ipvs.TCP}, {"udp", ipvs.UDP}, {"sctp", ipvs.SCTP}}
	forwards  = names[resource.Forward, ipvs.ForwardType]{
		{resource.ForwardDR, ipvs.DirectRoute},
		{resource.ForwardNAT, ipvs.Masquerade},
		{resource.ForwardTunnel, ipvs.Tunnel},
		{resource.ForwardLocal, ipvs.Local},
	}
	tunnels   = names[string, ipvs.TunnelType]{{"", ipvs.IPIP}, {"gue", ipvs.GUE}, {"gre", ipvs.GRE}}
	checksums = names[string, ipvs.TunnelFlags]{
		{"", ipvs.TunnelEncapNoChecksum}, {"csum", ipvs.TunnelEncapChecksum}, {"remcsum", ipvs.TunnelEncapRemoteChecksum},
	}
)

// names has a name for each of a few numbers.
type names[N ~string, V comparable] []struct {
	name  N
	value V
}

// value returns the number of that name.
func (l names[N, V]) value(name N) (v V, ok bool) {
	for _, e := range l {
		if e.name == name {
			return e.value, true
		}
	}
	return v, false
}

// of returns the name of v; what has none gets one that no cluster file can have.
func (l names[N, V]) of(v V) N {
	for _, e := range l {
		if e.value == v {
			return e.name
		}
	}
	return N(fmt.Sprintf("unknown (%v)", v))
}

// kernelKey returns a service with its key alone.
func kernelKey(k resource.ServiceKey) serviceEntry {
	s := ipvs.Service{Family: ipvs.INET, FWMark: k.Mark}
	if k.IPv6() {
		s.Family = ipvs.INET6
	}
	if k.Mark == 0 {
		s.Protocol, _ = protocols.value(k.Protocol)
		s.Address, s.Port = k.Address.Addr(), k.Address.Port()
	}
	return serviceEntry{Service: s}
}

// serviceKey returns the key of a service, unless it is of a sort that no cluster file can
// ask for.
func serviceKey(s ipvs.Service) (resource.ServiceKey, bool) {
	if s.Family != ipvs.INET && s.Family != ipvs.INET6 {
		return resource.ServiceKey{}, false
	}
	if s.FWMark != 0 {
		family := resource.IPv4
		if s.Family == ipvs.INET6 {
			family = resource.IPv6
		}
		return resource.ServiceKey{Mark: s.FWMark, Family: family}, true
	}
	for _, p := range protocols {
		if p.value == s.Protocol {
			return resource.ServiceKey{Protocol: p.name, Address: netip.AddrPortFrom(s.Address, s.Port)}, true
		}
	}
	return resource.ServiceKey{}, false
}

// schedulerFlags are the names of a scheduler's flags in the order of their bits
// (ip_vs.h, IP_VS_SVC_F_SCHED1 and on).
func schedulerFlags(scheduler string) [3]string {
	switch scheduler {
	case "sh", "mh":
		return [3]string{scheduler + "-fallback", scheduler + "-port", "flag-3"}
	}
	return [3]string{"flag-1", "flag-2", "flag-3"}
}

// kernelService returns what makes the kernel's service s.
func kernelService(s resource.IPVSService) (serviceEntry, error) {
	e := kernelKey(s.ServiceKey)
	if e.FWMark == 0 && (e.Protocol == 0 || !e.Address.IsValid()) {
		return e, fmt.Errorf("%s is not a key of IPVS", s.ServiceKey)
	}
	e.Scheduler, e.engine = s.Scheduler, s.PersistenceEngine
	names := schedulerFlags(s.Scheduler)
	for _, name := range s.Flags.Items() {
		i := slices.Index(names[:], name)
		if i < 0 {
			return e, fmt.Errorf("scheduler %s has no flag %q", s.Scheduler, name)
		}
		e.Flags |= ipvs.ServiceSchedulerOpt1 << i
	}
	if s.OnePacket {
		e.Flags |= ipvs.ServiceOnePacket
	}
	all := 32
	if e.Family == ipvs.INET6 {
		all = 128
	}
	bits := all
	if s.Persistence != 0 {
		e.Flags |= ipvs.ServicePersistent
		e.Timeout = uint32(time.Duration(s.Persistence) / time.Second)
		if s.PersistenceBits != 0 {
			bits = s.PersistenceBits
		}
	}
	if bits < 1 || bits > all || s.Persistence == 0 && s.PersistenceBits != 0 {
		return e, fmt.Errorf("clients cannot be told apart by %d of %d bits for %s", s.PersistenceBits, all, s.Persistence)
	}
	e.Netmask = netmask.MaskFrom(bits, all)
	return e, nil
}

// describeService returns the service that a cluster file would have to ask for, and
// whether there is one of that key. What no file can ask for leaves traces in the value,
// so that it never equals one of ours.
func describeService(e serviceEntry) (resource.IPVSService, bool) {
	key, ok := serviceKey(e.Service)
	s := resource.IPVSService{
		ServiceKey: key, Scheduler: e.Scheduler, OnePacket: e.Flags&ipvs.ServiceOnePacket != 0,
		Flags: describeFlags(e), PersistenceEngine: e.engine,
	}
	if e.Flags&ipvs.ServicePersistent == 0 {
		return s, ok // the kernel looks at neither timeout nor netmask
	}
	s.Persistence = resource.Duration(time.Duration(e.Timeout) * time.Second)
	switch bits := e.Netmask.Bits(); {
	case bits < 1 || e.Timeout == 0: // -1 is a mask with holes
		s.PersistenceBits = -1
	case bits != 32 && e.Family == ipvs.INET || bits != 128 && e.Family == ipvs.INET6:
		s.PersistenceBits = bits
	}
	return s, ok
}

func describeFlags(e serviceEntry) resource.List {
	rest := e.Flags &^ (ipvs.ServicePersistent | ipvs.ServiceHashed | ipvs.ServiceOnePacket)
	if rest == 0 {
		return ""
	}
	var list []string
	for i, name := range schedulerFlags(e.Scheduler) {
		if bit := ipvs.ServiceSchedulerOpt1 << i; rest&bit != 0 {
			list = append(list, name)
			rest &^= bit
		}
	}
	if rest != 0 {
		list = append(list, fmt.Sprintf("%#x", uint32(rest)))
	}
	slices.Sort(list)
	return resource.NewList(list...)
}

// kernelServer returns what makes the kernel's server s.
func kernelServer(s resource.IPVSServer) (ipvs.Destination, error) {
	d := ipvs.Destination{
		Address: s.Address.Addr(), Port: s.Address.Port(), Family: ipvs.INET, Weight: uint32(s.Weight),
		UpperThreshold: s.Upper, LowerThreshold: s.Lower,
	}
	if d.Address.Is6() {
		d.Family = ipvs.INET6
	}
	var forward, tunnel, checksum bool
	d.FwdMethod, forward = forwards.value(s.Forward)
	d.TunnelType, tunnel = tunnels.value(s.Tunnel)
	d.TunnelFlags, checksum = checksums.value(s.TunnelChecksum)
	d.TunnelPort = s.TunnelPort
	switch {
	case !d.Address.IsValid():
		return d, fmt.Errorf("%q is not the address of a server", s.Address)
	case !forward:
		return d, fmt.Errorf("forwarding method %q is not one of this release", s.Forward)
	case !tunnel || !checksum:
		return d, fmt.Errorf("a tunnel %q with checksums %q is not one of this release", s.Tunnel, s.TunnelChecksum)
	case s.Weight < 0 || s.Weight > 1<<31-1:
		return d, fmt.Errorf("weight %d is not between 0 and %d", s.Weight, 1<<31-1)
	}
	return d, nil
}

// describeServer is describeService for servers. Direct routing to a loopback address is
// local delivery (ip_vs_dr_xmit), and what ipvsadm -g and keepalived make of one.
func describeServer(key resource.ServiceKey, e serverEntry) resource.IPVSServer {
	s := resource.IPVSServer{
		Service: key, Address: netip.AddrPortFrom(e.Address, e.Port), Weight: int(e.Weight),
		Upper: e.UpperThreshold, Lower: e.LowerThreshold,
	}
	switch {
	case e.FwdMethod == ipvs.DirectRoute && !e.Address.IsLoopback():
		s.Forward = resource.ForwardDR // most of them
	case e.FwdMethod == ipvs.DirectRoute:
		s.Forward = resource.ForwardLocal
	default:
		s.Forward = forwards.of(e.FwdMethod)
	}
	if e.FwdMethod == ipvs.Tunnel { // the kernel keeps these for the others too, and ignores them
		s.Tunnel, s.TunnelPort, s.TunnelChecksum = tunnels.of(e.TunnelType), e.TunnelPort, checksums.of(e.TunnelFlags)
	}
	return s
}

// busy returns how many connections a server of s has to lose before it can go. What has no
// end that the kernel sees is inactive all its life (ip_vs_proto_udp.c).
func busy(s resource.IPVSService, e serverEntry) int {
	if s.Protocol == "udp" || s.OnePacket {
		return int(e.active) + int(e.inactive)
	}
	return int(e.active)
}
