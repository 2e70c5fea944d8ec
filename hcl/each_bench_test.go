package hcl

import "testing"

// eachServices is a cluster whose 9,900 services are blocks made by for_each.
const eachServices = `cluster "bench" {
  node "n1" { address = "10.95.0.2" }
}
vrrp_instance "vip" {
  interface         = "eth0"
  virtual_router_id = 1
  priority          = { n1 = 100 }
  addresses         = ["10.95.0.1/24"]
}
pool "web" {
  dynamic "server" {
    for_each = { for i in range(5) : "s${i}" => i }
    labels   = [server.key]
    content {
      address = "10.97.0.${server.value + 1}"
      weight  = 1
    }
  }
}
virtual_server "web" {
  on        = vrrp_instance.vip
  address   = "10.95.0.1"
  protocol  = "tcp"
  scheduler = "wrr"
  forward   = "dr"
  pool      = pool.web
  for_each  = { for p in setproduct(range(99), range(100)) : "s${p[0] * 100 + p[1]}" => p[0] * 100 + p[1] }
  port      = 10001 + each.value
}
`

// BenchmarkCompileForEach measures what one block of for_each costs, which
// should not grow with how many there are.
func BenchmarkCompileForEach(b *testing.B) {
	tree := Tree{"cluster.hcl": []byte(eachServices)}
	b.ReportAllocs()
	for b.Loop() {
		c, ds := Compile(tree, Options{})
		if c == nil || len(c.VirtualServers) != 9_900 {
			b.Fatal(text(ds))
		}
	}
}
