package hcl

import "time"

// Schedulers that Linux has, as ipvsadm -s names them.
var schedulers = []string{"rr", "wrr", "lc", "wlc", "lblc", "lblcr", "sh", "mh", "dh", "sed", "nq", "fo", "ovf", "twos"}

// schedulerFlags are the flags by the scheduler that has them. The kernel has three bits for
// any scheduler (ip_vs.h, IP_VS_SVC_F_SCHED1 to 3), of which sh and mh name two.
var schedulerFlags = map[string][]string{
	"sh": {"sh-fallback", "sh-port", "flag-3"},
	"mh": {"mh-fallback", "mh-port", "flag-3"},
}

// anyFlags are the flags of the schedulers that name none.
var anyFlags = []string{"flag-1", "flag-2", "flag-3"}

// forwards are the forwarding methods.
var forwards = []string{"dr", "nat", "tunnel"}

// longest is the most that the kernel counts in seconds as ipvsadm --set takes it: 31 days,
// for it becomes jiffies of 32 bits (ip_vs_ctl.c, IP_VS_MAX_TIMEOUT).
const longest = 31 * 24 * time.Hour

var virtualServerBlock = &block{
	name: "virtual_server", labels: []string{"name"}, each: true,
	doc: "IPVS services with the same servers, on the nodes of a VRRP instance: every protocol with every address and every port that is written, or a mark. Exactly one of `address`, `addresses` and `mark` is written; with addresses, exactly one of `port` and `ports`.",
	attrs: []attribute{
		{name: "on", kind: refKind("vrrp_instance"), required: true, doc: "The instance whose members are the directors."},
		{name: "address", kind: hostKind, doc: "The service's address, one of the instance's."},
		{name: "addresses", kind: stringsKind, doc: "Several: addresses, ranges such as \"192.0.2.1-192.0.2.9\" and prefixes such as \"192.0.2.0/29\", of which all addresses are meant, the first and the last, too. Each is one of the instance's."},
		{name: "port", kind: intKind(0, 65535), doc: "The service's port; 0 is all ports, which needs `persistence`."},
		{name: "ports", kind: stringsKind, doc: "Several: numbers and ranges, such as `[80, \"8000-8010\"]`."},
		{name: "protocol", kind: choice(protocols...), def: `"tcp"`, doc: "The transport."},
		{name: "protocols", kind: listOf(choice(protocols...)), doc: "Several: `[\"tcp\", \"udp\"]`."},
		{name: "mark", kind: plainMarkKind, doc: "The firewall mark of the packets that are meant, such as 7 or \"0x10\", instead of addresses."},
		{name: "family", kind: choice("ipv4", "ipv6"), doc: "The family of a mark; that of the servers if absent."},
		{name: "program", kind: choice("always", "master"), def: `"always"`, doc: "When the services are in a director's table: always, or only while it is MASTER of `on`."},
		{name: "scheduler", kind: choice(schedulers...), def: `"wlc"`, doc: "How connections are spread, as in ipvsadm."},
		{name: "scheduler_flags", kind: stringsKind, doc: "Flags of the scheduler, as in ipvsadm -b: sh-fallback, sh-port, mh-fallback, mh-port, or flag-1 to flag-3 of others."},
		{name: "one_packet", kind: boolKind, def: "false", doc: "udp: schedules every packet by itself."},
		{name: "forward", kind: choice(forwards...), required: true, doc: `How packets reach the servers: "dr" rewrites the frame, "nat" the address, "tunnel" wraps them. Servers that are nodes get what they need to accept them: the address on lo, arp sysctls, the tunnel's device.`},
		{name: "tunnel", kind: named("object"), fields: tunnelFields, doc: "forward = \"tunnel\": how packets are wrapped."},
		{name: "pool", kind: refKind("pool"), required: true, doc: "The servers."},
		{name: "sorry", kind: refKind("pool"), doc: "The servers that answer while the pool has no quorum."},
		{name: "quorum", kind: intKind(1, maxUint32), def: "1", doc: "The sum of weights that the pool's servers in service need. Without a sorry pool, losing it raises an alarm only."},
		{name: "hysteresis", kind: intKind(0, maxUint32), def: "0", doc: "The quorum is gained at `quorum` and this, and lost below `quorum` less this."},
		{name: "adopt", kind: boolKind, def: "false", doc: "Take over a service, servers and a real server's address that somebody else made, even if they differ. Otherwise they are a conflict and stay as they are."},
	},
	blocks: append([]*block{persistenceBlock}, laterBlocks("lifecycle")...),
}

// protocols are the transports of IPVS.
var protocols = []string{"tcp", "udp", "sctp"}

var persistenceBlock = &block{
	name: "persistence", single: true, doc: "Sends a client to the server that it had before.",
	attrs: []attribute{
		{name: "timeout", kind: durationKind(time.Second, longest), def: `"6m"`, doc: "How long a client is remembered after its last connection, in whole seconds."},
		{name: "bits", kind: intKind(1, 128), doc: "The prefix length by which clients are told apart, such as 24; each address by itself if absent."},
		{name: "engine", kind: choice("sip"), doc: "What else tells clients apart: \"sip\" is the Call-ID, of udp."},
	},
}

// timeoutFields are what timeouts = { ... } may hold.
var timeoutFields = []attribute{
	{name: "tcp", kind: durationKind(time.Second, longest), doc: "Of established TCP connections."},
	{name: "tcp_fin", kind: durationKind(time.Second, longest), doc: "Of TCP connections after a FIN."},
	{name: "udp", kind: durationKind(time.Second, longest), doc: "Of UDP."},
}

var ipvsBlock = &block{
	name: "ipvs", single: true, doc: "What IPVS has beside services, on every director.",
	attrs: []attribute{
		{name: "timeouts", kind: named("object"), fields: timeoutFields, doc: "How long silent connections are remembered, in whole seconds; what is absent stays as it is."},
		{name: "sysctls", kind: named("map of values by name"), doc: "Settings below net/ipv4/vs, such as `{ expire_nodest_conn = 1 }`."},
	},
	blocks: []*block{syncBlock},
}

var syncBlock = &block{
	name: "sync", labels: []string{"name"}, doc: "Keeps the connections of an instance's members alike: the MASTER sends them, the others listen. A node takes part in one at most.",
	attrs: []attribute{
		{name: "on", kind: refKind("vrrp_instance"), required: true, doc: "The instance whose members and roles count."},
		{name: "interface", kind: stringKind, required: true, doc: "The device that carries them."},
		{name: "id", kind: intKind(0, 255), doc: "Tells several groups on one segment apart; the instance's VRID if absent."},
		{name: "max_len", kind: intKind(1, 65535), doc: "The bytes of one message; the kernel's choice, by the device's MTU, if absent."},
		{name: "group", kind: stringKind, def: `"224.0.0.81"`, doc: "The multicast group."},
		{name: "port", kind: portKind(), def: "8848", doc: "The UDP port."},
		{name: "ttl", kind: intKind(1, 255), def: "1", doc: "How many hops a message may take."},
	},
}
