package resource

import (
	"net/netip"
	"strconv"
)

// A Forward is how IPVS hands a packet to a real server (ip_vs.h, IP_VS_CONN_F_*).
type Forward string

// The forwarding methods.
const (
	// ForwardDR rewrites the frame's destination only (ipvsadm -g).
	ForwardDR Forward = "dr"
	// ForwardNAT rewrites the packet's destination; answers come back through the director (ipvsadm -m).
	ForwardNAT Forward = "nat"
	// ForwardTunnel wraps the packet into another one (ipvsadm -i).
	ForwardTunnel Forward = "tunnel"
	// ForwardLocal delivers to this very host (IP_VS_CONN_F_LOCALNODE).
	ForwardLocal Forward = "local"
)

// A ServiceKey is the kernel's key of a virtual service: protocol and address, or a mark.
type ServiceKey struct {
	Protocol string         `json:"protocol,omitempty"` // "tcp", "udp" or "sctp"; empty with a mark
	Address  netip.AddrPort `json:"address,omitzero"`
	Mark     uint32         `json:"mark,omitempty"`   // of the firewall
	Family   string         `json:"family,omitempty"` // of a mark: IPv4 or IPv6
}

// String returns "tcp 192.0.2.1:80" or "mark 7 ipv4".
func (k ServiceKey) String() string {
	if k.Mark != 0 {
		return "mark " + strconv.FormatUint(uint64(k.Mark), 10) + " " + k.Family
	}
	return k.Protocol + " " + k.Address.String()
}

// IPv6 reports whether clients speak IPv6 with the service.
func (k ServiceKey) IPv6() bool {
	if k.Mark != 0 {
		return k.Family == IPv6
	}
	return k.Address.Addr().Is6()
}

// An IPVSService is one virtual service in the kernel's table (ipvsadm(8)).
type IPVSService struct {
	ServiceKey
	Scheduler string `json:"scheduler"`
	// Flags are the scheduler's, sorted, as ipvsadm -b names them: sh-fallback, sh-port,
	// mh-fallback, mh-port, or flag-1 to flag-3 of other schedulers.
	Flags     List `json:"scheduler_flags,omitempty"`
	OnePacket bool `json:"one_packet,omitempty"`
	// Persistence is how long a client stays with its server, in whole seconds; 0 is off.
	Persistence Duration `json:"persistence,omitempty"`
	// PersistenceBits is the prefix length by which clients are told apart; 0 is all bits.
	PersistenceBits   int    `json:"persistence_bits,omitempty"`
	PersistenceEngine string `json:"persistence_engine,omitempty"` // "sip"
}

// ID returns the key under which a Set holds s.
func (s IPVSService) ID() ID { return ID{KindIPVSService, s.ServiceKey.String()} }

// An IPVSServer is one destination of a virtual service.
type IPVSServer struct {
	Service ServiceKey     `json:"service"`
	Address netip.AddrPort `json:"address"` // its family may differ from the service's with a tunnel
	Forward Forward        `json:"forward"`
	Weight  int            `json:"weight"` // 0 keeps connections and takes no new ones
	// Tunnel is how a tunnelled packet is wrapped: empty is ipip.
	Tunnel         string `json:"tunnel,omitempty"`          // "gue" or "gre"
	TunnelPort     uint16 `json:"tunnel_port,omitempty"`     // gue
	TunnelChecksum string `json:"tunnel_checksum,omitempty"` // "csum" or "remcsum"; empty is none
	// Upper and Lower are thresholds of connections (ipvsadm -x, -y); 0 is none.
	Upper uint32 `json:"upper,omitempty"`
	Lower uint32 `json:"lower,omitempty"`
}

// ID returns the key under which a Set holds s.
func (s IPVSServer) ID() ID {
	return ID{KindIPVSServer, s.Service.String() + " -> " + s.Address.String()}
}

// IPVSTimeouts are how long the kernel remembers silent connections (ipvsadm --set), in
// whole seconds; 0 leaves one as it is. A host has one such object.
type IPVSTimeouts struct {
	TCP    Duration `json:"tcp,omitempty"`
	TCPFin Duration `json:"tcp_fin,omitempty"` // after a FIN
	UDP    Duration `json:"udp,omitempty"`
}

// ID returns the key under which a Set holds t.
func (t IPVSTimeouts) ID() ID { return ID{KindIPVSTimeouts, "ipvs"} }

// An IPVSSync is the kernel's daemon that tells other directors of connections, or listens
// to them (ipvsadm --start-daemon). A host has at most one of each role.
type IPVSSync struct {
	Role      string     `json:"role"` // "master" or "backup"
	Interface string     `json:"interface"`
	SyncID    uint8      `json:"sync_id"`
	MaxLen    uint16     `json:"max_len,omitempty"` // bytes; 0 is the kernel's choice
	Group     netip.Addr `json:"group,omitzero"`    // multicast; the kernel's choice if absent
	Port      uint16     `json:"port,omitempty"`
	TTL       uint8      `json:"ttl,omitempty"`
}

// ID returns the key under which a Set holds s.
func (s IPVSSync) ID() ID { return ID{KindIPVSSync, s.Role} }
