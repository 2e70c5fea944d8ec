package haproxy

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"flag"
	"math/big"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hareconcile/hareconcile/internal/haproxy/haproxytest"
	"github.com/hareconcile/hareconcile/internal/spec"
)

var update = flag.Bool("update", false, "write what was got into the golden files")

// certificates is where goldens have them.
const certificates = "/etc/haproxy/certs"

// foreign is a file of the user's that must not leak into ours: all that it sets for proxies
// without defaults would break them, or warn.
const foreign = `global
    log stdout local0
defaults
    mode http
    option httpchk GET /foreign
    load-server-state-from-file global
    timeout connect 1s
    timeout client 1s
    timeout server 1s
`

func TestRender(t *testing.T) {
	for name, h := range rendered() {
		t.Run(name, func(t *testing.T) {
			golden := filepath.Join("testdata", "render", name+".cfg")
			got := Render(h, "edge").Text
			if *update {
				if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(string(want), got); d != "" {
				t.Errorf("Render (-want +got):\n%s", d)
			}
		})
	}
}

// TestHAProxyAcceptsTheGoldens asks the real one, which may not even warn.
func TestHAProxyAcceptsTheGoldens(t *testing.T) {
	for name, h := range rendered() {
		t.Run(name, func(t *testing.T) {
			out, err := judge(t, Render(h, "edge").Text)
			if err != nil || strings.Contains(out, "WARNING") || strings.Contains(out, "ALERT") {
				t.Errorf("haproxy -c: %v\n%s", err, out)
			}
		})
	}
}

// judge loads a managed file behind a user's.
func judge(t *testing.T, text string) (string, error) {
	t.Helper()
	dir := t.TempDir()
	write := func(name, text string) string {
		name = filepath.Join(dir, name)
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return name
	}
	write("site.pem", certificate(t))
	user := write("haproxy.cfg", foreign)
	ours := write(FileName, strings.ReplaceAll(text, certificates, dir))
	out, err := exec.Command(haproxytest.Program(t), "-c", "-f", user, "-f", ours).CombinedOutput()
	return string(out), err
}

// certificate makes one with its key.
func certificate(t *testing.T) string {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{"app.example"}, NotAfter: time.Unix(4e9, 0)}
	der, err := x509.CreateCertificate(rand.Reader, c, c, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})) + string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}))
}

// TestForeignDefaultsDoNotLeak shows why proxies without defaults get empty ones: the user's
// unnamed ones would make them http, which a tcp bind cannot see here but their checks do.
func TestForeignDefaultsDoNotLeak(t *testing.T) {
	h := spec.HAProxy{Name: "bare", ConfigDir: "/c", RuntimeSocket: "/run/h.sock", Backends: []spec.HAProxyBackend{{Name: "b"}}}
	h.Frontends = []spec.HAProxyFrontend{{Name: "f", DefaultBackend: "b", Binds: []spec.HAProxyBind{{Name: "a", Address: netip.MustParseAddr("127.0.0.1"), Port: 9}}}}
	out, err := judge(t, Render(h, "edge").Text)
	if err != nil || !strings.Contains(out, "missing timeouts for frontend 'f'") {
		t.Errorf("haproxy -c: %v; it has the timeouts of the user's defaults:\n%s", err, out)
	}
}

