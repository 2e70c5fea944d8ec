package spec

import (
	"net/netip"
	"time"
)

// A Tracker watches one thing: exactly one of Interface to BFD is set.
type Tracker struct {
	Origin    Origin       `json:"origin"`
	Name      string       `json:"name"`
	Interface string       `json:"interface,omitempty"`
	Plugin    string       `json:"plugin,omitempty"`  // a track plugin's name
	Process   string       `json:"process,omitempty"` // a program's name
	File      string       `json:"file,omitempty"`    // a path
	Route     netip.Prefix `json:"route,omitzero"`
	Address   netip.Addr   `json:"address,omitzero"`
	Ping      netip.Addr   `json:"ping,omitzero"`
	BFD       netip.Addr   `json:"bfd,omitzero"`
	Config    []byte       `json:"config,omitempty"` // JSON object, checked against the plugin's schema
	// Min and Max bound how many processes run; Max 0 is no bound.
	Min      int           `json:"min,omitempty"`
	Max      int           `json:"max,omitempty"`
	Device   string        `json:"dev,omitempty"`
	Source   netip.Addr    `json:"source,omitzero"`
	Interval time.Duration `json:"interval,omitempty"`
	Timeout  time.Duration `json:"timeout,omitempty"`
	Rise     int           `json:"rise,omitempty"`
	Fall     int           `json:"fall,omitempty"` // of BFD, the multiplier
	// Hold is how long the last known state counts once the tracker cannot be measured.
	Hold time.Duration `json:"hold,omitempty"`
	// OnUnknown is "down" or "up": what counts after Hold, and before the first verdict.
	OnUnknown string `json:"on_unknown,omitempty"`
	// UpDelay and DownDelay are how long a change has to last before it counts.
	UpDelay   time.Duration `json:"up_delay,omitempty"`
	DownDelay time.Duration `json:"down_delay,omitempty"`
}

// A VRRPInstance is one virtual router over several nodes. What a sync group says is part
// of each of its members.
type VRRPInstance struct {
	Origin    Origin           `json:"origin"`
	Name      string           `json:"name"`
	Interface string           `json:"interface"`
	VRID      uint8            `json:"virtual_router_id"`
	Version   int              `json:"version"`
	Interval  time.Duration    `json:"advert_interval"`
	Priority  map[string]uint8 `json:"priority"` // by node; its keys are the nodes that take part
	Preempt   bool             `json:"preempt"`
	// PreemptDelay is how long a lower priority is left alone.
	PreemptDelay time.Duration `json:"preempt_delay,omitempty"`
	StartDelay   time.Duration `json:"start_delay,omitempty"`
	Group        string        `json:"sync_group,omitempty"`
	// Addresses are advertised and of one family, Excluded are held beside them.
	Addresses []VirtualAddress `json:"addresses"`
	Excluded  []VirtualAddress `json:"excluded,omitempty"`
	Routes    []VirtualRoute   `json:"routes,omitempty"`
	Rules     []VirtualRule    `json:"rules,omitempty"`
	// Source has a member's address on this segment where it is not the node's own.
	Source map[string]netip.Addr `json:"source,omitempty"`
	// Peers are routers that are no members.
	Peers      []netip.Addr `json:"peers,omitempty"`
	Unicast    bool         `json:"unicast,omitempty"`
	MinTTL     uint8        `json:"min_ttl,omitempty"`  // 0 is 255
	Checksum   string       `json:"checksum,omitempty"` // "" is "pseudo"
	NoAccept   bool         `json:"no_accept,omitempty"`
	VirtualMAC bool         `json:"virtual_mac,omitempty"`
	Realtime   bool         `json:"realtime,omitempty"`
	Gates      []string     `json:"gates,omitempty"` // names of trackers
	Points     []Points     `json:"points,omitempty"`
	Auth       Auth         `json:"auth,omitzero"`
	Announce   Announce     `json:"announce,omitzero"`
}

// Points say what a tracker does to a priority.
type Points struct {
	Tracker string `json:"tracker"`         // its name
	Lose    int    `json:"lose,omitempty"`  // taken away while it is down
	Gain    int    `json:"gain,omitempty"`  // added while it is up
	Scale   int    `json:"scale,omitempty"` // times a file's number, added
}

// Auth is how adverts are authenticated. Secrets are names.
type Auth struct {
	Password string `json:"password,omitempty"` // version 2
	Mode     string `json:"mode,omitempty"`     // "receive-only", "permissive" or "enforce"
	// Keys are the secrets by key id, 1 to 255; Active is the one that signs.
	Keys   map[uint8]string `json:"keys,omitempty"`
	Active uint8            `json:"active,omitempty"`
	Window time.Duration    `json:"window,omitempty"` // 0 is vrrpd's choice
}

// Announce is how addresses are announced (resource.Announce).
type Announce struct {
	Repeat   int           `json:"repeat,omitempty"`
	Delay    time.Duration `json:"delay,omitempty"`
	Refresh  time.Duration `json:"refresh,omitempty"`
	Interval time.Duration `json:"interval,omitempty"`
}

// A VirtualAddress is an address that moves with an instance (resource.VirtualAddress).
type VirtualAddress struct {
	Prefix        netip.Prefix `json:"prefix"`
	Device        string       `json:"dev,omitempty"`
	Label         string       `json:"label,omitempty"`
	Scope         string       `json:"scope,omitempty"`
	NoPrefixRoute bool         `json:"noprefixroute,omitempty"`
}

// A VirtualRoute is a route that moves with an instance (resource.VirtualRoute).
type VirtualRoute struct {
	Type   string       `json:"type,omitempty"`
	Prefix netip.Prefix `json:"to"`
	Via    netip.Addr   `json:"via,omitzero"`
	Device string       `json:"dev,omitempty"`
	Source netip.Addr   `json:"src,omitzero"`
	Table  uint32       `json:"table,omitempty"`
	Metric uint32       `json:"metric,omitempty"`
	Scope  string       `json:"scope,omitempty"`
	MTU    uint32       `json:"mtu,omitempty"`
	OnLink bool         `json:"onlink,omitempty"`
}

// A VirtualRule is a policy rule that moves with an instance (resource.VirtualRule).
type VirtualRule struct {
	Family   string       `json:"family"`
	Priority uint32       `json:"priority"`
	From     netip.Prefix `json:"from,omitzero"`
	To       netip.Prefix `json:"to,omitzero"`
	Input    string       `json:"iif,omitempty"`
	Output   string       `json:"oif,omitempty"`
	Mark     uint32       `json:"mark,omitempty"`
	Mask     uint32       `json:"mask,omitempty"`
	Table    uint32       `json:"table,omitempty"`
	Action   string       `json:"action,omitempty"`
}
