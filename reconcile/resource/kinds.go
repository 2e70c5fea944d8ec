package resource

import (
	"fmt"
	"net/netip"
)

// The kinds of this release.
const (
	KindTunnel       Kind = "tunnel"
	KindSysctl       Kind = "sysctl"
	KindAddress      Kind = "address"
	KindIPVSTimeouts Kind = "ipvs_timeouts"
	KindIPVSService  Kind = "ipvs_service"
	KindIPVSServer   Kind = "ipvs_server"
	KindIPVSSync     Kind = "ipvs_sync"

	KindHAProxyFile        Kind = "haproxy_file"
	KindHAProxyServer      Kind = "haproxy_server"
	KindHAProxyMap         Kind = "haproxy_map"
	KindHAProxyCertificate Kind = "haproxy_certificate"

	KindVRRPTracker  Kind = "vrrp_tracker"
	KindVRRPInstance Kind = "vrrp_instance"
)

// Order is the order in which kinds are created and updated; deletions go in reverse.
// What answers for an address is in place before the address can arrive: sysctls before
// real servers' addresses, the IPVS table before the VRRP instance. Sysctls of a tunnel
// come after the tunnel, and an address on it after both. A haproxy is reloaded once its maps
// are on disk, and told of servers once it has those of the file.
var Order = []Kind{
	KindTunnel, KindSysctl, KindAddress, KindIPVSTimeouts, KindIPVSService, KindIPVSServer, KindIPVSSync,
	KindHAProxyMap, KindHAProxyCertificate, KindHAProxyFile, KindHAProxyServer,
	KindVRRPTracker, KindVRRPInstance,
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

// A Tunnel is a device on which a real server gets the packets that a director wrapped. It
// is the kernel's fallback device of its type, which is up, and for gue a receiving port.
type Tunnel struct {
	Device string `json:"device"`         // "tunl0", "sit0", "ip6tnl0", "gre0" or "ip6gre0"
	Type   string `json:"type"`           // "ipip", "gue" or "gre"
	Port   uint16 `json:"port,omitempty"` // gue: the UDP port that is unwrapped (ip-fou(8))
}

// ID returns the key under which a Set holds t: the device, with the port where one device
// takes packets of several.
func (t Tunnel) ID() ID {
	if t.Port != 0 {
		return ID{KindTunnel, fmt.Sprintf("%s:%d", t.Device, t.Port)}
	}
	return ID{KindTunnel, t.Device}
}
