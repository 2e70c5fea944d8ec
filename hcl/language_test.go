package hcl

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hareconcile/hareconcile/internal/spec"
)

// small is a cluster that the tests add to.
const small = `
cluster "lab" {
  node "ka1" { address = "192.0.2.10" }
  node "ka2" { address = "192.0.2.20" }
  node "rs1" { address = "192.0.2.110" }
}
`

const router = `
vrrp_instance "web" {
  interface         = "eth0"
  virtual_router_id = 100
  priority          = { ka1 = 150, ka2 = 100 }
  addresses         = ["192.0.2.100/24"]
}
`

func TestDefaults(t *testing.T) {
	c := compile(t, Tree{"cluster.hcl": []byte(small + router + `
pool "web" {
  port = 80
  server "rs1" { address = "192.0.2.110" }
  check "http" {}
}
tracker "p" { plugin = "probe" }
`)}, Options{})
	i, p, tr := c.Instances[0], c.Pools[0], c.Trackers[0]
	if i.Interval != time.Second || i.Version != 3 || !i.Preempt {
		t.Errorf("instance = %+v, want 1s, version 3, preempt", i)
	}
	ch := p.Checks[0]
	if ch.HTTP.Path != "/" || ch.HTTP.Method != "GET" || ch.HTTP.Host != "" || !cmp.Equal(ch.HTTP.Status, []spec.StatusRange{{Low: 200, High: 200}}) || ch.Interval != 2*time.Second || ch.Timeout != time.Second || ch.Rise != 2 || ch.Fall != 2 {
		t.Errorf("check = %+v", ch)
	}
	if p.OnFail != "weight_zero" || p.Servers[0].Weight != 1 || p.Servers[0].Port != 80 {
		t.Errorf("pool = %+v", p)
	}
	if tr.Hold != 5*time.Minute || tr.OnUnknown != "down" || string(tr.Config) != "{}" {
		t.Errorf("tracker = %+v", tr)
	}
}

func TestForEachNamesInstancesByKey(t *testing.T) {
	c := compile(t, Tree{"cluster.hcl": []byte(small + router + `
locals {
  services = { http = 80, https = 443 }
}
pool "web" {
  for_each = local.services
  port     = each.value
  server "rs1" { address = "192.0.2.110" }
}
virtual_server "web" {
  for_each = local.services
  on       = vrrp_instance.web
  address  = host(vrrp_instance.web.addresses[0])
  port     = pool.web[each.key].port
  forward  = "dr"
  pool     = pool.web[each.key]
}
virtual_server "extra" {
  on       = vrrp_instance.web
  address  = host(vrrp_instance.web.addresses[0])
  protocol = "udp"
  port     = virtual_server.web["https"].port
  forward  = "dr"
  pool     = pool.web["https"]
}
`)}, Options{})
	var got []string
	for _, s := range c.VirtualServers {
		got = append(got, s.Name+" "+s.Pool+" "+s.Origin.Address)
	}
	want := []string{
		`web["http"] web["http"] virtual_server.web["http"]`,
		`web["https"] web["https"] virtual_server.web["https"]`,
		`extra web["https"] virtual_server.extra`,
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("virtual servers (-want +got):\n%s", d)
	}
	if p := c.VirtualServers[2].Services[0].Port; p != 443 {
		t.Errorf("port of extra = %d, want 443", p)
	}
}

func TestLocalsAreOrderFreeAndOnlyAttributeCyclesAreErrors(t *testing.T) {
	c := compile(t, Tree{"cluster.hcl": []byte(small + `
locals {
  a = local.b + 1
  b = tracker.one.rise
}
tracker "one" {
  plugin = "x"
  rise   = 3
  fall   = tracker.two.fall
}
tracker "two" {
  plugin = "x"
  rise   = local.a
  fall   = 7
}
`)}, Options{})
	if r, f := c.Trackers[1].Rise, c.Trackers[0].Fall; r != 4 || f != 7 {
		t.Errorf("rise of two = %d, fall of one = %d, want 4 and 7", r, f)
	}
}

