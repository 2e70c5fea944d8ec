package hcl

import (
	"slices"
	"time"
)

// Schedulers that Linux has, as ipvsadm -s names them.
var schedulers = []string{"rr", "wrr", "lc", "wlc", "lblc", "lblcr", "sh", "mh", "dh", "sed", "nq", "fo", "ovf"}

// clusterFile is what cluster.hcl and the files it includes may hold.
var clusterFile = &block{
	doc: "The folder that a node points at holds cluster.hcl. One definition serves every node.",
	blocks: append([]*block{
		hareconcileBlock, variableBlock, localsBlock, includeBlock, clusterBlock,
		vrrpBlock, syncGroupBlock, trackerBlock, poolBlock, virtualServerBlock, movedBlock,
	}, laterBlocks("haproxy", "notify", "check")...),
}

var hareconcileBlock = &block{
	name: "hareconcile", single: true, static: true, doc: "What the file needs of the program.",
	attrs: []attribute{
		{name: "required_version", kind: stringKind, doc: `The versions that may read the file, such as ">= 0.1, < 1.0".`},
	},
	blocks: laterBlocks("required_plugins"),
}

var variableBlock = &block{
	name: "variable", labels: []string{"name"}, static: true,
	doc: "A value that *.hcvars files beside cluster.hcl may set; used as `var.NAME`.",
	attrs: []attribute{
		{name: "type", kind: rawKind, doc: "The type, such as `string`, `list(number)` or `object({ port = number, weight = optional(number, 1) })`; any type if it is absent."},
		{name: "default", kind: anyKind, doc: "The value where nothing else sets it. A variable without one has to be set."},
		{name: "description", kind: stringKind, doc: "What it is for."},
		{name: "sensitive", kind: boolKind, def: "false", doc: "Keeps the value out of every message; it is refused where a value is shown."},
	},
	blocks: []*block{{
		name: "validation", doc: "A rule that the value has to meet.",
		attrs: []attribute{
			{name: "condition", kind: boolKind, required: true, doc: "Is true for values that are right."},
			{name: "error_message", kind: stringKind, required: true, doc: "What to say of others."},
		},
	}},
}

var localsBlock = &block{
	name: "locals", open: true,
	doc: "Named expressions, used as `local.NAME`, in any order.",
}

var includeBlock = &block{
	name: "include", static: true, doc: "Other files of the same folder, in sorted order. Only cluster.hcl includes.",
	attrs: []attribute{
		{name: "paths", kind: stringsKind, required: true, doc: "Literal patterns relative to cluster.hcl, such as `conf.d/*.hcl`. They may not leave the folder."},
		{name: "optional", kind: boolKind, def: "false", doc: "Whether a pattern may match nothing."},
	},
}

var clusterBlock = &block{
	name: "cluster", labels: []string{"name"}, single: true, static: true, doc: "The nodes, and how a push reaches them.",
	blocks: []*block{
		{
			name: "node", labels: []string{"name"}, doc: "One host.",
			attrs: append([]attribute{
				{name: "address", kind: hostKind, required: true, doc: "Where the other nodes reach it; the source of its adverts of that family unless an instance says otherwise."},
			}, laterAttrs("labels")...),
		},
		{
			name: "rollout", single: true, doc: "What one push may do.",
			attrs: append([]attribute{
				{name: "max_destroy", kind: percentKind, doc: "The share of the managed objects that one plan may delete. Without it nothing bounds a plan but the policies."},
			}, laterAttrs("order", "max_parallel", "min_healthy_time", "healthy_deadline", "progress_deadline", "auto_revert", "handover", "on_unreachable")...),
		},
		{name: "coordination", later: true},
	},
}

var poolBlock = &block{
	name: "pool", labels: []string{"name"}, each: true, doc: "Servers that are checked together.",
	attrs: []attribute{
		{name: "port", kind: portKind(), required: true, doc: "The servers' port."},
		{name: "on_fail", kind: choice("weight_zero", "remove"), def: `"weight_zero"`, doc: "What a failed server gets: weight 0, so that its connections end in peace, or no entry in the table."},
	},
	blocks: []*block{
		{
			name: "server", labels: []string{"name"}, doc: "One server.",
			attrs: []attribute{
				{name: "address", kind: addressKind, required: true, doc: "Its address. 127.0.0.1 means the director itself."},
				{name: "port", kind: portKind(), doc: "Its port where it is not the pool's."},
				{name: "weight", kind: intKind(0, 65535), def: "1", doc: "Its share of new connections; 0 gives it none."},
			},
		},
		checkBlock,
	},
}

var checkBlock = &block{
	name: "check", labels: []string{"type"}, doc: `How every server of the pool is probed: "http" or "tcp". All checks have to pass; without any, servers count as up.`,
	attrs: append([]attribute{
		{name: "path", kind: stringKind, def: `"/"`, doc: "http: what is asked for."},
		{name: "method", kind: choice("GET", "HEAD", "OPTIONS"), def: `"GET"`, doc: "http: the method."},
		{name: "host", kind: stringKind, doc: "http: the Host header; the server's address if it is absent."},
		{name: "expect", kind: named("object"), def: "{ status = [200] }", doc: "http: what passes: `{ status = [200, 204] }`."},
		{name: "interval", kind: durationKind(10*time.Millisecond, 24*time.Hour), def: `"2s"`, doc: "The time between two probes of a server."},
		{name: "timeout", kind: durationKind(time.Millisecond, time.Hour), def: `"1s"`, doc: "How long an answer may take; no longer than the interval."},
		{name: "rise", kind: intKind(1, 100), def: "2", doc: "How many passes in a row bring a server into service."},
		{name: "fall", kind: intKind(1, 100), def: "2", doc: "How many failures in a row take it out."},
	}, laterAttrs("port", "body", "headers", "tls", "jitter", "retry")...),
}

var virtualServerBlock = &block{
	name: "virtual_server", labels: []string{"name"}, each: true, doc: "One IPVS service on the nodes of a VRRP instance.",
	attrs: slices.Concat([]attribute{
		{name: "on", kind: refKind("vrrp_instance"), required: true, doc: "The instance whose members are the directors."},
		{name: "address", kind: addressKind, required: true, doc: "The service's address, one of the instance's."},
		{name: "port", kind: portKind(), required: true, doc: "The service's port."},
		{name: "protocol", kind: choice("tcp", "udp"), def: `"tcp"`, doc: "The transport."},
		{name: "scheduler", kind: choice(schedulers...), def: `"wlc"`, doc: "How connections are spread, as in ipvsadm."},
		{name: "forward", kind: choice("dr", "nat", "tunnel"), required: true, doc: `How packets reach the servers: "dr" in this version. Servers that are nodes get the address on lo and their arp sysctls.`},
		{name: "pool", kind: refKind("pool"), required: true, doc: "The servers."},
		{name: "sorry", kind: refKind("pool"), doc: "The servers that answer while none of the pool is in service."},
		{name: "adopt", kind: boolKind, def: "false", doc: "Take over a service, servers and a real server's address that somebody else made, even if they differ. Otherwise they are a conflict and stay as they are."},
	}, laterAttrs("program", "quorum", "ops", "hysteresis")),
	blocks: laterBlocks("lifecycle", "persistence"),
}

var movedBlock = &block{
	name: "moved", static: true, doc: "Says that a block was renamed.",
	attrs: []attribute{
		{name: "from", kind: rawKind, required: true, doc: "The old address, such as `pool.old`."},
		{name: "to", kind: rawKind, required: true, doc: "The new one, such as `pool.web`."},
	},
}
