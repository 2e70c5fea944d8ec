package hcl

import (
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"time"

	hcl2 "github.com/hashicorp/hcl/v2"

	"github.com/hareconcile/hareconcile/internal/haproxy"
	"github.com/hareconcile/hareconcile/internal/spec"
)

// maxSocketPath leaves haproxy what it adds to the path while it binds: UNIX sockets have
// 107 bytes (unix(7)), and it appends its process id and ".tmp".
const maxSocketPath = 90

var atLeast = regexp.MustCompile(`^>= ?([0-9]{1,3}\.[0-9]{1,3})$`)

func (v *view) haproxy(in *instance) spec.HAProxy {
	h := spec.HAProxy{
		Origin: v.note(in), Name: in.name, Nodes: in.strings("nodes"),
		ConfigDir: in.string("config_dir"), RuntimeSocket: in.socketPath("runtime_socket"), RuntimeGroup: in.string("runtime_group"),
		MasterSocket: in.socketPath("master_socket"), IgnoreRuntime: in.strings("ignore_runtime"), AddServers: in.string("add_servers"),
		Adopt: in.boolean("adopt"), Overwrite: in.boolean("overwrite"), RawSections: in.rawSections("raw_sections"),
		Reload: spec.HAProxyReload{MinInterval: 5 * time.Second, Timeout: 30 * time.Second, OnFailure: "restore"},
	}
	if h.RuntimeGroup != "" && !namePattern.MatchString(h.RuntimeGroup) {
		in.fail("runtime_group", "Not a name", "%.80q cannot be a group. %s", h.RuntimeGroup, nameRule)
	}
	if s := in.string("requires"); s != "" {
		m := atLeast.FindStringSubmatch(s)
		if m == nil {
			in.fail("requires", "Not a version constraint", "%.80q: the lowest release is written as \">= 2.6\".", s)
		} else {
			h.Requires = m[1]
		}
	}
	for _, r := range in.children("reload") {
		h.Reload = spec.HAProxyReload{MinInterval: r.duration("min_interval"), Timeout: r.duration("timeout"), OnFailure: r.string("on_failure")}
	}
	seen := map[string]bool{}
	for _, d := range in.children("defaults") {
		v.once(seen, d)
		h.Defaults = append(h.Defaults, v.haproxyDefaults(d))
	}
	seen = map[string]bool{}
	for _, f := range in.children("frontend") {
		v.once(seen, f)
		h.Frontends = append(h.Frontends, v.haproxyFrontend(f))
	}
	seen = map[string]bool{}
	for _, b := range in.children("backend") {
		v.once(seen, b)
		h.Backends = append(h.Backends, v.haproxyBackend(b))
	}
	h.Maps, h.Certificates = v.haproxyMaps(in), v.haproxyCertificates(in)
	return h
}

// socketPath reads the path of a UNIX socket.
func (in *instance) socketPath(attr string) string {
	s := in.string(attr)
	if len(s) > maxSocketPath {
		in.fail(attr, attr+" cannot be that", "It has %d bytes; a socket's path has at most %d here.", len(s), maxSocketPath)
	}
	return s
}

func (v *view) haproxyDefaults(in *instance) spec.HAProxyDefaults {
	d := spec.HAProxyDefaults{Origin: v.note(in), Name: in.name, Mode: in.string("mode"), Directives: in.lines("directives")}
	if d.Name == haproxy.Orphan {
		in.ev.report.errorf(in.at, "The name is taken", "%q stands for having no defaults.", d.Name)
	}
	times := in.entries("timeouts")
	for _, name := range sortedKeys(times) {
		t, _ := time.ParseDuration(times[name].AsString()) // checked by the kind
		if t%time.Millisecond != 0 {
			in.ev.report.errorf(in.fieldRange("timeouts", name), "timeouts cannot be that", "%s of %s is no whole number of milliseconds.", name, t)
		}
		d.Timeouts = append(d.Timeouts, spec.HAProxyTime{Name: name, Time: t})
		if !slices.Contains(haproxyTimeouts, name) {
			in.ev.report.errorf(in.fieldRange("timeouts", name), "Unknown timeout", "haproxy has no timeout %.80q.%s", name, DidYouMean(name, haproxyTimeouts))
		}
	}
	return d
}

