package hcl_test

import (
	"fmt"
	"testing"

	"github.com/hareconcile/hareconcile/hcl"
	"github.com/hareconcile/hareconcile/internal/vrrp"
)

// TestAsManyAddressesAsAdvertsHold keeps validate to what vrrpd can send.
func TestAsManyAddressesAsAdvertsHold(t *testing.T) {
	const auth = "auth {\nkey \"1\" { secret = secret(\"vrrp\") }\n}\n"
	for _, c := range []struct {
		version int
		v6      bool
		signed  bool
	}{{2, false, false}, {3, false, false}, {3, false, true}, {3, true, false}, {3, true, true}} {
		most := vrrp.MaxAddressesFor(c.version, c.v6, c.signed, 1500)
		for _, n := range []int{most, most + 1} {
			addresses, source, more := "10.0.${k}.1/32", `{ ka1 = "10.1.0.1", ka2 = "10.1.0.2" }`, ""
			if c.v6 {
				addresses, source = "fe80::1:${k}/64", `{ ka1 = "fe80::1", ka2 = "fe80::2" }`
			}
			if c.signed {
				more = auth
			}
			_, ds := hcl.Compile(hcl.Tree{"cluster.hcl": fmt.Appendf(nil, `
cluster "lab" {
  node "ka1" { address = "192.0.2.10" }
  node "ka2" { address = "192.0.2.20" }
}
vrrp_instance "web" {
  interface         = "eth0"
  virtual_router_id = 100
  version           = %d
  priority          = { ka1 = 150, ka2 = 100 }
  source            = %s
  addresses         = [for k in range(%d) : "%s"]
  %s}
`, c.version, source, n, addresses, more)}, hcl.Options{})
			if refused := ds.HasErrors(); refused != (n > most) {
				t.Errorf("version %d, IPv6 %v, signed %v: %d addresses refused = %v: %v", c.version, c.v6, c.signed, n, refused, ds)
			}
		}
	}
}
