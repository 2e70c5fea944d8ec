package hcl

import (
	"time"

	"github.com/zclconf/go-cty/cty"
)

// haproxyTimeouts are the timeouts of haproxy (configuration.txt, section 4.2), and
// haproxyBalances the first words of balance.
var (
	haproxyTimeouts = []string{"check", "client", "client-fin", "connect", "http-keep-alive", "http-request", "queue", "server", "server-fin", "tarpit", "tunnel"}
	haproxyBalances = []string{"roundrobin", "static-rr", "leastconn", "first", "source", "hash", "uri", "url_param", "hdr", "random", "rdp-cookie"}
)

// haproxyLongest is what fits into haproxy's 31 bits of milliseconds.
const haproxyLongest = 20 * 24 * time.Hour

var (
	bindKind     = kind{name: "IP address", typ: cty.String, check: checkBind}
	crtKind      = kind{name: "list of absolute path", typ: cty.List(cty.String), check: each(checkFileOrFolder)}
	timesKind    = kind{name: "map of duration by name", typ: cty.Map(cty.String), check: each(durationKind(time.Millisecond, haproxyLongest).check)}
	interKind    = durationKind(10*time.Millisecond, 24*time.Hour)
	proxyMode    = attribute{name: "mode", kind: choice("http", "tcp"), doc: "What is spoken, where the defaults do not say; tcp if neither does."}
	proxyFrom    = attribute{name: "from", kind: stringKind, doc: "The block `defaults` of the same haproxy whose settings it has. Without it nothing is preset, not even by defaults of the user's own files."}
	proxyRaw     = attribute{name: "raw", kind: stringKind, doc: "More lines, after everything else, as they are."}
	directiveDoc = "Lines, in order and as they are, of what has no attribute here. A change of them is a reload."
)

var haproxyBlock = &block{
	name: "haproxy", labels: []string{"name"}, each: true,
	doc: "What is added to the haproxy of some nodes: one file, `50-hareconcile.cfg` in `config_dir`, which haproxy loads beside the user's own (`-f`). Weights, addresses, states and connection limits of servers, maps and certificates change in the running process; all else by one reload. " +
		"Lines that people add may start no section, hold no `.if` and set nothing that has an attribute here. What names files outside haproxy's folders, runs programs or is not known to be harmless, a host takes only if its agent.hcl says so (`haproxy`). In HCL, `${` is written `$${` and `%{` is `%%{`.",
	attrs: []attribute{
		{name: "nodes", kind: stringsKind, required: true, doc: "The nodes that run it."},
		{name: "requires", kind: stringKind, doc: "The lowest release that it is meant for, such as \">= 2.6\"."},
		{name: "config_dir", kind: proxyPath, required: true, doc: "The folder of the managed file, which haproxy gets by `-f`. It is for this file alone: what haproxy reads after it, and names no defaults, would have ours."},
		{name: "runtime_socket", kind: proxyPath, required: true, doc: "The socket for runtime commands; the managed file declares it."},
		{name: "runtime_group", kind: stringKind, doc: "The group that may use it, beside root."},
		{name: "master_socket", kind: proxyPath, required: true, doc: "The master's socket: haproxy runs with `-W` or `-Ws` and `-S` this path."},
		{name: "ignore_runtime", kind: listOf(choice("admin_state", "weight")), def: `["admin_state"]`, doc: "What people may set by hand on a server: it is reported and left."},
		{name: "add_servers", kind: choice("auto", "never", "always"), def: `"auto"`, doc: "Whether servers come and go without a reload: \"auto\" is where the running release does it well."},
		{name: "adopt", kind: boolKind, def: "false", doc: "Take over a file of that name which somebody else wrote."},
		{name: "overwrite", kind: boolKind, def: "false", doc: "Take over the managed file after somebody changed it."},
		{name: "raw_sections", kind: stringsKind, doc: "Whole sections, as they are: userlist, peers, mailers, resolvers, cache, ring, log-forward, http-errors, fcgi-app. Plans show them, so passwords belong into files or the environment of haproxy."},
	},
	blocks: []*block{haproxyReload, haproxyDefaults, haproxyFrontend, haproxyBackend, haproxyMap, haproxyCertificate},
}

