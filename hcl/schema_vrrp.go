package hcl

import (
	"slices"
	"time"
)

var vrrpBlock = &block{
	name: "vrrp_instance", labels: []string{"name"}, each: true,
	doc: "One virtual router over several nodes, of one family: that of its advertised addresses.",
	attrs: slices.Concat([]attribute{
		{name: "interface", kind: stringKind, required: true, doc: "The device that carries adverts and addresses. It may come and go: without it the node is in FAULT."},
		{name: "virtual_router_id", kind: intKind(1, 255), required: true, doc: "The VRID; one router of a family per segment may have it."},
		{name: "version", kind: intKind(2, 3), def: "3", doc: "The protocol: 3 (RFC 9568), or 2 (RFC 3768, IPv4 only) beside routers that know no other."},
		{name: "advert_interval", kind: durationKind(10*time.Millisecond, 255*time.Second), def: `"1s"`, doc: "The time between adverts. Version 3: 10ms to 40.95s in whole hundredths of a second; version 2: whole seconds to 255s."},
		{name: "priority", kind: mapOf(intKind(1, 255)), required: true, doc: "The nodes that take part and their priorities; the highest that can becomes MASTER, and among equals the higher source address. 255 is the owner, which has the addresses for good; there is one at most."},
		{name: "preempt", kind: named(`"immediate", "never" or { delay = duration }`), def: `"immediate"`, doc: `Whether a higher priority takes the addresses from a living MASTER: "immediate", "never", or { delay = "30s" } after that MASTER was first heard.`},
		{name: "start_delay", kind: durationKind(0, time.Hour), def: `"0s"`, doc: "How long a node stays out of the election after vrrpd has started."},
		{name: "addresses", kind: prefixesKind, doc: "The virtual addresses with the length of their network, all of one family, the same on every member. An `address` block says more of one."},
		{name: "excluded", kind: prefixesKind, doc: "Addresses that are held beside those and not advertised, of either family: what does not fit a packet."},
		{name: "source", kind: addressMap, doc: "The members' addresses on this segment, where they are not the nodes' own. IPv6 by multicast without it is sent from the device's link-local address, so no stranger can be told from a member."},
		{name: "unicast", kind: boolKind, def: "false", doc: "Sends adverts to the other members and `peers` one by one instead of to the multicast group."},
		{name: "peers", kind: hostsKind, doc: "Routers that are no members, such as a keepalived that is still to be replaced: their adverts count, and with `unicast` they get ours."},
		{name: "min_ttl", kind: intKind(1, 255), def: "255", doc: "unicast: the least TTL or hop limit that an advert may arrive with. Below 255 routers may be between the members, and whoever forges a member's address behind them is heard: sign the adverts. keepalived's unicast over IPv6 has 64 unless its `unicast_ttl` says 255."},
		{name: "checksum", kind: choice("pseudo", "message"), def: `"pseudo"`, doc: `What the checksum of version 3 over IPv4 covers when it is sent: "pseudo" (with a pseudo-header, as keepalived and FRR) or "message" (RFC 9568). Both are received.`},
		{name: "accept", kind: boolKind, def: "true", doc: "Whether a MASTER that is not the owner accepts packets to the addresses (RFC 9568, Accept_Mode). Without it they are only good as gateways."},
		{name: "virtual_mac", kind: boolKind, def: "false", doc: "Puts the addresses on a macvlan with the virtual router's MAC (RFC 9568, section 7.3)."},
		{name: "realtime", kind: boolKind, def: "false", doc: "Asks for SCHED_RR and locked memory, for all of vrrpd on the members."},
		{name: "gates", kind: refsKind("tracker"), doc: "Trackers that have to be up; one that is down takes the node out of the election."},
		{name: "points", kind: pointsKind, doc: "What trackers do to the priority, which stays from 1 to 254: `[{ tracker = tracker.x, lose = 60, gain = 5, scale = 1 }]`. `lose` is taken away while it is down, `gain` added while it is up, and `scale` times the number in a file is added. They do nothing to an owner."},
	}, laterAttrs("adopt")),
	blocks: []*block{vipBlock, routeBlock, ruleBlock, announceBlock, authBlock},
}

var vipBlock = &block{
	name: "address", labels: []string{"name"}, doc: "A virtual address with options, beside those of `addresses`.",
	attrs: []attribute{
		{name: "cidr", kind: prefixKind, required: true, doc: "The address with the length of its network."},
		{name: "dev", kind: stringKind, doc: "The device that gets it, where it is not the instance's."},
		{name: "label", kind: stringKind, doc: "The address's label, IPv4 only: 1 to 15 characters."},
		{name: "scope", kind: choice("global", "site", "link", "host"), def: `"global"`, doc: "Where the address is valid, IPv4 only."},
		{name: "noprefixroute", kind: boolKind, def: "false", doc: "Adds no route to the address's network."},
		{name: "advertise", kind: boolKind, def: "true", doc: "Whether adverts name it; if not, it is like one of `excluded`."},
	},
}

