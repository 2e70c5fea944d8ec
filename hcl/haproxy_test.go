package hcl

import (
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hareconcile/hareconcile/internal/haproxy"
	"github.com/hareconcile/hareconcile/internal/nstest"
	"github.com/hareconcile/hareconcile/internal/spec"
)

// haproxyExample returns the files of examples/haproxy.
func haproxyExample(t *testing.T) Tree {
	t.Helper()
	tree := Tree{}
	for _, name := range []string{"cluster.hcl", "lab.hcl", "haproxy.schema.json"} {
		b, err := os.ReadFile(filepath.Join("..", "examples", "haproxy", name))
		if err != nil {
			t.Fatal(err)
		}
		tree[name] = b
	}
	return tree
}

// TestHAProxyExample compiles the example without a warning, and has haproxy itself load
// what is rendered of it beside Debian's own file, without one either.
func TestHAProxyExample(t *testing.T) {
	c, ds := Compile(haproxyExample(t), Options{})
	if len(ds) > 0 {
		t.Fatalf("diagnostics:\n%s", text(ds))
	}
	if _, ds := ParseLab("lab.hcl", haproxyExample(t)["lab.hcl"], c); len(ds) > 0 {
		t.Errorf("diagnostics of lab.hcl:\n%s", text(ds))
	}
	if len(c.HAProxies) != 1 || len(c.HAProxies[0].Backends) != 2 {
		t.Fatalf("haproxies = %+v", c.HAProxies)
	}
	got := c.HAProxies[0].Backends[0].Servers[1]
	got.Origin = spec.Origin{}
	want := spec.HAProxyEntry{Name: "rs2", Address: netip.MustParseAddr("172.25.254.120"), Port: 80, Weight: 10, Admin: "ready", Check: true, Inter: time.Second, Rise: 2, Fall: 2}
	if d := cmp.Diff(want, got, cmp.Comparer(func(a, b netip.Addr) bool { return a == b })); d != "" {
		t.Errorf("server (-want +got):\n%s", d)
	}
	if got := string(c.Trackers[0].Config); !strings.Contains(got, "/run/hareconcile/haproxy.sock") {
		t.Errorf("config of the tracker = %s, want the runtime socket of the haproxy", got)
	}
	nstest.Need(t, "haproxy")
	dir := t.TempDir()
	write := func(name, text string) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("10-user.cfg", "global\n    log /dev/log local0\ndefaults\n    log global\n    mode http\n    timeout connect 5000\n    timeout client 50000\n    timeout server 50000\n")
	h := c.HAProxies[0]
	h.RuntimeGroup = "" // a group that this host need not have
	write(haproxy.FileName, haproxy.Render(h, c.Name).Text)
	if out, err := exec.Command("haproxy", "-c", "-f", dir).CombinedOutput(); err != nil || strings.Contains(string(out), "WARNING") {
		t.Errorf("haproxy -c: %v\n%s", err, out)
	}
}

// haproxyWith is a cluster with more inside the haproxy.
func haproxyWith(head, body string) Tree {
	return Tree{mainFile: []byte(`
cluster "lab" {
  node "ka1" { address = "192.0.2.10" }
  node "ka2" { address = "192.0.2.20" }
}

vrrp_instance "web" {
  interface         = "eth0"
  virtual_router_id = 100
  priority          = { ka1 = 150, ka2 = 100 }
  addresses         = ["192.0.2.100/24"]
}

haproxy "edge" {
` + head + `
  nodes          = ["ka1", "ka2"]
  config_dir     = "/etc/haproxy/hareconcile.d"
  runtime_socket = "/run/hareconcile/haproxy.sock"
  master_socket  = "/run/haproxy-master.sock"

  defaults "tcp" { timeouts = { client = "50s", connect = "5s", server = "50s" } }
` + body + "\n}\n")}
}

// haproxyOf compiles a cluster with one haproxy for ka1.
func haproxyOf(t *testing.T, tree Tree) spec.HAProxy {
	t.Helper()
	c, ds := Compile(tree, Options{Node: "ka1"})
	if c == nil || len(ds) > 0 || len(c.HAProxies) == 0 {
		t.Fatalf("diagnostics:\n%s", text(ds))
	}
	return c.HAProxies[0]
}

