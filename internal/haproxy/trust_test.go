package haproxy

import (
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/hareconcile/hareconcile/internal/spec"
)

// trusted is a definition that any host takes.
func trusted() spec.HAProxy {
	return spec.HAProxy{
		ConfigDir: "/etc/haproxy/hareconcile.d", RuntimeSocket: "/run/hareconcile/haproxy.sock", MasterSocket: "/run/haproxy-master.sock",
		Frontends:    []spec.HAProxyFrontend{{Binds: []spec.HAProxyBind{{Address: netip.IPv4Unspecified(), TLS: &spec.HAProxyTLS{Certificates: []string{"/etc/haproxy/certs/"}}}}, Routes: []spec.HAProxyRoute{{}}}},
		Backends:     []spec.HAProxyBackend{{Check: &spec.HAProxyCheck{}, Servers: []spec.HAProxyEntry{{}}}},
		Maps:         []spec.HAProxyMap{{Path: "/etc/haproxy/hosts.map"}},
		Certificates: []spec.HAProxyCertificate{{Path: "/etc/haproxy/certs/site.pem"}},
	}
}

// TestPathsOfADefinition: what may be named without the consent of the host's owner, and with it.
func TestPathsOfADefinition(t *testing.T) {
	if got := Concerns(trusted(), spec.HAProxyTrust{}); len(got) > 0 {
		t.Fatalf("concerns = %+v, want none", got)
	}
	for name, set := range map[string]func(h *spec.HAProxy, path string){
		"config_dir":     func(h *spec.HAProxy, p string) { h.ConfigDir = p },
		"runtime_socket": func(h *spec.HAProxy, p string) { h.RuntimeSocket = p },
		"master_socket":  func(h *spec.HAProxy, p string) { h.MasterSocket = p },
		"map":            func(h *spec.HAProxy, p string) { h.Maps[0].Path = p },
		"certificate":    func(h *spec.HAProxy, p string) { h.Certificates[0].Path = p },
		"crt":            func(h *spec.HAProxy, p string) { h.Frontends[0].Binds[0].TLS.Certificates[0] = p },
	} {
		h := trusted()
		for _, p := range []string{"/srv/x/a.sock", "/etc/passwd", "/etc/haproxyx/a", "/run/hareconcile/vrrpd.sock", "/run/x.sock"} {
			set(&h, p)
			got := Concerns(h, spec.HAProxyTrust{RawLines: true})
			if len(got) != 1 || !strings.Contains(got[0].What, p) || !strings.HasPrefix(got[0].Allow, "haproxy { folders = [") {
				t.Errorf("%s = %s: concerns = %+v", name, p, got)
			}
		}
		for _, p := range []string{"/etc/haproxy/../passwd", "/etc/haproxy/a b", "/etc/haproxy/a;b", "/etc/haproxy/a'b", "etc/haproxy/a", ""} {
			set(&h, p)
			if got := Concerns(h, spec.HAProxyTrust{RawLines: true, Folders: []string{"/etc"}}); len(got) == 0 {
				t.Errorf("%s = %q is allowed", name, p)
			}
		}
		set(&h, "/srv/x/a")
		if got := Concerns(h, spec.HAProxyTrust{Folders: []string{"/srv"}}); len(got) > 0 {
			t.Errorf("%s below an allowed folder: concerns = %+v", name, got)
		}
	}
	h := trusted()
	h.RuntimeSocket, h.MasterSocket, h.Maps[0].Path = "/run/haproxy/a.sock", "/run/haproxy-2.sock", "/run/haproxy/hosts.map"
	if got := Concerns(h, spec.HAProxyTrust{}); len(got) != 1 || !strings.Contains(got[0].What, "hosts.map") {
		t.Errorf("a map where haproxy's user may write: concerns = %+v", got)
	}
	h = trusted()
	h.Maps[0].Path = "/etc/haproxy/conf.d/x.cfg"
	if got := Concerns(h, spec.HAProxyTrust{}); len(got) != 1 {
		t.Errorf("a map that is a configuration: concerns = %+v", got)
	}
}

