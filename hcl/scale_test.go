package hcl

import (
	"fmt"
	"strings"
	"testing"
)

// manyServices is a cluster of n virtual servers, each with a pool of five servers of its
// own, by for_each over a map that is written out in a file of values.
func manyServices(n int) Tree {
	var values strings.Builder
	values.WriteString("services = {\n")
	for i := range n {
		fmt.Fprintf(&values, "  \"s%05d\" = { vip = %d, port = %d }\n", i, i%200, 1000+i/200)
	}
	values.WriteString("}\n")
	return Tree{"cluster.hcl": []byte(small + `
variable "services" { type = map(object({ vip = number, port = number })) }
vrrp_instance "web" {
  interface         = "eth0"
  virtual_router_id = 100
  priority          = { ka1 = 150, ka2 = 100 }
  addresses         = [for k in range(200) : "198.51.100.${k}/32"]
}
locals {
  real = { for k in range(5) : "rs${k}" => "203.0.113.${k + 1}" }
}
pool "web" {
  for_each = var.services
  port     = each.value.port
  dynamic "server" {
    for_each = local.real
    labels   = [server.key]
    content {
      address = server.value
      weight  = 10
    }
  }
  check "tcp" {
    interval = "5s"
  }
}
virtual_server "web" {
  for_each  = var.services
  on        = vrrp_instance.web
  address   = "198.51.100.${each.value.vip}"
  port      = each.value.port
  scheduler = "wrr"
  forward   = "nat"
  pool      = pool.web[each.key]
}
`), "services.hcvars": []byte(values.String())}
}

func BenchmarkCompile(b *testing.B) {
	for _, n := range []int{1000, 4000, 10_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			tree := manyServices(n)
			b.ReportAllocs()
			for b.Loop() {
				c, ds := Compile(tree, Options{})
				if c == nil || len(c.VirtualServers) != n {
					b.Fatal(text(ds))
				}
			}
		})
	}
}

// ranges is the same as one virtual server, by ranges.
const ranges = `
vrrp_instance "web" {
  interface         = "eth0"
  virtual_router_id = 100
  priority          = { ka1 = 150, ka2 = 100 }
  addresses         = [for k in range(200) : "198.51.100.${k}/32"]
}
pool "web" {
  dynamic "server" {
    for_each = { for k in range(5) : "rs${k}" => "203.0.113.${k + 1}" }
    labels   = [server.key]
    content {
      address = server.value
    }
  }
}
virtual_server "web" {
  on        = vrrp_instance.web
  addresses = ["198.51.100.0-198.51.100.199"]
  ports     = ["1000-1049"]
  forward   = "dr"
  pool      = pool.web
}
`

// computed makes them without a file of values.
const computed = `
locals {
  services = merge([for a in range(100) : { for b in range(100) : "s${a}-${b}" => { vip = a, port = 1000 + b } }]...)
}
vrrp_instance "web" {
  interface         = "eth0"
  virtual_router_id = 100
  priority          = { ka1 = 150, ka2 = 100 }
  addresses         = [for k in range(100) : "198.51.100.${k}/32"]
}
pool "web" {
  server "rs1" { address = "203.0.113.1" }
  server "rs2" { address = "203.0.113.2" }
  server "rs3" { address = "203.0.113.3" }
  server "rs4" { address = "203.0.113.4" }
  server "rs5" { address = "203.0.113.5" }
}
virtual_server "web" {
  for_each = local.services
  on       = vrrp_instance.web
  address  = "198.51.100.${each.value.vip}"
  port     = each.value.port
  forward  = "dr"
  pool     = pool.web
}
`

func TestTenThousandServices(t *testing.T) {
	for name, tree := range map[string]Tree{
		"with pools of their own": manyServices(10_000), "computed": {"cluster.hcl": []byte(small + computed)}, "by ranges": {"cluster.hcl": []byte(small + ranges)},
	} {
		c, ds := Compile(tree, Options{Node: "ka2"})
		if c == nil {
			t.Errorf("%s: %s", name, text(ds))
			continue
		}
		services, servers := 0, map[string]int{}
		for _, p := range c.Pools {
			servers[p.Name] = len(p.Servers)
		}
		for _, vs := range c.VirtualServers {
			services += len(vs.Services)
			if servers[vs.Pool] != 5 {
				t.Errorf("%s: %s has %d servers, want 5", name, vs.Origin.Address, servers[vs.Pool])
				break
			}
		}
		if services != 10_000 || c.Node != "ka2" {
			t.Errorf("%s: %d services for %s, want 10000 for ka2", name, services, c.Node)
		}
	}
}

func TestEveryNodesServicesAreChecked(t *testing.T) {
	tree := manyServices(100)
	tree["cluster.hcl"] = append(tree["cluster.hcl"], `
pool "own" {
  port = node.name == "ka1" ? 80 : 81
  server "rs1" { address = "rs1" }
}
virtual_server "own" {
  on      = vrrp_instance.web
  address = "198.51.100.0"
  port    = 80
  forward = node.name == "rs1" ? "dr" : "nat"
  pool    = pool.own
}
`...)
	if _, ds := Compile(tree, Options{Node: "ka1"}); !strings.Contains(text(ds), "Direct routing cannot map ports") {
		t.Errorf("a mistake in what rs1 sees: %s", text(ds))
	}
	tree["cluster.hcl"] = []byte(strings.Replace(string(tree["cluster.hcl"]), `? "dr" : "nat"`, `? "nat" : "nat"`, 1))
	for _, node := range []string{"", "ka2", "rs1"} {
		c, ds := Compile(tree, Options{Node: node})
		if c == nil || len(c.VirtualServers) != 101 || len(c.Pools) != 101 {
			t.Errorf("the view of %q is not whole: %s", node, text(ds))
		}
	}
}

// TestTwiceAsManyServicesTakeTwiceAsLong counts what is allocated and what is metered, which
// load does not disturb: nothing in between may be quadratic.
func TestTwiceAsManyServicesTakeTwiceAsLong(t *testing.T) {
	cost := func(n int) (allocs float64, work int) {
		tree := manyServices(n)
		allocs = testing.AllocsPerRun(1, func() {
			p := newProgram(tree, Options{})
			if !p.load() {
				t.Fatal(text(p.report.diagnostics()))
			}
			p.view(p.base(), p.base().Nodes[0])
			work = p.spent + p.meter.work
		})
		return allocs, work
	}
	few, little := cost(500)
	many, much := cost(2000)
	if many > 4.4*few || float64(much) > 4.4*float64(little) {
		t.Errorf("four times as many services take %.1f times the allocations and %.1f times the steps, want 4", many/few, float64(much)/float64(little))
	}
	if three := 3 * 5 * much; three > maxTotalWork {
		t.Errorf("three views of ten thousand services take %d steps, more than %d", three, maxTotalWork)
	}
	if perService := many / 2000; perService > 1500 {
		t.Errorf("a service with five servers takes %.0f allocations", perService)
	}
}
