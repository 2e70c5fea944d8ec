package haproxy

import (
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/hareconcile/hareconcile/internal/spec"
)

// prefix starts the names of our defaults, so that they never meet the user's.
const prefix = "hr-"

// orphans is the defaults section of proxies that name none. It is empty: without it they
// would have the last one of the files before (configuration.txt, section 4).
const orphans = prefix + Orphan

// Orphan is the name that no defaults may have, for it stands for having none.
const Orphan = "none"

// hasOrphan reports whether a proxy names no defaults.
func hasOrphan(h spec.HAProxy) bool {
	for _, f := range h.Frontends {
		if f.From == "" {
			return true
		}
	}
	for _, b := range h.Backends {
		if b.From == "" {
			return true
		}
	}
	return false
}

// speaksHTTP reports whether a frontend of h has that mode; haproxy's own is tcp.
func speaksHTTP(h spec.HAProxy, f spec.HAProxyFrontend) bool {
	mode := f.Mode
	for _, d := range h.Defaults {
		if mode == "" && d.Name == f.From {
			mode = d.Mode
		}
	}
	return mode == "http"
}

// from names the defaults of a proxy.
func from(name string) string {
	if name == "" {
		return "from " + orphans
	}
	return "from " + word(prefix+name)
}

func (p *page) defaults(d *spec.HAProxyDefaults) {
	p.section("defaults", word(prefix+d.Name))
	p.optional("mode", d.Mode)
	for _, t := range d.Timeouts {
		p.line("timeout", word(t.Name), milliseconds(t.Time))
	}
	p.directives(d.Directives)
}

// frontend writes a frontend. Where it speaks HTTP, the old worker of a reload ends an idle
// connection with the answer to one more request: it closes it at once otherwise, and the request
// that is on its way is lost to clients that do not try again (configuration.txt, option
// idle-close-on-response).
func (p *page) frontend(f *spec.HAProxyFrontend, http bool) {
	p.section("frontend", word(f.Name), from(f.From))
	p.optional("mode", f.Mode)
	if http {
		p.line("option idle-close-on-response")
	}
	for k := range f.Binds {
		p.bind(&f.Binds[k])
	}
	if f.MaxConn != 0 {
		p.line("maxconn", number(f.MaxConn))
	}
	p.directives(f.Directives)
	for _, r := range f.Routes {
		if r.When == "" {
			p.line("use_backend", word(r.Backend))
			continue
		}
		p.line("use_backend", word(r.Backend), "if", plain(r.When))
	}
	if f.DefaultBackend != "" {
		p.line("default_backend", word(f.DefaultBackend))
	}
	p.raw(f.Raw)
}

func (p *page) bind(b *spec.HAProxyBind) {
	words := []string{"bind", endpoint(b.Address, b.Port), "name", word(b.Name)}
	if b.Address == netip.IPv6Unspecified() {
		words = append(words, "v6only") // else it takes IPv4's as well
	}
	if b.Nonlocal == "transparent" {
		words = append(words, "transparent")
	}
	if t := b.TLS; t != nil {
		words = append(words, "ssl")
		for _, c := range t.Certificates {
			words = append(words, "crt", word(c))
		}
		if len(t.ALPN) > 0 {
			words = append(words, "alpn", word(strings.Join(t.ALPN, ",")))
		}
		if t.MinVersion != "" {
			words = append(words, "ssl-min-ver", word(t.MinVersion))
		}
	}
	p.line(append(words, tail(b.Params)...)...)
}

func (p *page) backend(b *spec.HAProxyBackend) {
	p.section("backend", word(b.Name), from(b.From))
	p.optional("mode", b.Mode)
	p.optional("balance", b.Balance)
	p.optional("hash-type", b.Hash)
	// A state file would put a server's old port over the one that is written here.
	p.line("load-server-state-from-file none")
	p.check(b.Check)
	p.directives(b.Directives)
	for k, id := range ids(b) {
		p.server(&b.Servers[k], id, StaticBalance(b.Balance, b.Hash))
	}
	p.raw(b.Raw)
}

func (p *page) check(c *spec.HAProxyCheck) {
	switch {
	case c == nil:
		return
	case c.Type == "tcp":
		p.line("option tcp-check") // without a rule it connects, whatever the defaults ask
		return
	}
	p.line("option httpchk")
	words := []string{"http-check send"}
	if c.Method != "" {
		words = append(words, "meth", word(c.Method))
	}
	if c.URI != "" {
		words = append(words, "uri", word(c.URI))
	}
	if c.Host != "" {
		words = append(words, "ver HTTP/1.1 hdr Host", word(c.Host))
	}
	if len(words) > 1 {
		p.line(words...)
	}
	if c.Expect != "" {
		p.line("http-check expect", plain(c.Expect))
	}
}

// server writes a server line. A server that is drained starts with weight 0, for no keyword of the file says drain, and
// clients would come until the runtime command did. Static algorithms take no new weight
// from a runtime command (server.c, server_parse_weight_change_request), so there it is
// structure.
func (p *page) server(s *spec.HAProxyEntry, id int, static bool) {
	head := []string{"server", word(s.Name)}
	runtime := []string{endpoint(s.Address, s.Port)}
	fixed := []string{"id", number(id)}
	weight := s.Weight
	if s.Admin == "drain" && !static {
		weight = 0
	}
	if static {
		fixed = append(fixed, "weight", number(weight))
	} else {
		runtime = append(runtime, "weight", number(weight))
	}
	if s.MaxConn != 0 {
		runtime = append(runtime, "maxconn", number(s.MaxConn))
	}
	if s.Admin == "maint" {
		runtime = append(runtime, "disabled")
	}
	for _, f := range []struct {
		set bool
		say string
	}{
		{s.Backup, "backup"}, {s.Check, "check"}, {s.Inter != 0, "inter " + milliseconds(s.Inter)},
		{s.Rise != 0, "rise " + number(s.Rise)}, {s.Fall != 0, "fall " + number(s.Fall)},
		{s.SlowStart != 0, "slowstart " + milliseconds(s.SlowStart)},
	} {
		if f.set {
			fixed = append(fixed, f.say)
		}
	}
	fixed = append(fixed, tail(s.Params)...)
	text := join(head) + " " + join(runtime) + " " + join(fixed)
	p.change(text, join(head)+" "+join(fixed))
}

// tail is the end of a line, as people wrote it.
func tail(params []string) []string {
	var out []string
	for _, t := range params {
		out = append(out, plain(t))
	}
	return out
}

// endpoint writes an address with its port. haproxy reads brackets around IPv6.
func endpoint(a netip.Addr, port uint16) string { return netip.AddrPortFrom(a, port).String() }

func milliseconds(d time.Duration) string { return strconv.FormatInt(d.Milliseconds(), 10) + "ms" }

// StaticBalance reports whether an algorithm takes no new weights from runtime commands:
// static-rr, and hashes that are not consistent.
func StaticBalance(balance, hash string) bool {
	switch algorithm(balance) {
	case "static-rr":
		return true
	case "source", "uri", "url_param", "hdr", "rdp-cookie", "hash":
		return !strings.Contains(hash, "consistent")
	}
	return false
}

// algorithm returns the name of what balance asks for.
func algorithm(balance string) string {
	name, _, _ := strings.Cut(strings.TrimSpace(balance), " ")
	name, _, _ = strings.Cut(name, "(")
	return name
}