// harmful are lines of proxies that read or write files, run programs, or leave the network.
// Those that haproxy was seen to obey, as root, are marked.
var harmful = []string{
	`http-request return status 200 content-type text/plain file /etc/shadow`, // served to a client
	`http-request return status 200 content-type text/plain lf-file /etc/shadow`,
	`http-request return status 200 errorfile /etc/shadow`,
	`http-request deny deny_status 403 errorfile /etc/shadow`,
	`http-request return status 200 content-type text/plain "file" '/etc/shadow'`,
	`http-request return status 200 content-type text/plain \x66ile /etc/shadow`,
	`http-request return status 200 content-type text/plain file /etc/haproxy/../shadow`,
	`http-request return status 200 content-type text/plain file etc/shadow`,
	`http-request return status 200 content-type text/plain file "$HOME/x"`,
	`http-error status 503 content-type text/plain file /etc/shadow`,
	`errorfile 503 /etc/shadow`,
	`acl a src -f /etc/shadow`,
	`http-request deny if { src -f /etc/shadow }`,
	`use-server s if { hdr(host),map(/etc/shadow) -m found }`,
	`http-request set-header X %[src,map_ip(/etc/shadow)]`,
	`http-request set-header X %[src,map_ip(etc/shadow)]`,
	`http-request set-header X "%[src,map(\"/etc/shadow\")]"`,
	`http-request set-header X %[path,lower,map_str_int(/etc/shadow,0)]`,
	`http-request set-header X %[path,jwt_verify(txn.alg,/etc/shadow)]`,
	`http-request set-map(/etc/shadow) a b`,
	`http-request add-acl(/etc/shadow) a`,
	`http-request lua.run`,
	`http-request use-service lua.run`,
	`http-request set-header X %[src,lua.run]`,
	`http-request set-header X %[lua.run(a)]`,
	`option external-check`,
	`external-check command /bin/sh`,
	`no option external-check`,
	`filter spoe engine e config /etc/shadow`,
	`filter opentracing id x config /etc/shadow`,
	`filter trace name x`,
	`server-state-file-name /etc/shadow`,
	`log /run/systemd/private local0`,
	`log unix@/run/x local0`,
	`log fd@1 local0`,
	`dispatch unix@/run/docker.sock`,
	`dispatch /run/docker.sock`,
	`source "$A"`,
	`stats socket /etc/passwd`,
	`http-check connect addr /run/docker.sock`,
	`tcp-check connect addr unix@/run/docker.sock`,
	`no-such-word`,
	`program x`,
}

// harmless are lines that people write, whose words look like paths.
var harmless = []string{
	`# http-request return file /etc/shadow`,
	`acl api path_beg /api`,
	`acl dir path_dir /etc/shadow`,
	`http-request set-path /etc/shadow`,
	`http-request deny if { path -m beg -i /etc } !{ src 192.0.2.0/24 }`,
	`http-request redirect location /file/x if { path / }`,
	`http-request return status 200 content-type text/plain string file`,
	`http-request return status 200 content-type text/plain file /etc/haproxy/pages/hello.txt`,
	`http-request return status 200 errorfile /etc/haproxy/errors/503.http`,
	`http-request set-header X %[path,regsub(^/api,/v1)]`,
	`http-request set-header X %[path,field(2,/)]`,
	`http-request set-header X %[src,map_ip(/etc/haproxy/nets.map,none)]`,
	`http-request use-service prometheus-exporter if { path /metrics }`,
	`http-request set-map(/etc/haproxy/hosts.map) %[src] %[path]`,
	`use-server s if { src -f /etc/haproxy/blocked.lst }`,
	`errorfile 503 /etc/haproxy/errors/503.http`,
	`errorfiles mine 404`,
	`option httpchk GET /health`,
	`no option http-keep-alive`,
	`http-check send meth GET uri /health hdr Host www.example.com`,
	`http-check expect string /etc/shadow`,
	`monitor-uri /health`, `stats uri /stats`, `stats enable`,
	`log /dev/log local0`, `log global`, `log 192.0.2.1:514 local0`, `log ring@r local0`, `log stdout format raw local0`,
	`cookie SRV insert indirect nocache`, `stick-table type ip size 100k expire 30m`, `stick on src`,
	`filter compression`, `compression algo gzip`, `timeout client 5s`, `log-format "%ci %{+Q}r"`,
	`http-request deny unless { path /lua.html }`,
}

