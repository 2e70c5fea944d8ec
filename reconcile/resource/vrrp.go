package resource

import (
	"fmt"
	"net/netip"
)

// A TrackerKey names a tracker by what it watches: "interface/eth0" or "plugin/NAME".
type TrackerKey = string

// The types of trackers. The agent judges plugins and tells vrrpd; vrrpd watches the rest
// by itself.
const (
	TrackInterface = "interface" // Target is a device; up while it is up and has a carrier
	TrackPlugin    = "plugin"    // Target is the tracker's name
	TrackProcess   = "process"   // Target is a process name; up while Min to Max of them run
	TrackFile      = "file"      // Target is a path; its integer is the value, up while that is 0
	TrackRoute     = "route"     // Target is a prefix; up while a route to exactly that is there
	TrackAddress   = "address"   // Target is an address; up while this host has it
	TrackPing      = "ping"      // Target is an address; up while it answers echo requests
	TrackBFD       = "bfd"       // Target is an address; up while the BFD session with it is
)

// A VRRPTracker is something whose loss takes VRRP instances out of the election or
// changes their priority.
type VRRPTracker struct {
	Type   string `json:"type"`
	Target string `json:"target"`
	// Hold is how long the last word counts when it cannot be renewed; then OnUnknown
	// does. Not for interface, route, address and bfd, which are always known.
	Hold Duration `json:"hold,omitempty"`
	// OnUnknown is "down" or "up".
	OnUnknown string `json:"on_unknown,omitempty"`
	// Device is where route, address, ping and bfd are looked for; "" is anywhere.
	Device string `json:"device,omitempty"`
	// Source is the local address of ping and bfd; not valid lets the kernel choose.
	Source netip.Addr `json:"source,omitzero"`
	// Interval is the time between two looks at a process or file, between two pings, or
	// between BFD control packets in both directions.
	Interval Duration `json:"interval,omitempty"`
	// Timeout is how long a ping's answer may take.
	Timeout Duration `json:"timeout,omitempty"`
	// Rise and Fall are the good or bad pings in a row that change the state; for BFD, Fall
	// is the detection multiplier.
	Rise int `json:"rise,omitempty"`
	Fall int `json:"fall,omitempty"`
	// Min and Max bound the count of processes; Max 0 is no bound.
	Min int `json:"min,omitempty"`
	Max int `json:"max,omitempty"`
	// UpDelay and DownDelay are how long a change has to last before it counts.
	UpDelay   Duration `json:"up_delay,omitempty"`
	DownDelay Duration `json:"down_delay,omitempty"`
}

// Key returns the name by which VRRPInstance.Gates and Points refer to t.
func (t VRRPTracker) Key() TrackerKey { return t.Type + "/" + t.Target }

// ID returns the key under which a Set holds t.
func (t VRRPTracker) ID() ID { return ID{KindVRRPTracker, t.Key()} }

// The families of a VRRPInstance.
const (
	IPv4 = "ipv4"
	IPv6 = "ipv6"
)

