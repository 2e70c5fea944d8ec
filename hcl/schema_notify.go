package hcl

import "time"

var notifyBlock = &block{
	name: "notify", labels: []string{"type", "name"}, static: true,
	doc: "Who is told of what happens: `notify \"exec\" \"NAME\"` runs a program of the host, `\"smtp\"` sends mail and `\"webhook\"` an HTTPS request. Each node tells of itself. None of them can delay a failover. See docs/notify.md.",
	attrs: []attribute{
		{name: "events", kind: stringsKind, required: true, doc: "The kinds of events to tell of, such as `vrrp_transition`, `real_server_down` or `rolled_back`; `hareconcile events` prints them."},
		{name: "on", kind: refsKind("vrrp_instance"), doc: "The instances of which transitions are told; those of all if it is absent. Other kinds of events are not bounded by it."},
		{name: "nodes", kind: stringsKind, doc: "The nodes that tell; all if it is absent."},
		{name: "command", kind: stringsKind, doc: "exec: the program's absolute path and its arguments. For a transition `INSTANCE`, the name, the state and the priority follow, as keepalived passes them. Needs `plugins { allow_exec = true }` on the host, and runs as that block's user."},
		{name: "timeout", kind: durationKind(time.Second, 10*time.Minute), def: `"10s"`, doc: "exec, webhook: how long one attempt may take. Then the program and its group are ended."},
		{name: "ensure", kind: boolKind, def: "false", doc: "exec, with vrrp_transition alone: the program is run again until it succeeds for the state that holds by then, also over restarts of the agent. States that were over before it ran are skipped."},
		{name: "server", kind: stringKind, doc: "smtp: the mail server, HOST:PORT."},
		{name: "tls", kind: choice("implicit", "starttls", "none"), def: `"implicit"`, doc: "smtp: how the connection is protected; `none` is for servers on this host alone."},
		{name: "username", kind: stringKind, doc: "smtp: who logs in."},
		{name: "password", kind: secretKind, secret: true, doc: "smtp: `secret(\"name\")`."},
		{name: "from", kind: stringKind, doc: "smtp: the sender's address."},
		{name: "recipients", kind: stringsKind, doc: "smtp: the addresses that get the mail."},
		{name: "per_minute", kind: intKind(1, 60), def: "6", doc: "smtp: how many mails a minute there may be. Events beyond that go together into the next one."},
		{name: "url", kind: stringKind, doc: "webhook: an https URL, or an http URL of this host (127.0.0.1, ::1)."},
		{name: "url_secret", kind: secretKind, secret: true, doc: "webhook: `secret(\"name\")` instead of `url`, where the URL itself lets people in."},
		{name: "secret", kind: secretKind, secret: true, doc: "webhook: `secret(\"name\")`: the header X-Signature-256 is `sha256=` and the HMAC-SHA256 of the body."},
	},
}

// notifyAttrs are the attributes that belong to one type of notify block.
var notifyAttrs = map[string][]string{
	"exec":    {"command", "timeout", "ensure"},
	"smtp":    {"server", "tls", "username", "password", "from", "recipients", "per_minute"},
	"webhook": {"url", "url_secret", "secret", "timeout"},
}
