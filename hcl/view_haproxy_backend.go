package hcl

import (
	"regexp"
	"slices"
	"strings"

	hcl2 "github.com/hashicorp/hcl/v2"

	"github.com/hareconcile/hareconcile/internal/spec"
)

var httpMethod = regexp.MustCompile(`^[A-Z]{1,20}$`)

func (v *view) haproxyBackend(in *instance) spec.HAProxyBackend {
	b := spec.HAProxyBackend{
		Origin: v.note(in), Name: in.name, From: in.string("from"), Mode: in.string("mode"), Balance: in.fragment("balance"), Hash: in.fragment("hash"),
		Directives: in.lines("directives"), Raw: in.raw("raw"),
	}
	in.knownWord("balance", b.Balance, haproxyBalances)
	in.knownWord("hash", b.Hash, []string{"map-based", "consistent"})
	for _, c := range in.children("check") {
		b.Check = v.haproxyCheck(c)
	}
	defaults := in.object("server_defaults")
	if !defaults.good {
		return b
	}
	in.params(defaults.strings("params"), func(int) hcl2.Range { return in.fieldRange("server_defaults", "params") }, serverWords)
	if b.Check == nil {
		for _, f := range []string{"inter", "rise", "fall"} {
			if defaults.written(f) {
				defaults.fail(f, f+" does not fit", "%s has no check, so its servers are always up. Write check \"tcp\" {}.", b.Origin.Address)
			}
		}
	}
	seen := map[string]bool{}
	for _, s := range in.children("server") {
		v.once(seen, s)
		b.Servers = append(b.Servers, v.haproxyServer(s, defaults, &b))
	}
	return b
}

func (v *view) haproxyCheck(in *instance) *spec.HAProxyCheck {
	c := &spec.HAProxyCheck{Type: in.name, Method: in.word("method"), URI: in.word("uri"), Host: in.word("host"), Expect: in.fragment("expect")}
	v.note(in)
	attrs := []string{"method", "uri", "host", "expect"}
	switch c.Type {
	case "http":
		if c.Method == "" {
			c.Method = "GET"
		}
		if c.URI == "" {
			c.URI = "/"
		}
	case "tcp":
		for _, a := range attrs {
			if in.written(a) {
				in.fail(a, a+" does not fit", "A check of type \"tcp\" connects and asks nothing. Write check \"http\".")
			}
		}
	default:
		types := []string{"tcp", "http"}
		in.ev.report.errorf(in.at, "Unknown type of check", "It is %q; it may be %s.%s Others are written as directives, with check \"tcp\" {}.", c.Type, oneOf(types), DidYouMean(c.Type, types))
		return c
	}
	if c.Method != "" && !httpMethod.MatchString(c.Method) {
		in.fail("method", "method cannot be that", "%.80q is no method, such as GET or HEAD.", c.Method)
	}
	if c.URI != "" && !strings.HasPrefix(c.URI, "/") {
		in.fail("uri", "uri cannot be that", "%.80q does not start with a slash. The host is said by host.", c.URI)
	}
	in.knownWord("expect", strings.TrimPrefix(c.Expect, "! "), []string{"status", "rstatus", "hdr", "fhdr", "string", "rstring"})
	return c
}

// haproxyServer reads a server, with what defaults say written out.
func (v *view) haproxyServer(in *instance, defaults object, b *spec.HAProxyBackend) spec.HAProxyEntry {
	number := func(attr string) int {
		if in.written(attr) {
			return in.int(attr)
		}
		return defaults.int(attr)
	}
	s := spec.HAProxyEntry{
		Origin: v.note(in), Name: in.name, Address: v.serverAddress(in), Port: uint16(number("port")), Weight: number("weight"),
		MaxConn: number("maxconn"), Admin: in.string("admin"), Backup: in.boolean("backup"), Check: b.Check != nil,
		Inter: in.duration("inter"), SlowStart: in.duration("slowstart"), Rise: number("rise"), Fall: number("fall"),
	}
	if s.Inter == 0 {
		s.Inter = defaults.duration("inter")
	}
	if s.SlowStart == 0 {
		s.SlowStart = defaults.duration("slowstart")
	}
	own := in.params(in.strings("params"), func(k int) hcl2.Range { return in.elementRange("params", k) }, serverWords)
	s.Params = slices.Concat(defaults.strings("params"), own)
	if s.Port == 0 && in.absent("port") {
		in.ev.report.errorf(in.at, "port is missing", "Write port = PORT here, or in server_defaults of %s.", b.Origin.Address)
	}
	if in.written("check") {
		s.Check = in.boolean("check")
	}
	if s.Check && b.Check == nil {
		in.fail("check", "check does not fit", "%s does not say what to ask. Write check \"tcp\" {}, or check \"http\" { uri = \"/health\" }.", b.Origin.Address)
	}
	if !s.Check {
		for _, a := range []string{"inter", "rise", "fall"} {
			if in.written(a) {
				in.fail(a, a+" does not fit", "The server is not checked, so it is always up. A check of %s is check \"tcp\" {}, or check \"http\" { uri = \"/health\" }.", b.Origin.Address)
			}
		}
		s.Inter, s.Rise, s.Fall = 0, 0, 0 // nobody asks
	}
	return s
}