var haproxyReload = &block{
	name: "reload", single: true, doc: "How reloads are made.",
	attrs: []attribute{
		{name: "min_interval", kind: durationKind(0, time.Hour), def: `"5s"`, doc: "The least time between two; changes in between go into one."},
		{name: "timeout", kind: durationKind(time.Second, 10*time.Minute), def: `"30s"`, doc: "How long the new worker may take to serve."},
		{name: "on_failure", kind: choice("restore", "keep"), def: `"restore"`, doc: "What becomes of a file whose reload failed: the last good one comes back, or it stays. The old worker serves on either way."},
	},
}

var haproxyDefaults = &block{
	name: "defaults", labels: []string{"name"}, doc: "Settings that frontends and backends have by `from`.",
	attrs: []attribute{
		{name: "mode", kind: choice("http", "tcp"), doc: "What is spoken; tcp if absent."},
		{name: "timeouts", kind: timesKind, doc: "By name: client, connect, server, queue, tunnel and so on, in milliseconds or longer."},
		{name: "directives", kind: stringsKind, doc: directiveDoc},
	},
}

var haproxyFrontend = &block{
	name: "frontend", labels: []string{"name"}, doc: "Where clients arrive.",
	attrs: []attribute{
		proxyFrom, proxyMode,
		{name: "maxconn", kind: intKind(1, 10_000_000), doc: "How many connections it may have; haproxy's choice if absent."},
		{name: "default_backend", kind: stringKind, doc: "The backend of what no route takes."},
		{name: "directives", kind: stringsKind, doc: directiveDoc + " They come before the routes."},
		proxyRaw,
	},
	blocks: []*block{
		{
			name: "bind", labels: []string{"name"}, doc: "An address and port to listen on.",
			attrs: []attribute{
				{name: "address", kind: bindKind, required: true, doc: "The address; \"0.0.0.0\" and \"::\" are all of their family."},
				{name: "port", kind: portKind(), required: true, doc: "The port."},
				{name: "nonlocal", kind: choice("transparent", "sysctl", "none"), doc: "How it listens on an address that the node does not have: with `transparent` in its line, by net.ipv4.ip_nonlocal_bind (net.ipv6. for IPv6), which is set for the whole host, or not at all. \"transparent\" for virtual addresses of the cluster, otherwise \"none\"."},
				{name: "params", kind: stringsKind, doc: "The rest of the line, such as `[\"accept-proxy\"]`."},
			},
			blocks: []*block{{
				name: "ssl", single: true, doc: "Speaks TLS.",
				attrs: []attribute{
					{name: "crt", kind: crtKind, required: true, doc: "Files with certificate and key, or folders of them."},
					{name: "alpn", kind: stringsKind, doc: "Protocols, such as `[\"h2\", \"http/1.1\"]`."},
					{name: "min_version", kind: choice("TLSv1.0", "TLSv1.1", "TLSv1.2", "TLSv1.3"), doc: "The lowest version."},
				},
			}},
		},
		{
			name: "route", doc: "Sends some requests to a backend; the first that fits counts.",
			attrs: []attribute{
				{name: "backend", kind: stringKind, required: true, doc: "The backend, or an expression for its name such as \"%[req.hdr(host),lower,map(/etc/haproxy/hosts.map)]\"."},
				{name: "when", kind: stringKind, doc: "The condition, as haproxy writes it after `if`: \"{ path_beg /api }\". Only an expression may go without."},
			},
		},
	},
}