var routeBlock = &block{
	name: "route", labels: []string{"name"}, doc: "A route that is there while the node is MASTER. Instances may share one; the last to leave takes it away.",
	attrs: []attribute{
		{name: "to", kind: networkKind, required: true, doc: "The destination; everything is `0.0.0.0/0` or `::/0`."},
		{name: "via", kind: hostKind, doc: "The next hop. A unicast route has this, `dev` or both."},
		{name: "dev", kind: stringKind, doc: "The device."},
		{name: "src", kind: hostKind, doc: "The address that the host prefers as source, such as a virtual one."},
		{name: "table", kind: intKind(1, maxUint32), def: "254", doc: "The number of the table; 254 is main."},
		{name: "metric", kind: intKind(0, maxUint32), def: "0", doc: "The smaller one is preferred; 0 leaves it to the kernel."},
		{name: "scope", kind: choice("global", "link", "host"), doc: "How far the destination is, IPv4 only; the kernel's choice if absent: link without `via`, else global."},
		{name: "mtu", kind: intKind(68, 65535), doc: "The path's MTU."},
		{name: "onlink", kind: boolKind, def: "false", doc: "Takes the next hop as reachable on `dev` even if no prefix says so."},
		{name: "type", kind: choice("unicast", "blackhole", "unreachable", "prohibit"), def: `"unicast"`, doc: "What becomes of packets; the others than unicast have no next hop."},
	},
}

var ruleBlock = &block{
	name: "rule", labels: []string{"name"}, doc: "A policy rule that is there while the node is MASTER. Its family is that of `from` and `to`, or the instance's.",
	attrs: []attribute{
		{name: "priority", kind: intKind(1, maxUint32), required: true, doc: "Its place; the kernel's own are 0 (local), 32766 (main) and 32767 (default)."},
		{name: "from", kind: networkKind, doc: "The packet's source."},
		{name: "to", kind: networkKind, doc: "The packet's destination."},
		{name: "iif", kind: stringKind, doc: "The device it came from."},
		{name: "oif", kind: stringKind, doc: "The device its socket is bound to."},
		{name: "fwmark", kind: markKind, doc: "The packet's mark, with a mask if need be, such as `\"0x10/0xff\"`."},
		{name: "table", kind: intKind(1, maxUint32), doc: "The table to look in. Either this or `action` is written."},
		{name: "action", kind: choice("blackhole", "unreachable", "prohibit"), doc: "What becomes of the packet instead."},
	},
}

var announceBlock = &block{
	name: "announce", single: true, doc: "How the addresses are announced by gratuitous ARP and unsolicited neighbour advertisements.",
	attrs: []attribute{
		{name: "repeat", kind: intKind(1, 100), def: "5", doc: "How often each address is announced in a burst."},
		{name: "delay", kind: durationKind(0, time.Hour), def: `"5s"`, doc: "The time from the first burst to the second; 0s sends none."},
		{name: "refresh", kind: durationKind(0, 24*time.Hour), def: `"0s"`, doc: "The time between repetitions while MASTER; 0s sends none."},
		{name: "interval", kind: durationKind(0, time.Second), def: `"0s"`, doc: "The least time between two frames on one interface."},
	},
}

var authBlock = &block{
	name: "auth", single: true, doc: "Which adverts count. Either a password (version 2) or keys (version 3). Secrets are files on the hosts: here are their names only.",
	attrs: []attribute{
		{name: "password", kind: secretKind, secret: true, doc: "Version 2: `secret(\"name\")`, of 8 bytes at most. It travels in the clear, so it is no security; it is there to join routers that ask for it."},
		{name: "mode", kind: choice("receive-only", "permissive", "enforce"), def: `"enforce"`, doc: "Version 3: `receive-only` sends unsigned and checks what is signed, `permissive` signs as well, `enforce` lets nothing unsigned count. A rollout goes through them in this order."},
		{name: "active", kind: intKind(1, 255), doc: "Version 3: the id of the key that signs; may be left out if there is one."},
		{name: "window", kind: durationKind(time.Second, 300*time.Second), doc: "Version 3: how far a signature's time may be from the clock; the larger of three intervals and 5s if absent."},
	},
	blocks: []*block{{
		name: "key", labels: []string{"id"}, doc: "A key of HMAC-SHA256 (draft-cassen-vrrp-auth-hmac), with an id from 1 to 255.",
		attrs: []attribute{
			{name: "secret", kind: secretKind, secret: true, required: true, doc: "`secret(\"name\")`: a file of 32 to 64 bytes on every member. That is checked where the file is: a node refuses a key that is too short."},
		},
	}},
}

var syncGroupBlock = &block{
	name: "sync_group", labels: []string{"name"}, each: true, doc: "Instances that are MASTER on one node together, or not at all.",
	attrs: []attribute{
		{name: "members", kind: refsKind("vrrp_instance"), required: true, doc: "At least two instances with the same nodes in the same order of priority."},
		{name: "gates", kind: refsKind("tracker"), doc: "Trackers that have to be up, for every member."},
		{name: "points", kind: pointsKind, doc: "What trackers do to the priority of every member; the members may not have points of their own."},
	},
}