// inProxy is a definition with a line in a frontend.
func inProxy(line string) spec.HAProxy {
	h := trusted()
	h.Frontends[0].Directives = []string{line}
	return h
}

func TestLinesThatNeedConsent(t *testing.T) {
	for _, l := range harmful {
		for place, h := range map[string]spec.HAProxy{
			"defaults":       {Defaults: []spec.HAProxyDefaults{{Directives: []string{l}}}},
			"frontend":       {Frontends: []spec.HAProxyFrontend{{Directives: []string{"option httplog", l}}}},
			"frontend (raw)": {Frontends: []spec.HAProxyFrontend{{Raw: "option httplog\n" + l + "\n"}}},
			"backend":        {Backends: []spec.HAProxyBackend{{Directives: []string{l}}}},
			"backend (raw)":  {Backends: []spec.HAProxyBackend{{Raw: l}}},
		} {
			whole := trusted()
			whole.Defaults, whole.Frontends, whole.Backends = h.Defaults, h.Frontends, h.Backends
			got := Concerns(whole, spec.HAProxyTrust{})
			if len(got) == 0 || got[0].Allow == "" {
				t.Errorf("%s: %q needs no consent", place, l)
			}
			if got := Concerns(whole, spec.HAProxyTrust{RawLines: true}); len(got) > 0 {
				t.Errorf("%s: %q is allowed by raw_lines, and concerns = %+v", place, l, got)
			}
		}
	}
	for _, l := range harmless {
		if got := Concerns(inProxy(l), spec.HAProxyTrust{}); len(got) > 0 {
			t.Errorf("%q: concerns = %+v, want none", l, got)
		}
	}
	got := Concerns(inProxy(`acl a src -f /srv/lists/a`), spec.HAProxyTrust{Folders: []string{"/srv/lists"}})
	if len(got) > 0 {
		t.Errorf("an allowed folder: concerns = %+v", got)
	}
}

// TestEveryFileWord: none may be forgotten where it stands behind others.
func TestEveryFileWord(t *testing.T) {
	for _, w := range fileWords {
		for _, l := range []string{"http-request return " + w + " /etc/shadow", "acl a src " + w + " /etc/shadow"} {
			if got := Concerns(inProxy(l), spec.HAProxyTrust{}); len(got) != 1 {
				t.Errorf("%q: concerns = %+v, want one", l, got)
			}
		}
		for _, pieces := range [][]string{{w + " /etc/shadow"}, {w, "/etc/shadow"}, {"ssl", "'" + w + "'", "/etc/shadow"}} {
			h := trusted()
			h.Frontends[0].Binds[0].Params = pieces
			h.Backends[0].Servers[0].Params = pieces
			if got := Concerns(h, spec.HAProxyTrust{}); len(got) != 2 && w != "errorfile" {
				t.Errorf("params %q: concerns = %+v, want two", pieces, got)
			}
		}
	}
	for params, want := range map[string]int{
		"ca-file @system-ca": 0, "ca-file /etc/ssl/certs/ca-certificates.crt": 0, "namespace blue": 0,
		"namespace ../../etc": 1, "addr /run/docker.sock": 1, "socks4 unix@/run/x": 1, "sni lua.x": 1, "sni req.hdr(host),map(/etc/shadow)": 1,
	} {
		h := trusted()
		h.Backends[0].Servers[0].Params = []string{params}
		if got := Concerns(h, spec.HAProxyTrust{}); len(got) != want {
			t.Errorf("params %q: concerns = %+v, want %d", params, got, want)
		}
	}
}

