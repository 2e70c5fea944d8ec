package hcl

import "time"

// tunnelTypes are how IPVS wraps packets (ip_vs.h, IP_VS_CONN_F_TUNNEL_TYPE_*), and
// tunnelChecksums what checksum the outer header may have with each (ip_vs_xmit.c,
// ipvs_gue_encap and ipvs_gre_encap).
var (
	tunnelTypes     = []string{"ipip", "gue", "gre"}
	tunnelChecksums = map[string][]string{
		"ipip": {"none"},
		"gue":  {"none", "csum", "remcsum"},
		"gre":  {"none", "csum"},
	}
)

// tunnelFields are what tunnel = { ... } may hold.
var tunnelFields = []attribute{
	{name: "type", kind: choice(tunnelTypes...), def: `"ipip"`, doc: "How the packet is wrapped: IP in IP, generic UDP encapsulation or GRE."},
	{name: "port", kind: portKind(), doc: "gue: the UDP port of the servers."},
	{name: "checksum", kind: choice("none", "csum", "remcsum"), def: `"none"`, doc: "The checksum of the outer header: csum of gue and gre, remcsum (remote checksum offload) of gue."},
}

var poolBlock = &block{
	name: "pool", labels: []string{"name"}, each: true, doc: "Servers that are checked together, once for all virtual servers that use them.",
	attrs: []attribute{
		{name: "port", kind: portKind(), doc: "The servers' port. Without it each has the port of the service that uses it, which ranges of ports need with direct routing and tunnels; then the checks say which port they ask."},
		{name: "on_fail", kind: choice("weight_zero", "remove"), def: `"weight_zero"`, doc: "What a failed server gets: weight 0, so that its connections end in peace, or no entry in the table."},
		{name: "require", kind: choice("all", "any"), def: `"all"`, doc: "How many of a server's checks have to pass."},
		{name: "initial", kind: choice("down", "up"), def: `"down"`, doc: "What a server with checks counts as before they have said anything. A server that is in the table when the agent starts is left there until they do."},
		{name: "slow_start", kind: durationKind(0, time.Hour), def: `"0s"`, doc: "How long a server that came up takes to reach its weight; 0s is at once."},
		{name: "degraded_weight", kind: percentKind, doc: "The share of its weight that a degraded server gets, such as \"50%\"; without it degraded is as good as up."},
		{name: "panic_threshold", kind: percentKind, doc: "The share of the servers that is not down at the least, such as \"50%\". Below it the checks are taken to be wrong: all servers are served, and an alarm is raised."},
		{name: "drain", kind: durationKind(0, 7*24*time.Hour), def: `"0s"`, doc: "How long a server that is removed from the pool may keep its connections: it has weight 0 until they have ended or the time is over, and then no entry. 0s takes it out at once."},
	},
	blocks: []*block{serverBlock, checkBlock},
}

var serverBlock = &block{
	name: "server", labels: []string{"name"}, doc: "One server.",
	attrs: []attribute{
		{name: "address", kind: stringKind, required: true, doc: "Its IP address, or the name of a node. 127.0.0.1 or ::1 means the director itself. Host names are refused: they are resolved nowhere."},
		{name: "port", kind: portKind(), doc: "Its port where it is not the pool's."},
		{name: "weight", kind: intKind(0, 65535), def: "1", doc: "Its share of new connections; 0 gives it none."},
		{name: "draining", kind: boolKind, def: "false", doc: "Takes it out in peace: weight 0 until its connections have ended or the pool's `drain` is over (5m if that is 0s), and then no entry."},
		{name: "forward", kind: choice(forwards...), doc: "How packets reach it, where it is not as the virtual server says."},
		{name: "tunnel", kind: named("object"), fields: tunnelFields, doc: "forward = \"tunnel\": how packets to it are wrapped, where it is not as the virtual server says. Without `forward` it means forward = \"tunnel\"."},
		{name: "max_connections", kind: intKind(1, maxUint32), doc: "How many connections it may have; at that it gets no new ones."},
		{name: "resume_connections", kind: intKind(1, maxUint32), doc: "How few it must have to get new ones again; three quarters of max_connections if absent."},
	},
}
