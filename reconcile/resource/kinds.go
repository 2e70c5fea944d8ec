package resource

import "net/netip"

// The kinds of this release.
const (
	KindSysctl       Kind = "sysctl"
	KindAddress      Kind = "address"
	KindIPVSService  Kind = "ipvs_service"
	KindIPVSServer   Kind = "ipvs_server"
	KindVRRPTracker  Kind = "vrrp_tracker"
	KindVRRPInstance Kind = "vrrp_instance"
)

// Order is the order in which kinds are created and updated; deletions go in reverse.
// What answers for an address is in place before the address can arrive: sysctls before
// real servers' addresses, the IPVS table before the VRRP instance.
var Order = []Kind{
	KindSysctl, KindAddress, KindIPVSService, KindIPVSServer, KindVRRPTracker, KindVRRPInstance,
}

// A Sysctl is one value under /proc/sys (sysctl.d(5)).
type Sysctl struct {
	// Key is the path below /proc/sys, such as "net/ipv4/conf/lo/arp_ignore".
	Key   string `json:"key"`
	Value string `json:"value"`
}

// ID returns the key under which a Set holds s.
func (s Sysctl) ID() ID { return ID{KindSysctl, s.Key} }

// An Address is an address that this node holds for good, as a real server holds the
// virtual address on lo. Addresses that move belong to a VRRPInstance.
type Address struct {
	Prefix netip.Prefix `json:"prefix"`
	Device string       `json:"device"`
}

// ID returns the key under which a Set holds a: the bare address, since the same
// address on another device is a conflict and not a second resource.
func (a Address) ID() ID { return ID{KindAddress, a.Prefix.Addr().String()} }

// A Forward is how IPVS hands a packet to a real server (ip_vs.h, IP_VS_CONN_F_*).
type Forward string

// The forwarding methods of this release.
const (
	// ForwardDR rewrites the frame's destination only (ipvsadm -g).
	ForwardDR Forward = "dr"
	// ForwardLocal delivers to this very host (IP_VS_CONN_F_LOCALNODE).
	ForwardLocal Forward = "local"
)

// A ServiceKey is the kernel's key of a virtual service.
type ServiceKey struct {
	Protocol string         `json:"protocol"` // "tcp" or "udp"
	Address  netip.AddrPort `json:"address"`
}

// String returns "tcp 192.0.2.1:80".
func (k ServiceKey) String() string { return k.Protocol + " " + k.Address.String() }

// An IPVSService is one virtual service in the kernel's table (ipvsadm(8)).
type IPVSService struct {
	ServiceKey
	Scheduler string `json:"scheduler"`
}

// ID returns the key under which a Set holds s.
func (s IPVSService) ID() ID { return ID{KindIPVSService, s.ServiceKey.String()} }

// An IPVSServer is one destination of a virtual service.
type IPVSServer struct {
	Service ServiceKey     `json:"service"`
	Address netip.AddrPort `json:"address"`
	Forward Forward        `json:"forward"`
	Weight  int            `json:"weight"` // 0 keeps connections and takes no new ones
}

// ID returns the key under which a Set holds s.
func (s IPVSServer) ID() ID {
	return ID{KindIPVSServer, s.Service.String() + " -> " + s.Address.String()}
}