// A VRRPInstance is one virtual router on this node (RFC 9568).
type VRRPInstance struct {
	Interface string `json:"interface"`
	VRID      uint8  `json:"virtual_router_id"`
	// Family is IPv4 or IPv6; "" is IPv4.
	Family   string   `json:"family,omitempty"`
	Version  int      `json:"version"`  // 2 (RFC 3768, IPv4 only) or 3
	Priority uint8    `json:"priority"` // 255 is the owner of the addresses
	Interval Duration `json:"advert_interval"`
	Preempt  bool     `json:"preempt"`
	// PreemptDelay is how long a MASTER of lower priority is left alone after it was first heard.
	PreemptDelay Duration `json:"preempt_delay,omitempty"`
	// StartDelay is how long after its start a router stays out of the election.
	StartDelay Duration `json:"start_delay,omitempty"`
	// Group names the sync group; routers of one name move together.
	Group string `json:"group,omitempty"`
	// Unicast sends adverts to Peers instead of the multicast group.
	Unicast bool `json:"unicast,omitempty"`
	// MinTTL is the least TTL or hop limit of a unicast advert; 0 is 255: it crossed no router.
	MinTTL uint8 `json:"min_ttl,omitempty"`
	// Checksum is what a version 3 advert over IPv4 is summed over: ChecksumPseudo ("") or ChecksumMessage.
	Checksum string `json:"checksum,omitempty"`
	// NoAccept drops packets to the addresses unless this router is their owner (RFC 9568, Accept_Mode false).
	NoAccept bool `json:"no_accept,omitempty"`
	// VirtualMAC puts the addresses on a macvlan with the virtual router's MAC (RFC 9568, section 7.3).
	VirtualMAC bool `json:"virtual_mac,omitempty"`
	// Realtime asks for SCHED_RR and locked memory for the whole process.
	Realtime bool `json:"realtime,omitempty"`
	// Addresses are the advertised virtual addresses as VirtualAddress texts, in the order of the cluster file.
	Addresses List `json:"addresses"`
	// Excluded are VirtualAddress texts that are held and not advertised; of either family.
	Excluded List `json:"excluded,omitempty"`
	// Routes and Rules are VirtualRoute and VirtualRule texts that are there while MASTER.
	Routes List `json:"routes,omitempty"`
	Rules  List `json:"rules,omitempty"`
	// Source is this node's own address on the segment; not valid means the interface's link-local one (IPv6).
	Source netip.Addr `json:"source,omitzero"`
	// Peers are the other members' addresses; adverts from anybody else have no effect.
	Peers List `json:"peers"`
	// OpenPeers admits everybody, because the peers' addresses cannot be derived; strangers are counted.
	OpenPeers bool `json:"open_peers,omitempty"`
	// Gates are the keys of trackers that must all be up.
	Gates List `json:"gates"`
	// Points are Points texts: what trackers add to the priority or take from it.
	Points List `json:"points,omitempty"`
	// Password names the secret that version 2 adverts carry in the clear; it is no security.
	Password string `json:"password,omitempty"`
	// Auth is AuthReceiveOnly, AuthPermissive or AuthEnforce (draft-cassen-vrrp-auth-hmac); "" is none.
	Auth string `json:"auth,omitempty"`
	// AuthKeys are "ID=SECRET": key ids 1 to 255 and the names of the secrets that hold them.
	AuthKeys List `json:"auth_keys,omitempty"`
	// AuthActive is the id of the key that signs.
	AuthActive uint8 `json:"auth_active,omitempty"`
	// AuthWindow is how far a signature's time may be from ours; 0 is the larger of three intervals and 5s.
	AuthWindow Duration `json:"auth_window,omitempty"`
	// Announce is how gratuitous ARP and unsolicited NA are sent.
	Announce Announce `json:"announce,omitzero"`
}

// The forms of a version 3 checksum over IPv4.
const (
	ChecksumPseudo  = "pseudo"
	ChecksumMessage = "message"
)

// The modes of HMAC authentication, in the order of a rollout.
const (
	AuthReceiveOnly = "receive-only" // sends unsigned; what is signed must verify
	AuthPermissive  = "permissive"   // sends signed; what is signed must verify
	AuthEnforce     = "enforce"      // sends signed; unsigned has no effect
)

// Announce says how a router announces its addresses. The zero value is keepalived's
// default: five, five again after 5s, no refresh, no pacing.
type Announce struct {
	Repeat  int      `json:"repeat,omitempty"`  // per address in a burst; 0 is 5
	Delay   Duration `json:"delay,omitempty"`   // until the second burst; 0 is 5s, negative is none
	Refresh Duration `json:"refresh,omitempty"` // between repetitions while MASTER; 0 is none
	// Interval is the least time between two frames on one interface; 0 is none.
	Interval Duration `json:"interval,omitempty"`
}

// ID returns the key under which a Set holds i: interface, VRID and family.
func (i VRRPInstance) ID() ID {
	family := i.Family
	if family == "" {
		family = IPv4
	}
	return ID{KindVRRPInstance, fmt.Sprintf("%s/%d/%s", i.Interface, i.VRID, family)}
}