// TestHAProxyDefaultsAreWrittenOut has what is absent filled in.
func TestHAProxyDefaultsAreWrittenOut(t *testing.T) {
	h := haproxyOf(t, haproxyWith(``, `
  frontend "f" {
    from            = "tcp"
    default_backend = "b"

    bind "virtual" {
      address = "192.0.2.100"
      port    = 80
    }
    bind "own" {
      address = node.address
      port    = 80
    }
    bind "all" {
      address = "::"
      port    = 81
    }
  }

  backend "b" {
    from            = "tcp"
    server_defaults = { port = 90, weight = 7, maxconn = 9, slowstart = "1m", params = ["send-proxy"] }

    check "http" {}

    dynamic "server" {
      for_each = { a = "192.0.2.1", b = "192.0.2.2" }
      labels   = [server.key]

      content {
        address = server.value
        weight  = server.key == "a" ? 0 : null
        check   = server.key == "a"
        params  = ["cookie ${server.key}"]
      }
    }
    server "node" {
      address = "ka2"
      port    = 91
      admin   = "drain"
    }
  }`))
	var nonlocal []string
	for _, b := range h.Frontends[0].Binds {
		nonlocal = append(nonlocal, b.Address.String()+" "+b.Nonlocal)
	}
	if want := []string{"192.0.2.100 transparent", "192.0.2.10 none", ":: none"}; !slices.Equal(nonlocal, want) {
		t.Errorf("binds = %q, want %q", nonlocal, want)
	}
	if c := *h.Backends[0].Check; c.Method != "GET" || c.URI != "/" {
		t.Errorf("check = %+v", c)
	}
	var servers []string
	for _, s := range h.Backends[0].Servers {
		servers = append(servers, fmt.Sprint(s.Name, " ", netip.AddrPortFrom(s.Address, s.Port), " ", s.Weight, " ", s.MaxConn, " ", s.Admin, " ", s.Check, " ", s.SlowStart, " ", s.Params))
	}
	want := []string{
		"a 192.0.2.1:90 0 9 ready true 1m0s [send-proxy cookie a]",
		"b 192.0.2.2:90 7 9 ready false 1m0s [send-proxy cookie b]",
		"node 192.0.2.20:91 7 9 drain true 1m0s [send-proxy]",
	}
	if d := cmp.Diff(want, servers); d != "" {
		t.Errorf("servers (-want +got):\n%s", d)
	}
	if h.AddServers != "auto" || !slices.Equal(h.IgnoreRuntime, []string{"admin_state"}) || h.Reload != (spec.HAProxyReload{MinInterval: 5 * time.Second, Timeout: 30 * time.Second, OnFailure: "restore"}) {
		t.Errorf("haproxy = %+v", h)
	}
}

// TestHAProxiesOfOtherNodes may have the same folder, sockets and ports.
func TestHAProxiesOfOtherNodes(t *testing.T) {
	made := `
  frontend "f" {
    from            = "tcp"
    default_backend = "b"

    bind "all" {
      address = "0.0.0.0"
      port    = 80
    }
  }

  backend "b" {
    from = "tcp"

    server "next" {
      address = "192.0.2.1"
      port    = 80
    }
  }`
	one := string(haproxyWith("", made)[mainFile])
	start := strings.Index(one, "haproxy ")
	second := strings.Replace(strings.Replace(one[start:], `haproxy "edge"`, `haproxy "other"`, 1), `"ka1", "ka2"`, `"ka2"`, 1)
	both := Tree{mainFile: []byte(strings.Replace(one, `nodes          = ["ka1", "ka2"]`, `nodes          = ["ka1"]`, 1) + second)}
	if h := haproxyOf(t, both); h.Nodes[0] != "ka1" {
		t.Errorf("nodes = %q", h.Nodes)
	}
}

