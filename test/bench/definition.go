package main

import "fmt"

// A spelling is how a cluster file asks for many services.
type spelling struct {
	name     string
	services int    // a multiple of 100
	text     string // the attributes of the virtual server, with the hundreds of services to fill in
}

var spellings = []spelling{
	{"range of ports", 10_000, `
  ports = ["10001-${10000 + %[1]d * 100}"]`},
	{"for_each", 9_900, // a file may make 10,000 blocks in all
		`
  for_each = { for p in setproduct(range(%[1]d), range(100)) : "s${p[0] * 100 + p[1]}" => p[0] * 100 + p[1] }
  port     = 10001 + each.value`},
}

// device is the one on which the director has its virtual address.
const device = "bench0"

// definition is a cluster.hcl for this node.
func definition(node string, s spelling) string {
	return fmt.Sprintf(`cluster "bench" {
  node %[1]q { address = "10.95.0.2" }
}

vrrp_instance "vip" {
  interface         = %[2]q
  virtual_router_id = 1
  priority          = { %[1]s = 100 }
  addresses         = ["10.95.0.1/24"]
}

pool "web" {
  dynamic "server" {
    for_each = { for i in range(%[3]d) : "s${i}" => i }
    labels   = [server.key]

    content {
      address = "10.97.0.${server.value + 1}"
      weight  = %[4]d
    }
  }
}

virtual_server "web" {
  on        = vrrp_instance.vip
  address   = "10.95.0.1"
  protocol  = "tcp"
  scheduler = %[5]q
  forward   = "dr"
  pool      = pool.web
%[6]s
}
`, node, device, serversEach, firstWeight, scheduler, fmt.Sprintf(s.text, s.services/100))
}