func TestValuesComeFromFilesInOrderAndThenFromOptions(t *testing.T) {
	tree := Tree{
		"cluster.hcl": []byte(small + `
variable "rise" {
  type    = number
  default = 1
}
tracker "one" {
  plugin = "x"
  rise   = var.rise
}
`),
		"a.hcvars":       []byte("rise = 2\n"),
		"b.hcvars":       []byte("rise = 3\n"),
		"sub/c.hcvars":   []byte("rise = 4\n"),
		"x.schema.json":  []byte(`{"attributes":{}}`),
		"unrelated.hcl":  []byte("this is not read"),
		"policies/p.hcl": []byte("nor is this"),
	}
	if got := compile(t, tree, Options{}).Trackers[0].Rise; got != 3 {
		t.Errorf("rise = %d, want 3", got)
	}
	if got := compile(t, tree, Options{Vars: map[string]string{"rise": "5"}}).Trackers[0].Rise; got != 5 {
		t.Errorf("rise with -var = %d, want 5", got)
	}
}

func TestOptionalAttributesOfVariables(t *testing.T) {
	c := compile(t, Tree{"cluster.hcl": []byte(small + `
variable "servers" {
  type    = map(object({ address = string, weight = optional(number, 10) }))
  default = { a = { address = "192.0.2.111" }, b = { address = "192.0.2.112", weight = 3 } }
}
pool "web" {
  port = 80
  dynamic "server" {
    for_each = var.servers
    iterator = it
    labels   = [it.key]
    content {
      address = it.value.address
      weight  = it.value.weight
    }
  }
}
`)}, Options{})
	if s := c.Pools[0].Servers; s[0].Weight != 10 || s[1].Weight != 3 || s[1].Name != "b" {
		t.Errorf("servers = %+v", s)
	}
}

func TestEachNodeHasItsView(t *testing.T) {
	tree := Tree{"cluster.hcl": []byte(small + `
vrrp_instance "web" {
  interface         = node.name == "ka1" ? "bond0" : "eth0"
  virtual_router_id = 100
  priority          = { ka1 = 150, ka2 = 100 }
  addresses         = ["192.0.2.100/24"]
}
`)}
	for node, want := range map[string]string{"": "bond0", "ka1": "bond0", "ka2": "eth0", "rs1": "eth0"} {
		c := compile(t, tree, Options{Node: node})
		if got := c.Instances[0].Interface; got != want {
			t.Errorf("interface on %q = %s, want %s", node, got, want)
		}
		if node != "" && c.Node != node {
			t.Errorf("node = %q, want %q", c.Node, node)
		}
	}
	_, ds := Compile(tree, Options{Node: "ka3"})
	if !strings.Contains(text(ds), `No node is named "ka3". Did you mean "ka1"?`) {
		t.Errorf("Compile for ka3:\n%s", text(ds))
	}
}

func TestAMistakeInAnotherNodesViewIsFound(t *testing.T) {
	tree := Tree{"cluster.hcl": []byte(small + `
tracker "one" {
  plugin = "x"
  rise   = { ka1 = 1, ka2 = 2, rs1 = 1000 }[node.name]
}
`)}
	if _, ds := Compile(tree, Options{Node: "ka1"}); !ds.HasErrors() {
		t.Error("rise 1000 on rs1 was not found from ka1")
	}
}

func TestASecretStaysAReference(t *testing.T) {
	c := compile(t, Tree{
		"cluster.hcl": []byte(small + `
tracker "db" {
  plugin = "pg"
  config = { dsn = "host=/run/pg", password = secret("pg_password") }
}
`),
		"pg.schema.json": []byte(`{"attributes":{"dsn":{"type":"string"},"password":{"type":"string"}}}`),
	}, Options{})
	if got, want := string(c.Trackers[0].Config), `{"dsn":"host=/run/pg","password":{"$secret":"pg_password"}}`; got != want {
		t.Errorf("config = %s, want %s", got, want)
	}
}

func TestMoved(t *testing.T) {
	c := compile(t, Tree{"cluster.hcl": []byte(small + `
pool "web" {
  port = 80
  server "rs1" { address = "192.0.2.110" }
}
moved {
  from = pool.old["a"]
  to   = pool.web
}
`)}, Options{})
	if m := c.Moved[0]; m.From != `pool.old["a"]` || m.To != "pool.web" {
		t.Errorf("moved = %+v", m)
	}
}