// TestPartsOfLines: expressions are wherever haproxy takes one.
func TestPartsOfLines(t *testing.T) {
	const bad = "src,map_ip(/etc/shadow)"
	for name, set := range map[string]func(h *spec.HAProxy){
		"when":    func(h *spec.HAProxy) { h.Frontends[0].Routes[0].When = "{ " + bad + " -m found }" },
		"when -f": func(h *spec.HAProxy) { h.Frontends[0].Routes[0].When = "{ src -f /etc/shadow }" },
		"backend": func(h *spec.HAProxy) { h.Frontends[0].Routes[0].Backend = "%[" + bad + "]" },
		"balance": func(h *spec.HAProxy) { h.Backends[0].Balance = "hash " + bad },
		"hash":    func(h *spec.HAProxy) { h.Backends[0].Hash = bad },
		"expect":  func(h *spec.HAProxy) { h.Backends[0].Check.Expect = "string " + bad },
	} {
		h := trusted()
		set(&h)
		if got := Concerns(h, spec.HAProxyTrust{}); len(got) != 1 {
			t.Errorf("%s: concerns = %+v, want one", name, got)
		}
	}
}

func TestSectionsThatNeedConsent(t *testing.T) {
	for text, want := range map[string]int{
		"peers mates\n peer ka1 192.0.2.1:1024\n table t type ip size 1k":         0,
		"resolvers dns\n nameserver a 192.0.2.53:53\n hold valid 1s":              0,
		"userlist u\n user a password \"$X\"\n group g users a":                   0,
		"ring r\n format rfc5424\n maxlen 1200\n server s 192.0.2.1:514":          0,
		"http-errors mine\n errorfile 404 /etc/haproxy/errors/404.http":           0,
		"fcgi-app php\n docroot /var/www\n index index.php\n path-info ^(/.+)$":   0,
		"cache c\n total-max-size 4":                                              0,
		"log-forward f\n bind 192.0.2.1:514\n log 192.0.2.2:514 local0":           0,
		"log-forward f\n bind unix@/etc/passwd\n log global":                      1, // haproxy replaced the file
		"log-forward f\n bind /etc/passwd\n log global":                           1,
		"log-forward f\n dgram-bind 192.0.2.1:514,/etc/passwd":                    1,
		"log-forward f\n bind 192.0.2.1:514,unix@/etc/passwd":                     1,
		"log-forward f\n bind \"$ADDRESS\"":                                       1,
		"ring r\n backing-file /etc/passwd":                                       1,
		"ring r\n server s /run/docker.sock":                                      1,
		"ring r\n server s 192.0.2.1:514 ssl ca-file /etc/shadow":                 1,
		"peers mates\n bind /etc/passwd\n peer ka1 unix@/x\n server ka2 fd@7":     3,
		"peers mates\n default-bind ssl crt /etc/ssl/private/a.pem":               1,
		"http-errors mine\n errorfile 404 /etc/shadow":                            1,
		"fcgi-app php\n log-stderr /run/docker.sock\n acl a path_info -f /x":      2,
		"userlist u\n unknown x":                                                  1,
		"# a comment\n\nresolvers dns\n parse-resolv-conf\n\npeers p\n hold x 1s": 1,
	} {
		h := trusted()
		h.RawSections = []string{text}
		if got := Concerns(h, spec.HAProxyTrust{}); len(got) != want {
			t.Errorf("%q: concerns = %+v, want %d", text, got, want)
		}
	}
	for _, s := range RawSections() {
		if plainWords[s] == "" {
			t.Errorf("nothing is known of a section %s, which may be written by hand", s)
		}
	}
}

// FuzzConcerns: whatever stands before it, a file that is named after its word is seen.
func FuzzConcerns(f *testing.F) {
	for _, l := range slices.Concat(harmful, harmless) {
		f.Add(l)
	}
	f.Add(`http-request return status 200 hdr "a #b" \`)
	f.Fuzz(func(t *testing.T, s string) {
		if len(s) > 1000 {
			return
		}
		_ = Concerns(inProxy(s), spec.HAProxyTrust{})
		l := s + " file /etc/shadow"
		words, ok := Words(l)
		n := len(words)
		if !ok || n < 3 || words[n-2].Text != "file" || words[n-1].Text != "/etc/shadow" {
			return // a comment or a quote has it
		}
		if len(Concerns(inProxy(l), spec.HAProxyTrust{})) == 0 {
			t.Errorf("%q needs no consent", l)
		}
		if len(Concerns(inProxy(l), spec.HAProxyTrust{RawLines: true})) > 0 {
			t.Errorf("%q needs more consent than raw_lines", l)
		}
	})
}
