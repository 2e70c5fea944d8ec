package hcl

import (
	"slices"
	"time"
)

// A checkType is one type of check: its attributes of checkBlock, and the fields of expect
// that mean something to it.
type checkType struct {
	name   string
	attrs  []string
	needs  []string // which of attrs have to be written
	expect []string
	ported bool // it asks a port
}

// What checks of several types have: times of what is sampled, and where the probe goes.
var (
	sampled = []string{"interval", "timeout", "retry", "jitter", "rise", "fall", "degraded_after"}
	aimed   = []string{"address", "port", "source", "dev", "mark"}
	request = []string{"path", "method", "host", "headers", "body", "version", "redirects", "dynamic", "weight_header", "expect"}
	answers = []string{"status", "degraded", "contains", "not_contains", "regex", "digest"}
)

// checkTypes are all types, in the order in which people are told of them.
var checkTypes = []checkType{
	{name: "tcp", attrs: fits(sampled, aimed, "send", "send_hex", "expect", "tls"), expect: []string{"contains", "regex"}, ported: true},
	{name: "http", attrs: fits(sampled, aimed, request...), expect: answers, ported: true},
	{name: "https", attrs: append(fits(sampled, aimed, request...), "tls"), expect: answers, ported: true},
	{name: "dns", attrs: fits(sampled, aimed, "name", "query", "transport", "expect", "tls"), expect: []string{"rcodes", "answer", "contains"}, ported: true},
	{name: "smtp", attrs: fits(sampled, aimed, "helo", "starttls", "tls"), ported: true},
	{name: "ping", attrs: fits(sampled, []string{"address", "source", "dev", "mark"})},
	{name: "udp", attrs: fits(sampled, aimed, "send", "send_hex", "expect"), expect: []string{"any", "reply", "min_bytes", "max_bytes"}, ported: true},
	{name: "grpc", attrs: fits(sampled, aimed, "service", "authority", "tls"), ported: true},
	{name: "redis", attrs: fits(sampled, aimed, "user", "password", "expect", "tls"), expect: []string{"role"}, ported: true},
	{name: "mysql", attrs: fits(sampled, aimed, "user", "password", "database"), ported: true},
	{name: "postgresql", attrs: fits(sampled, aimed, "user", "password", "database"), ported: true},
	{name: "exec", attrs: fits(sampled, []string{"address", "port"}, "command", "dynamic"), needs: []string{"command"}},
	{name: "plugin", attrs: fits(sampled, []string{"address", "port"}, "plugin", "config"), needs: []string{"plugin"}},
	{name: "file", attrs: fits(sampled, nil, "file", "dynamic"), needs: []string{"file"}},
	{name: "bfd", attrs: []string{"address", "source", "dev", "interval", "multiplier"}},
}

func fits(a, b []string, more ...string) []string { return slices.Concat(a, b, more) }

// checkTypeNames returns the names of the types.
func checkTypeNames() []string {
	var names []string
	for _, t := range checkTypes {
		names = append(names, t.name)
	}
	return names
}

// tlsFields are what tls = { ... } may hold.
var tlsFields = []attribute{
	{name: "verify", kind: boolKind, def: "true", doc: "Whether the certificate has to be valid, for `name`."},
	{name: "name", kind: stringKind, doc: "The name that is asked for (SNI) and that the certificate has to have; `host` or the server's address if absent."},
	{name: "ca_file", kind: pathKind, doc: "The certificates that are trusted, a file of the directors; the system's if absent."},
	{name: "cert_file", kind: pathKind, doc: "The probe's own certificate, a file of the directors."},
	{name: "key_file", kind: pathKind, doc: "The key of `cert_file`."},
}

// expectFields are what expect = { ... } may hold.
var expectFields = []attribute{
	{name: "status", kind: stringsKind, def: "[200]", doc: "http, https: the codes that pass, such as `[200, \"300-399\"]`."},
	{name: "degraded", kind: stringsKind, doc: "http, https: the codes that pass and call the server degraded."},
	{name: "contains", kind: stringKind, doc: "tcp, http, https, dns: a text that the answer, its body or a record of it contains."},
	{name: "not_contains", kind: stringKind, doc: "http, https: a text that the body does not contain."},
	{name: "regex", kind: stringKind, doc: "tcp, http, https: a pattern (RE2) that the answer or its body matches."},
	{name: "digest", kind: stringKind, doc: "http, https: the MD5 of the body, as keepalived's genhash prints it."},
	{name: "rcodes", kind: listOf(choice(rcodes...)), def: `["NOERROR"]`, doc: "dns: the response codes that pass."},
	{name: "answer", kind: boolKind, def: "false", doc: "dns: whether there has to be a record of the type that was asked for."},
	{name: "any", kind: boolKind, def: "false", doc: "udp: whether something has to come back. Without any of its fields, silence passes and only a refusal (ICMP) fails."},
	{name: "reply", kind: stringKind, doc: "udp: what the answer starts with, in hex digits; x is any digit."},
	{name: "min_bytes", kind: intKind(1, 65507), doc: "udp: the least length of the answer."},
	{name: "max_bytes", kind: intKind(1, 65507), doc: "udp: the greatest length of the answer."},
	{name: "role", kind: choice("master", "slave"), doc: "redis: the role that it has to have, as in INFO replication."},
}

// rcodes are the response codes of DNS (RFC 1035, section 4.1.1).
var rcodes = []string{"NOERROR", "FORMERR", "SERVFAIL", "NXDOMAIN", "NOTIMP", "REFUSED"}