func (v *view) haproxyFrontend(in *instance) spec.HAProxyFrontend {
	f := spec.HAProxyFrontend{
		Origin: v.note(in), Name: in.name, From: in.string("from"), Mode: in.string("mode"), MaxConn: in.int("maxconn"),
		DefaultBackend: in.string("default_backend"), Directives: in.lines("directives"), Raw: in.raw("raw"),
	}
	seen := map[string]bool{}
	for _, b := range in.children("bind") {
		v.once(seen, b)
		f.Binds = append(f.Binds, v.haproxyBind(b))
	}
	for k, r := range in.children("route") {
		r.address = fmt.Sprintf("%s[%d]", r.address, k)
		route := spec.HAProxyRoute{Origin: v.note(r), Backend: r.fragment("backend"), When: r.fragment("when")}
		word, _, _ := strings.Cut(strings.TrimSpace(route.When), " ")
		switch {
		case word == "if" || word == "unless":
			r.fail("when", "when cannot be that", "The word %s is written for you. Write the condition alone, and !{ ... } for what shall not be.", word)
		case route.When == "" && !dynamicBackend(route.Backend) && !r.written("when"):
			in.ev.report.errorf(r.at, "when is missing", "A route without a condition takes everything. Write default_backend = %q.", route.Backend)
		}
		f.Routes = append(f.Routes, route)
	}
	return f
}

// dynamicBackend reports whether a backend's name is an expression.
func dynamicBackend(name string) bool { return strings.HasPrefix(name, "%[") }

func (v *view) haproxyBind(in *instance) spec.HAProxyBind {
	b := spec.HAProxyBind{
		Origin: v.note(in), Name: in.name, Address: in.addr("address"), Port: uint16(in.int("port")), Nonlocal: in.string("nonlocal"),
		Params: in.params(in.strings("params"), func(k int) hcl2.Range { return in.elementRange("params", k) }, bindWords),
	}
	if b.Nonlocal == "" {
		b.Nonlocal = "none"
		if _, virtual := v.virtual(b.Address); virtual {
			b.Nonlocal = "transparent"
		}
	}
	for _, s := range in.children("ssl") {
		b.TLS = &spec.HAProxyTLS{Certificates: s.strings("crt"), ALPN: s.strings("alpn"), MinVersion: s.string("min_version")}
		if len(b.TLS.Certificates) == 0 && s.written("crt") {
			s.fail("crt", "crt is empty", "Without a certificate nobody can connect.")
		}
		for k, p := range b.TLS.ALPN {
			if !wordOf(p, 255) {
				in.ev.report.errorf(s.elementRange("alpn", k), "alpn cannot be that", "%.80q is no name of a protocol, such as \"h2\" or \"http/1.1\".", p)
			}
		}
	}
	return b
}

// virtual returns the instance that has an address.
func (v *view) virtual(a netip.Addr) (spec.VRRPInstance, bool) {
	if v.virtuals == nil {
		v.virtuals = map[netip.Addr]int{}
		for k, i := range v.cluster.Instances {
			for _, vip := range i.All() {
				v.virtuals[vip.Prefix.Addr()] = k
			}
		}
	}
	k, ok := v.virtuals[a]
	if !ok {
		return spec.VRRPInstance{}, false
	}
	return v.cluster.Instances[k], true
}

func (v *view) haproxyMaps(in *instance) []spec.HAProxyMap {
	var out []spec.HAProxyMap
	seen := map[string]bool{}
	for _, m := range in.children("map") {
		v.once(seen, m)
		made := spec.HAProxyMap{Origin: v.note(m), Name: m.name, Path: m.string("path")}
		entries := m.entries("entries")
		for _, key := range sortedKeys(entries) {
			if strings.ContainsFunc(key, func(c rune) bool { return c <= ' ' || c == 0x7f }) || key == "" || key[0] == '#' {
				in.ev.report.errorf(m.fieldRange("entries", key), "entries cannot be that", "The key %.80q is empty, starts with a hash, or has a blank or a control character; in a map file it would be something else.", key)
			}
			made.Entries = append(made.Entries, spec.HAProxyMapRecord{Key: key, Value: entries[key].AsString()})
		}
		out = append(out, made)
	}
	return out
}

func (v *view) haproxyCertificates(in *instance) []spec.HAProxyCertificate {
	var out []spec.HAProxyCertificate
	seen := map[string]bool{}
	for _, c := range in.children("certificate") {
		v.once(seen, c)
		out = append(out, spec.HAProxyCertificate{Origin: v.note(c), Path: c.string("path")})
	}
	return out
}
