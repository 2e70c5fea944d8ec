package spec

import (
	"cmp"
	"net/netip"
	"time"
)

// A Pool is a set of servers that are checked together.
type Pool struct {
	Origin Origin `json:"origin"`
	Name   string `json:"name"`
	Port   uint16 `json:"port"`
	// OnFail is "weight_zero" or "remove".
	OnFail  string   `json:"on_fail"`
	Servers []Server `json:"servers"`
	Checks  []Check  `json:"checks,omitempty"`
	// Any makes one passing check enough; otherwise all have to pass.
	Any bool `json:"any,omitempty"`
	// InitiallyUp takes servers for up until their checks say otherwise.
	InitiallyUp bool `json:"initially_up,omitempty"`
	// SlowStart is how long a server that came up takes to reach its weight; 0 is at once.
	SlowStart time.Duration `json:"slow_start,omitempty"`
	// DegradedPercent is the share of its weight that a degraded server gets; 0 means that
	// degraded is as good as up.
	DegradedPercent int `json:"degraded_percent,omitempty"`
	// PanicPercent is the share of the servers that must not be down; if more are, all are
	// served (the checks are taken to be wrong) and an alarm is raised. 0 is never.
	PanicPercent int `json:"panic_percent,omitempty"`
	// Drain is how long a server that leaves the pool may keep its connections; 0 is not at all.
	Drain time.Duration `json:"drain,omitempty"`
}

// A Server is one member of a pool.
type Server struct {
	Origin  Origin     `json:"origin"`
	Name    string     `json:"name"`
	Address netip.Addr `json:"address"`
	Port    uint16     `json:"port"` // the pool's, unless written
	Weight  int        `json:"weight"`
	// Draining takes the server out: weight 0 until its connections have ended or the pool's
	// Drain is over, then no entry.
	Draining bool `json:"draining,omitempty"`
	// Forward and Tunnel are those of the virtual server where they are empty.
	Forward string `json:"forward,omitempty"`
	Tunnel  Tunnel `json:"tunnel,omitzero"`
	// Upper is how many connections the server may have, and Lower how few it must have to get
	// new ones after that (ipvsadm -x, -y); 0 is no bound.
	Upper uint32 `json:"upper,omitempty"`
	Lower uint32 `json:"lower,omitempty"`
}

// AddrPort returns where s listens: the port is the service's unless s or its pool has one.
func (s Server) AddrPort(service uint16) netip.AddrPort {
	return netip.AddrPortFrom(s.Address, cmp.Or(s.Port, service))
}

// A Tunnel is how packets to a server are wrapped (forward = "tunnel").
type Tunnel struct {
	Type string `json:"type,omitempty"` // "ipip" (or empty), "gue" or "gre"
	Port uint16 `json:"port,omitempty"` // gue
	// Checksum is "none" (or empty), "csum" or "remcsum" (ip_vs.h, IP_VS_TUNNEL_ENCAP_FLAG_*).
	Checksum string `json:"checksum,omitempty"`
}

// A VirtualServer is one or more IPVS services with the same servers.
type VirtualServer struct {
	Origin Origin `json:"origin"`
	Name   string `json:"name"` // with the for_each key, as in web["http"]
	On     string `json:"on"`   // name of the VRRP instance whose members are the directors
	// Program is when the services are in the table: "always" (or empty), or "master" for only
	// while the node is master of On.
	Program string `json:"program,omitempty"`
	// Services are the addresses and ports, or marks, with ranges written out.
	Services    []Service   `json:"services"`
	Scheduler   string      `json:"scheduler"`       // ipvsadm -s
	Flags       []string    `json:"flags,omitempty"` // of the scheduler, sorted: ipvsadm -b
	OnePacket   bool        `json:"one_packet,omitempty"`
	Persistence Persistence `json:"persistence,omitzero"`
	Forward     string      `json:"forward"` // "dr", "nat" or "tunnel"
	Tunnel      Tunnel      `json:"tunnel,omitzero"`
	Pool        string      `json:"pool"`
	Sorry       string      `json:"sorry,omitempty"` // pool used while Pool has no quorum
	// Quorum is the sum of weights that Pool needs, at least 1; it is gained at Quorum plus
	// Hysteresis and lost below Quorum less Hysteresis.
	Quorum     int `json:"quorum,omitempty"`
	Hysteresis int `json:"hysteresis,omitempty"`
	// Adopt takes over objects of these services that somebody else made, even if they differ.
	Adopt bool `json:"adopt,omitempty"`
}

// A Service is what clients ask for: a protocol, address and port, or a firewall mark.
type Service struct {
	Protocol string     `json:"protocol,omitempty"` // "tcp", "udp" or "sctp"; empty with a mark
	Address  netip.Addr `json:"address,omitzero"`
	Port     uint16     `json:"port,omitempty"` // 0 is all ports, which needs persistence
	Mark     uint32     `json:"mark,omitempty"`
	IPv6     bool       `json:"ipv6,omitempty"` // the family of a mark
}

// Persistence sends a client to the server that it had before.
type Persistence struct {
	Timeout time.Duration `json:"timeout,omitempty"` // whole seconds; 0 is none
	// Bits is the prefix length by which clients are told apart; 0 is all of it.
	Bits   int    `json:"bits,omitempty"`
	Engine string `json:"engine,omitempty"` // "sip"
}

// IPVS is what the kernel's IPVS has beside services.
type IPVS struct {
	Origin Origin `json:"origin"`
	// Timeouts are of connections (ipvsadm --set), in whole seconds; 0 leaves one as it is.
	TCP    time.Duration `json:"tcp,omitempty"`
	TCPFin time.Duration `json:"tcp_fin,omitempty"`
	UDP    time.Duration `json:"udp,omitempty"`
	// Sysctls are below net/ipv4/vs.
	Sysctls map[string]string `json:"sysctls,omitempty"`
	Syncs   []Sync            `json:"syncs,omitempty"`
}

// A Sync keeps the connections of two directors alike. The daemon's role follows a VRRP
// instance: master sends, backup listens.
type Sync struct {
	Origin    Origin     `json:"origin"`
	Name      string     `json:"name"`
	On        string     `json:"on"` // name of the VRRP instance
	Interface string     `json:"interface"`
	ID        uint8      `json:"sync_id"`
	MaxLen    uint16     `json:"max_len,omitempty"` // bytes; 0 is the kernel's choice
	Group     netip.Addr `json:"group,omitzero"`    // multicast group; the kernel's choice if absent
	Port      uint16     `json:"port,omitempty"`
	TTL       uint8      `json:"ttl,omitempty"`
}