var checkBlock = &block{
	name: "check", labels: []string{"type"},
	doc: "How every server of the pool is probed. The type is " + oneOf(checkTypeNames()) + ". Without any check, servers count as up.",
	attrs: slices.Concat([]attribute{
		{name: "interval", kind: durationKind(10*time.Millisecond, 24*time.Hour), def: `"2s"`, doc: "The time between two probes of a server. bfd: between packets in both directions, 100ms if absent and 1m at most."},
		{name: "timeout", kind: durationKind(time.Millisecond, time.Hour), def: `"1s"`, doc: "How long an answer may take; no longer than the interval."},
		{name: "retry", kind: durationKind(10*time.Millisecond, 24*time.Hour), doc: "The time between two probes while the verdict is about to change; the interval if absent."},
		{name: "jitter", kind: percentKind, doc: "The share of the interval by which probes wander, such as \"10%\". They are spread over the interval anyway."},
		{name: "rise", kind: intKind(1, 100), def: "2", doc: "How many passes in a row bring a server into service."},
		{name: "fall", kind: intKind(1, 100), def: "2", doc: "How many failures in a row take it out."},
		{name: "degraded_after", kind: durationKind(time.Millisecond, time.Hour), doc: "A passing server whose answer takes longer is degraded."},
		{name: "address", kind: hostKind, doc: "What is asked instead of the server's own address."},
		{name: "port", kind: portKind(), doc: "What is asked instead of the server's own port."},
		{name: "source", kind: hostKind, doc: "The probe's local address."},
		{name: "dev", kind: stringKind, doc: "The device that the probe is bound to."},
		{name: "mark", kind: plainMarkKind, doc: "The firewall mark of the probe's packets."},
		{name: "tls", kind: named("object"), fields: tlsFields, doc: "Wraps the connection: `tls = {}` is enough. https has it anyway; dns with `transport = \"tls\"`, smtp with `starttls`, too."},
		{name: "expect", kind: named("object"), fields: expectFields, doc: "What passes. All that is written has to be true."},
	}, httpAttrs, otherAttrs),
}

var httpAttrs = []attribute{
	{name: "path", kind: stringKind, def: `"/"`, doc: "http, https: what is asked for."},
	{name: "method", kind: choice("GET", "HEAD", "OPTIONS", "POST", "PUT"), def: `"GET"`, doc: "http, https: the method."},
	{name: "host", kind: stringKind, doc: "http, https: the Host header; the server's address if it is absent."},
	{name: "headers", kind: textsKind, doc: "http, https: further headers."},
	{name: "body", kind: stringKind, doc: "http, https: what is sent with POST or PUT."},
	{name: "version", kind: choice("1.0", "1.1", "2"), def: `"1.1"`, doc: "http, https: the version of HTTP."},
	{name: "redirects", kind: intKind(0, 10), def: "0", doc: "http, https: how many redirects are followed, on the same server. At 0 they are answers."},
	{name: "dynamic", kind: boolKind, def: "false", doc: "http, https, exec, file: the check says the server's weight, too: `weight_header`, the exit status less 2 (2 to 255, as keepalived's misc_dynamic), or the file's number."},
	{name: "weight_header", kind: stringKind, doc: "http, https: the header of the answer that holds the weight."},
}

var otherAttrs = []attribute{
	{name: "send", kind: stringKind, doc: "tcp, udp: the text that is sent."},
	{name: "send_hex", kind: stringKind, doc: "tcp, udp: what is sent, in hex digits."},
	{name: "transport", kind: choice("udp", "tcp", "tls"), def: `"udp"`, doc: "dns: how the question travels."},
	{name: "name", kind: stringKind, def: `"."`, doc: "dns: the name that is asked for."},
	{name: "query", kind: stringKind, def: `"SOA"`, doc: "dns: the type that is asked for, such as A, AAAA or TXT."},
	{name: "helo", kind: stringKind, def: `"localhost"`, doc: "smtp: the name in EHLO."},
	{name: "starttls", kind: boolKind, def: "false", doc: "smtp: goes on with STARTTLS, as `tls` says. `tls` alone starts with TLS."},
	{name: "service", kind: stringKind, doc: "grpc: the service whose health is asked for; that of the whole server if absent."},
	{name: "authority", kind: stringKind, doc: "grpc: the :authority; the server's address if absent."},
	{name: "user", kind: stringKind, doc: "redis, mysql, postgresql: who logs in. Without it the handshake is enough."},
	{name: "password", kind: secretKind, secret: true, doc: "redis, mysql, postgresql: `secret(\"name\")`."},
	{name: "database", kind: stringKind, doc: "mysql, postgresql: the database."},
	{name: "command", kind: stringsKind, doc: "exec: the program and its arguments, not for a shell: exit status 0 passes. {address}, {port}, {server} and {pool} stand for the server's."},
	{name: "plugin", kind: stringKind, doc: "plugin: the plugin that is asked."},
	{name: "config", kind: named("object"), secret: true, doc: "plugin: what it wants to know, checked against NAME.schema.json beside cluster.hcl. It gets the server's address and port besides. May hold `secret(\"name\")`."},
	{name: "file", kind: stringKind, doc: "file: a file of the directors: \"up\" and numbers above 0 pass. {server} and {pool} stand for the server's."},
	{name: "multiplier", kind: intKind(1, 255), def: "3", doc: "bfd: how many intervals of silence make it down."},
}