var haproxyBackend = &block{
	name: "backend", labels: []string{"name"}, doc: "Servers, and how requests are spread over them.",
	attrs: []attribute{
		proxyFrom, proxyMode,
		{name: "balance", kind: stringKind, doc: "The algorithm, with its arguments: \"leastconn\", \"uri depth 2\"; roundrobin if absent."},
		{name: "hash", kind: stringKind, doc: "The hash-type of source, uri and the like: \"consistent\" lets servers come, go and change weight with little disturbance."},
		{name: "directives", kind: stringsKind, doc: directiveDoc + " They come before the servers."},
		proxyRaw,
		{name: "server_defaults", kind: named("object"), fields: haproxyServerDefaults, doc: "What servers have where they do not say otherwise."},
	},
	blocks: []*block{
		{
			name: "check", labels: []string{"type"}, single: true, doc: "What every server is asked: \"tcp\" connects, \"http\" sends a request. Without it servers are always up.",
			attrs: []attribute{
				{name: "method", kind: stringKind, doc: "http: the method; GET if absent."},
				{name: "uri", kind: stringKind, doc: "http: the path; / if absent."},
				{name: "host", kind: stringKind, doc: "http: the header Host, with HTTP/1.1."},
				{name: "expect", kind: stringKind, doc: "http: what passes, as after `http-check expect`: \"status 200-299\", \"string ok\"; status 2xx and 3xx if absent."},
			},
		},
		haproxyServer,
	},
}

// haproxyServerDefaults are what server_defaults may hold.
var haproxyServerDefaults = []attribute{
	{name: "port", kind: portKind(), doc: "The port."},
	{name: "weight", kind: intKind(0, 256), def: "1", doc: "The weight."},
	{name: "maxconn", kind: intKind(1, 10_000_000), doc: "How many connections each may have."},
	{name: "inter", kind: interKind, doc: "The time between two checks."},
	{name: "rise", kind: intKind(1, 10_000), doc: "How many good checks in a row make it up."},
	{name: "fall", kind: intKind(1, 10_000), doc: "How many bad checks in a row make it down."},
	{name: "slowstart", kind: interKind, doc: "How long a server that came up takes to its full weight."},
	{name: "params", kind: stringsKind, doc: "The rest of the line; before a server's own."},
}

var haproxyServer = &block{
	name: "server", labels: []string{"name"}, doc: "One server.",
	attrs: []attribute{
		{name: "address", kind: stringKind, required: true, doc: "An IP address, or the name of a node. Names are not resolved."},
		{name: "port", kind: portKind(), doc: "The port; needed here or in server_defaults."},
		{name: "weight", kind: intKind(0, 256), doc: "Its share; 1 if absent. 0 gets nothing new. Algorithms that are static (`source` without hash = \"consistent\" and the like) know 0 and 1."},
		{name: "maxconn", kind: intKind(1, 10_000_000), doc: "How many connections it may have; no bound if absent."},
		{name: "admin", kind: choice("ready", "drain", "maint"), def: `"ready"`, doc: "\"drain\" gets no new clients, \"maint\" nothing at all."},
		{name: "backup", kind: boolKind, def: "false", doc: "Serves only while no other does."},
		{name: "check", kind: boolKind, doc: "Whether it is checked; true where the backend has a check."},
		{name: "inter", kind: interKind, doc: "The time between two checks; 2s if absent."},
		{name: "rise", kind: intKind(1, 10_000), doc: "How many good checks in a row make it up; 2 if absent."},
		{name: "fall", kind: intKind(1, 10_000), doc: "How many bad checks in a row make it down; 3 if absent."},
		{name: "slowstart", kind: interKind, doc: "How long it takes to its full weight after it came up; at once if absent."},
		{name: "params", kind: stringsKind, doc: "The rest of the line, such as `[\"send-proxy-v2\"]`."},
	},
}

var haproxyMap = &block{
	name: "map", labels: []string{"name"}, doc: "A map file, which changes in the running process as well.",
	attrs: []attribute{
		{name: "path", kind: proxyPath, required: true, doc: "The file."},
		{name: "entries", kind: kind{name: "map of strings", typ: cty.Map(cty.String), check: each(checkMapValue)}, required: true, doc: "Keys and their values."},
	},
}

var haproxyCertificate = &block{
	name: "certificate", labels: []string{"name"}, doc: "A file with a certificate and its key that something else puts on the node. When it changes, the running process takes it without a reload.",
	attrs: []attribute{
		{name: "path", kind: proxyPath, required: true, doc: "The file, as a bind's `crt` names it or as it lies in a folder that one names."},
	},
}
