package hcl

import "time"

// agentFile is what /etc/hareconcile/agent.hcl may hold.
var agentFile = &block{
	doc: "The host's own file, /etc/hareconcile/agent.hcl: what the host's owner fixes and no repository can change. It has no variables and no references.",
	attrs: []attribute{
		{name: "node_name", kind: stringKind, required: true, doc: "Which node of the cluster this host is."},
		{name: "data_dir", kind: pathKind, def: `"/var/lib/hareconcile"`, doc: "Where the last good revision is kept."},
		{name: "socket", kind: pathKind, def: `"/run/hareconcile/agent.sock"`, doc: "Where the agent listens for the command line."},
		{name: "vrrp_socket", kind: pathKind, def: `"/run/hareconcile/vrrpd.sock"`, doc: "Where hareconcile-vrrpd listens."},
	},
	blocks: append([]*block{
		{
			name: "source", labels: []string{"type", "name"}, single: true, doc: `Where the cluster comes from: a branch of a git repository. The only type is "git". No agent is without it.`,
			attrs: []attribute{
				{name: "url", kind: stringKind, required: true, doc: "A file, ssh or https URL, an absolute path, or user@host:path."},
				{name: "ref", kind: named("object"), required: true, doc: "What to follow: `{ branch = \"main\" }`."},
				{name: "path", kind: stringKind, doc: "The folder of cluster.hcl in the repository; its root if it is absent."},
				{name: "interval", kind: durationKind(100*time.Millisecond, 24*time.Hour), def: `"60s"`, doc: "The time between two fetches. While they fail it doubles from one to the next, up to 15 minutes; from 4 seconds on after a start."},
				{name: "jitter", kind: percentKind, def: `"10%"`, doc: "The share of the interval by which fetches wander. Nodes are spread over the interval anyway, by their names."},
				{name: "timeout", kind: durationKind(time.Second, time.Hour), def: `"60s"`, doc: "How long a fetch may take."},
				{name: "identity_file", kind: pathKind, doc: "ssh: the private key."},
				{name: "known_hosts_file", kind: pathKind, doc: "ssh: the servers' keys."},
				{name: "token_file", kind: pathKind, doc: "https: a file with a token, or USER:PASSWORD."},
				{name: "ca_file", kind: pathKind, doc: "https: the certificates to trust, in PEM."},
			},
		},
		{
			name: "verify", single: true, doc: "What a commit has to be before it counts.",
			attrs: append([]attribute{
				{name: "trusted_from", kind: stringKind, doc: "The first commit that this host trusts, at least 7 hexadecimal digits; with keys the whole hash, because anybody can make a commit that begins with a few digits. Without it no commit of a branch that is new to this host is taken, and the refusal says what to write."},
				{name: "mode", kind: choice("commit", "none"), doc: "`commit`: every new commit, not the last alone and on every side of a merge, has to be signed by somebody named here. `none`: no signature is asked for. Without it what holds follows from whether there are keys."},
				{name: "allowed_signers_file", kind: pathKind, doc: "ssh: whose keys count, a file of allowed signers (ssh-keygen(1)). Nobody but root may write it."},
				{name: "gpg_keys", kind: listOf(pathKind), doc: "OpenPGP: files with armored public keys that count. Nobody but root may write them."},
			}, laterAttrs("refuse_rewind")...),
		},
		{
			name: "reconcile", single: true, doc: "What the agent does with a difference.",
			attrs: append([]attribute{
				{name: "mode", kind: choice("apply", "plan-only"), def: `"apply"`, doc: "Whether it applies plans or only reports them."},
				{name: "allow_empty", kind: boolKind, def: "false", doc: "Whether a push may leave no virtual router, virtual server and haproxy of a definition that had some."},
				driftAttr,
			}, laterAttrs("prune")...),
			blocks: laterBlocks("retry"),
		},
		{
			name: "policies", single: true, doc: "Where policies are, beside those that are built in.",
			attrs: []attribute{
				{name: "mandatory_dir", kind: pathKind, doc: "The host's own policies; a repository cannot weaken them."},
				{name: "repo_dir", kind: stringKind, def: `"policies"`, doc: "The repository's policies, beside cluster.hcl."},
			},
		},
		{
			name: "plugins", single: true, doc: "Where plugins are and who runs them.",
			attrs: []attribute{
				{name: "dir", kind: pathKind, def: `"/usr/libexec/hareconcile/plugins"`, doc: "The folder of the binaries."},
				{name: "user", kind: stringKind, def: `"hareconcile-plugin"`, doc: "The user that runs them; nobody where it does not exist."},
				{name: "allow_exec", kind: boolKind, def: "false", doc: "Whether check \"exec\" and plugin \"exec\" may run programs of this host, as `user`. A repository that says which is a repository that runs them."},
				{name: "memory_limit", kind: sizeKind(16<<20, 64<<30), def: `"128MiB"`, doc: "What memory a plugin's process may have (RLIMIT_DATA)."},
			},
		},
		{
			name: "haproxy", single: true, doc: "What a repository may do with this host's haproxies. It may always name files below /etc/haproxy and /var/lib/haproxy, read those below /etc/ssl/certs, and name sockets there, below /run/haproxy, and /run/haproxy*.sock and /run/hareconcile/haproxy*.sock.",
			attrs: []attribute{
				{name: "folders", kind: listOf(pathKind), doc: "More folders in which it may name files and sockets, which are read and written as root."},
				{name: "raw_lines", kind: boolKind, def: "false", doc: "Whether it may add lines that are not known to be harmless: those that name other files, run programs or call Lua. Whoever may write any line is root on this host."},
			},
		},
		webhookBlock,
	}, laterBlocks("trial", "metrics", "notify", "coordination")...),
}

// labFile is what lab.hcl may hold.
var labFile = &block{
	doc: "lab.hcl beside cluster.hcl says what `hareconcile lab` needs to know beyond the cluster. It has no variables and no references.",
	blocks: []*block{
		{
			name: "segment", labels: []string{"name"}, doc: "One link layer: a bridge that joins the hosts' eth0; a host's second segment is its eth1, and so on.",
			attrs: []attribute{
				{name: "prefix", kind: prefix4Kind, required: true, doc: "The network, which holds its nodes' addresses."},
				{name: "nodes", kind: stringsKind, required: true, doc: "The cluster's nodes on it."},
			},
		},
		{
			name: "host", labels: []string{"name"}, doc: "A host that is no node of the cluster, such as a client.",
			attrs: []attribute{
				{name: "segment", kind: stringKind, required: true, doc: "The segment it is on."},
				{name: "address", kind: addressKind, required: true, doc: "Its address there."},
			},
		},
		gitBlock,
		{
			name: "serve", labels: []string{"host"}, doc: "A web server on a node or a host.",
			attrs: []attribute{
				{name: "body", kind: stringKind, required: true, doc: "What it answers."},
				{name: "port", kind: portKind(), def: "80", doc: "Where it listens."},
			},
		},
		{
			name: "restart", single: true, doc: "How the lab's supervisor restarts what died, as the units do.",
			attrs: []attribute{
				{name: "delay", kind: durationKind(10*time.Millisecond, time.Minute), def: `"100ms"`, doc: "The time between a death and the restart."},
			},
		},
	},
}
