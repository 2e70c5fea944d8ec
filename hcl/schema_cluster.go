package hcl

// clusterFile is what cluster.hcl and the files it includes may hold.
var clusterFile = &block{
	doc: "The folder that a node points at holds cluster.hcl. One definition serves every node.",
	blocks: append([]*block{
		hareconcileBlock, variableBlock, localsBlock, includeBlock, clusterBlock,
		vrrpBlock, syncGroupBlock, trackerBlock, poolBlock, virtualServerBlock, ipvsBlock, haproxyBlock, movedBlock,
	}, laterBlocks("notify", "check")...),
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

var movedBlock = &block{
	name: "moved", static: true, doc: "Says that a block was renamed.",
	attrs: []attribute{
		{name: "from", kind: rawKind, required: true, doc: "The old address, such as `pool.old`."},
		{name: "to", kind: rawKind, required: true, doc: "The new one, such as `pool.web`."},
	},
}