func TestSourceAndGates(t *testing.T) {
	c := compile(t, Tree{"cluster.hcl": []byte(small + `
tracker "link" {
  for_each  = toset(["eth0", "eth1"])
  interface = each.key
}
vrrp_instance "web" {
  interface         = "eth1"
  virtual_router_id = 7
  priority          = { ka1 = 150, ka2 = 100 }
  addresses         = ["198.51.100.100/24"]
  source            = { ka1 = "198.51.100.10", ka2 = "198.51.100.20" }
  gates             = [for k in ["eth0", "eth1"] : tracker.link[k]]
  preempt           = "never"
}
`)}, Options{})
	i := c.Instances[0]
	if i.Source["ka2"] != netip.MustParseAddr("198.51.100.20") || i.Preempt {
		t.Errorf("instance = %+v", i)
	}
	if d := cmp.Diff([]string{`link["eth0"]`, `link["eth1"]`}, i.Gates); d != "" {
		t.Errorf("gates (-want +got):\n%s", d)
	}
}

func TestCompilingTwiceGivesTheSame(t *testing.T) {
	a, b := compile(t, example(t), Options{}), compile(t, example(t), Options{})
	if d := cmp.Diff(a, b, compareNetip, comparePrefix); d != "" {
		t.Errorf("two compilations differ:\n%s", d)
	}
}

func TestPluginSchemasFromOptions(t *testing.T) {
	tree := Tree{"cluster.hcl": []byte(small + `
tracker "x" {
  plugin = "haproxy"
  config = { sokcet = "/run/x" }
}
`)}
	_, ds := Compile(tree, Options{PluginSchemas: map[string][]byte{"haproxy": []byte(`{"attributes":{"socket":{"type":"string"}}}`)}})
	if !strings.Contains(text(ds), `Did you mean "socket"?`) {
		t.Errorf("diagnostics:\n%s", text(ds))
	}
}

// TestBlocksShareOnlyWhatDoesNotDiffer has dynamic inside for_each, whose attributes refer to
// either, to both under one name, to a loop's variable of that name, and to neither, or are null.
func TestBlocksShareOnlyWhatDoesNotDiffer(t *testing.T) {
	c := compile(t, Tree{"cluster.hcl": []byte(small + router + `
locals {
  each    = { key = "no block's" }
  weights = { a = 3, b = 4 }
}
pool "web" {
  for_each = { a = [1, 2], b = [3, 4] }
  drain    = "${local.weights[each.key]}s"
  on_fail  = [for each in ["remove"] : each][0]
  dynamic "server" {
    for_each = { for i in each.value : "s${i}" => i }
    iterator = srv
    labels   = [srv.key]
    content {
      address = "192.0.2.${srv.value}"
      port    = each.key == "a" ? 8001 : 8002
      weight  = local.weights["a"] + length(keys(local.weights))
    }
  }
  dynamic "server" {
    for_each = { for i in each.value : "t${i}" => i }
    iterator = each
    labels   = [each.key]
    content {
      address = "192.0.2.${each.value + 100}"
      port    = 80
      weight  = null
    }
  }
}
virtual_server "web" {
  for_each = local.weights
  on       = vrrp_instance.web
  address  = host(vrrp_instance.web.addresses[0])
  port     = 1000 + each.value
  forward  = "nat"
  pool     = pool.web[each.key]
}
`)}, Options{})
	var got []string
	for _, p := range c.Pools {
		for _, s := range p.Servers {
			got = append(got, fmt.Sprint(p.Name, " ", p.Drain, " ", p.OnFail, " ", s.Name, " ", s.Address, " ", s.Port, " ", s.Weight))
		}
	}
	want := []string{
		`web["a"] 3s remove s1 192.0.2.1 8001 5`, `web["a"] 3s remove s2 192.0.2.2 8001 5`,
		`web["a"] 3s remove t1 192.0.2.101 80 1`, `web["a"] 3s remove t2 192.0.2.102 80 1`,
		`web["b"] 4s remove s3 192.0.2.3 8002 5`, `web["b"] 4s remove s4 192.0.2.4 8002 5`,
		`web["b"] 4s remove t3 192.0.2.103 80 1`, `web["b"] 4s remove t4 192.0.2.104 80 1`,
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("servers (-want +got):\n%s", d)
	}
}
