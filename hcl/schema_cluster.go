package hcl

import "time"

// clusterFile is what cluster.hcl and the files it includes may hold.
var clusterFile = &block{
	doc: "The folder that a node points at holds cluster.hcl. One definition serves every node.",
	blocks: append([]*block{
		hareconcileBlock, variableBlock, localsBlock, includeBlock, clusterBlock,
		vrrpBlock, syncGroupBlock, trackerBlock, poolBlock, virtualServerBlock, ipvsBlock, haproxyBlock, notifyBlock, movedBlock,
	}, laterBlocks("check")...),
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
				{name: "key", kind: stringKind, doc: "The node's public key, as `hareconcile node-key` prints it there: \"ed25519:...\". Once every node has one, a push goes from node to node in turn; without them each node applies it at once."},
			}, laterAttrs("labels")...),
		},
		{
			name: "rollout", single: true, doc: "How a push reaches the nodes, and what it may do.",
			attrs: []attribute{
				{name: "max_destroy", kind: percentKind, doc: "The share of the managed objects that one plan may delete. Without it nothing bounds a plan but the policies."},
				{name: "min_healthy_time", kind: durationKind(0, time.Hour), def: `"10s"`, doc: "How long a node has to be healthy, without a break, before a revision counts as verified there and the next node may go."},
				{name: "healthy_deadline", kind: durationKind(time.Second, 24*time.Hour), def: `"2m"`, doc: "How long that may take. Then the node goes back to its last good revision, and the new one is quarantined."},
				{name: "progress_deadline", kind: durationKind(time.Second, 30*24*time.Hour), def: `"10m"`, doc: "How long a node waits for its turn before status calls the rollout stalled."},
				{name: "auto_revert", kind: boolKind, def: "true", doc: "Whether a revision that cannot be verified is undone."},
				{name: "handover", kind: boolKind, def: "true", doc: "Whether a master hands over before it makes a change that moves addresses or resets connections."},
				{name: "on_unreachable", kind: choice("wait", "skip"), def: `"wait"`, doc: "Whether a node that cannot be reached blocks the rollout, or counts as absent after `progress_deadline`."},
				{name: "peer_port", kind: portKind(), def: "9276", doc: "The tcp port on which nodes tell each other how they are, on their addresses, over mutual TLS."},
			},
		},
		{name: "coordination", later: true},
	},
}

var movedBlock = &block{
	name: "moved", static: true, doc: "Says that a block was renamed.",
	attrs: []attribute{
		{name: "from", kind: rawKind, required: true, doc: "The old address, such as `pool.old`."},
		{name: "to", kind: rawKind, required: true, doc: "The new one, such as `pool.web`."},
	},
}