// rendered has a definition for each golden file.
func rendered() map[string]spec.HAProxy {
	addr := netip.MustParseAddr
	web := spec.HAProxyDefaults{Name: "http", Mode: "http", Timeouts: []spec.HAProxyTime{
		{Name: "client", Time: 50 * time.Second}, {Name: "connect", Time: 5 * time.Second}, {Name: "server", Time: 50 * time.Second},
	}}
	base := spec.HAProxy{Name: "edge", ConfigDir: "/etc/haproxy/hareconcile.d", RuntimeSocket: "/run/hareconcile/haproxy.sock", Defaults: []spec.HAProxyDefaults{web}}

	pair := base
	pair.Frontends = []spec.HAProxyFrontend{{
		Name: "web", From: "http", DefaultBackend: "app",
		Binds:  []spec.HAProxyBind{{Name: "http", Address: addr("172.25.254.100"), Port: 80, Nonlocal: "transparent"}},
		Routes: []spec.HAProxyRoute{{Backend: "api", When: "{ path_beg /api }"}},
	}}
	pair.Backends = []spec.HAProxyBackend{
		{
			Name: "app", From: "http", Balance: "roundrobin", Check: &spec.HAProxyCheck{Type: "http", Method: "GET", URI: "/", Expect: "status 200"},
			Servers: []spec.HAProxyEntry{
				{Name: "rs1", Address: addr("172.25.254.110"), Port: 80, Weight: 10, Admin: "ready", Check: true, Inter: time.Second, Rise: 2, Fall: 2},
				{Name: "rs2", Address: addr("172.25.254.120"), Port: 80, Weight: 10, Admin: "ready", Check: true, Inter: time.Second, Rise: 2, Fall: 2},
			},
		},
		{Name: "api", From: "http", Servers: []spec.HAProxyEntry{{Name: "rs1", Address: addr("172.25.254.110"), Port: 8080, Weight: 1, Admin: "ready"}}},
	}

	full := base
	full.RuntimeGroup = "adm"
	full.Defaults = append(full.Defaults, spec.HAProxyDefaults{Name: "tcp", Mode: "tcp", Timeouts: web.Timeouts, Directives: []string{"option dontlognull", "retries 2"}})
	full.Frontends = []spec.HAProxyFrontend{
		{
			Name: "tls", From: "http", MaxConn: 2000, DefaultBackend: "app",
			Binds: []spec.HAProxyBind{
				{
					Name: "https", Address: addr("0.0.0.0"), Port: 8443, Nonlocal: "none", Params: []string{"accept-proxy", "backlog 512"},
					TLS: &spec.HAProxyTLS{Certificates: []string{certificates + "/site.pem"}, ALPN: []string{"h2", "http/1.1"}, MinVersion: "TLSv1.2"},
				},
				{Name: "six", Address: addr("2001:db8::100"), Port: 8080, Nonlocal: "transparent"},
				{Name: "any6", Address: addr("::"), Port: 8081, Nonlocal: "none"},
			},
			Directives: []string{"acl api path_beg /api", "http-request set-header X-Forwarded-Proto https if { ssl_fc }"},
			Routes:     []spec.HAProxyRoute{{Backend: "hash", When: "api !{ src 192.0.2.0/24 }"}, {Backend: "app", When: "{ path_beg /app }"}},
			Raw:        "# by hand\nhttp-response set-header X-By hareconcile\n\n  description 'two words'   # a comment\n",
		},
		{Name: "raw-tcp", From: "tcp", Binds: []spec.HAProxyBind{{Name: "tcp", Address: addr("127.0.0.1"), Port: 8500, Nonlocal: "none"}}, DefaultBackend: "tcp"},
	}
	full.Backends = []spec.HAProxyBackend{
		{
			Name: "app", From: "http", Mode: "http", Balance: "uri depth 2", Hash: "consistent",
			Check:      &spec.HAProxyCheck{Type: "http", Method: "HEAD", URI: "/health?a=1&b=2", Host: "app.example", Expect: "status 200-299"},
			Directives: []string{"cookie SRV insert indirect nocache"},
			Servers: []spec.HAProxyEntry{
				{Name: "app1", Address: addr("10.0.0.11"), Port: 8080, Weight: 256, MaxConn: 100, Admin: "ready", Check: true, Inter: 1500 * time.Millisecond, Rise: 2, Fall: 3, SlowStart: 10 * time.Second, Params: []string{"cookie a", "on-marked-down shutdown-sessions"}},
				{Name: "app2", Address: addr("2001:db8::12"), Port: 8080, Weight: 1, Admin: "maint", Backup: true, Check: true, Params: []string{"cookie b", "send-proxy-v2"}},
				{Name: "app3", Address: addr("10.0.0.13"), Port: 8080, Weight: 7, Admin: "drain", Params: []string{"cookie c"}},
			},
			Raw: "stick-table type ip size 100k expire 30m store conn_rate(10s)\n",
		},
		{Name: "hash", From: "http", Balance: "source", Servers: []spec.HAProxyEntry{
			{Name: "a", Address: addr("10.0.0.1"), Port: 80, Weight: 1, Admin: "ready"}, {Name: "b", Address: addr("10.0.0.2"), Port: 80, Admin: "ready"},
		}},
		{Name: "tcp", From: "tcp", Check: &spec.HAProxyCheck{Type: "tcp"}, Servers: []spec.HAProxyEntry{{Name: "a", Address: addr("10.0.0.1"), Port: 8500, Weight: 1, Admin: "ready", Check: true}}},
		{Name: "orphan", Mode: "tcp", Directives: []string{"timeout connect 1s", "timeout server 1s"}},
	}
	full.RawSections = []string{"userlist people\n    user anna insecure-password secret\n", "resolvers dns\n    nameserver one 127.0.0.1:53\n\ncache small\n    total-max-size 4\n"}
	return map[string]spec.HAProxy{"pair": pair, "full": full, "empty": {Name: "edge", ConfigDir: "/etc/haproxy/hareconcile.d", RuntimeSocket: "/run/hareconcile/haproxy.sock"}}
}