// TestHAProxyWholeLanguage accepts what the smaller examples do not have.
func TestHAProxyWholeLanguage(t *testing.T) {
	h := haproxyOf(t, haproxyWith(`
  requires       = ">= 2.6"
  runtime_group  = "haproxy"
  ignore_runtime = []
  add_servers    = "never"
  raw_sections   = ["# mates\npeers mates\n    peer ka1 192.0.2.10:1024\n"]`, `
  reload {
    min_interval = "10s"
    timeout      = "1m"
    on_failure   = "keep"
  }

  frontend "f" {
    mode            = "tcp"
    from            = "tcp"
    default_backend = "b"
    maxconn         = 100
    directives      = ["log-format \"%ci %%{+Q}r\"", "acl a src 192.0.2.0/24"]

    bind "tls" {
      address  = "192.0.2.100"
      port     = 443
      nonlocal = "sysctl"
      params   = ["accept-proxy"]

      ssl {
        crt         = ["/etc/haproxy/certs/"]
        alpn        = ["h2", "http/1.1"]
        min_version = "TLSv1.2"
      }
    }

    route { backend = "%[src,map_ip(/etc/haproxy/hosts.map)]" }
  }

  backend "b" {
    from    = "tcp"
    balance = "hash src"
    hash    = "consistent"
    raw     = <<-EOT
      # a table
      stick-table type ip size 100k expire 30m
    EOT

    check "tcp" {}
  }

  map "hosts" {
    path    = "/etc/haproxy/hosts.map"
    entries = { "192.0.2.7" = "b", "192.0.2.6" = "b" }
  }

  certificate "site" { path = "/etc/haproxy/certs/site.pem" }`))
	if h.Requires != "2.6" || h.RuntimeGroup != "haproxy" || len(h.IgnoreRuntime) != 0 || h.AddServers != "never" || h.Reload.OnFailure != "keep" {
		t.Errorf("haproxy = %+v", h)
	}
	if m := h.Maps[0]; len(m.Entries) != 2 || m.Entries[0].Key != "192.0.2.6" {
		t.Errorf("map = %+v", m)
	}
	if h.Certificates[0].Path != "/etc/haproxy/certs/site.pem" {
		t.Errorf("certificate = %+v", h.Certificates[0])
	}
	got := haproxy.Render(h, "lab").Text
	for _, want := range []string{
		"bind 192.0.2.100:443 name tls ssl crt /etc/haproxy/certs/ alpn h2,http/1.1 ssl-min-ver TLSv1.2 accept-proxy\n",
		"use_backend %[src,map_ip(/etc/haproxy/hosts.map)]\n", "log-format \"%ci %{+Q}r\"\n", "\n# mates\npeers mates\n", "hash-type consistent\n",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("the file has no %q:\n%s", want, got)
		}
	}
}

// TestHAProxyIsBounded refuses more than the limits.
func TestHAProxyIsBounded(t *testing.T) {
	for name, h := range map[string]spec.HAProxy{
		"proxies": {Defaults: make([]spec.HAProxyDefaults, maxProxies), Backends: make([]spec.HAProxyBackend, 1)},
		"servers": {Backends: []spec.HAProxyBackend{{Servers: make([]spec.HAProxyEntry, maxHAProxyServers+1)}}},
		"binds":   {Frontends: []spec.HAProxyFrontend{{Binds: make([]spec.HAProxyBind, maxHAProxyLines)}, {Routes: make([]spec.HAProxyRoute, 1)}}},
		"entries": {Maps: []spec.HAProxyMap{{Entries: make([]spec.HAProxyMapRecord, maxMapRecords+1)}}},
		"bytes":   {RawSections: []string{"peers " + strings.Repeat("x", maxHAProxyText)}},
	} {
		v := &view{ev: newEvaluator(newProgram(Tree{}, Options{}), nil), cluster: &spec.Cluster{}}
		if v.haproxySmall(&h) || !v.ev.report.hasErrors() {
			t.Errorf("%s: more than the limit is accepted", name)
		}
	}
	v := &view{ev: newEvaluator(newProgram(Tree{}, Options{}), nil), cluster: &spec.Cluster{HAProxies: make([]spec.HAProxy, maxHAProxies+1)}}
	if v.haproxyRules(); !v.ev.report.hasErrors() {
		t.Error("more haproxies than the limit are accepted")
	}
}
