package hcl

import (
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/hareconcile/hareconcile/internal/spec"
)

// sixToo adds an instance of IPv6 to small and router.
const sixToo = `
vrrp_instance "six" {
  interface         = "eth0"
  virtual_router_id = 106
  priority          = { ka1 = 150, ka2 = 100 }
  addresses         = ["fe80::100/64", "2001:db8::100/64", "2001:db8::101/64"]
}
`

var compareSpec = cmp.Options{compareAddrs, cmpopts.IgnoreTypes(spec.Origin{})}

func TestEverythingOfAPoolIsRead(t *testing.T) {
	c := compile(t, Tree{"cluster.hcl": []byte(small + `
pool "web" {
  port            = 80
  on_fail         = "remove"
  require         = "any"
  initial         = "up"
  slow_start      = "30s"
  degraded_weight = "50%"
  panic_threshold = "40%"
  drain           = "5m"
  server "rs1" {
    address            = "rs1"
    port               = 8080
    weight             = 65535
    draining           = true
    max_connections    = 1000
    resume_connections = 800
  }
  server "six" {
    address = "2001:db8::5"
    tunnel  = { type = "gue", port = 6080, checksum = "remcsum" }
  }
  server "far" {
    address = "198.51.100.1"
    forward = "nat"
  }
  check "ping" {}
}
`)}, Options{})
	want := spec.Pool{
		Name: "web", Port: 80, OnFail: "remove", Any: true, InitiallyUp: true,
		SlowStart: 30 * time.Second, DegradedPercent: 50, PanicPercent: 40, Drain: 5 * time.Minute,
		Servers: []spec.Server{
			{Name: "rs1", Address: netip.MustParseAddr("192.0.2.110"), Port: 8080, Weight: 65535, Draining: true, Upper: 1000, Lower: 800},
			{Name: "six", Address: netip.MustParseAddr("2001:db8::5"), Port: 80, Weight: 1, Forward: "tunnel", Tunnel: spec.Tunnel{Type: "gue", Port: 6080, Checksum: "remcsum"}},
			{Name: "far", Address: netip.MustParseAddr("198.51.100.1"), Port: 80, Weight: 1, Forward: "nat"},
		},
		Checks: []spec.Check{{Type: "ping", Interval: 2 * time.Second, Timeout: time.Second, Rise: 2, Fall: 2}},
	}
	if d := cmp.Diff(want, c.Pools[0], compareSpec); d != "" {
		t.Errorf("pool (-want +got):\n%s", d)
	}
}

func TestEverythingOfAVirtualServerIsRead(t *testing.T) {
	c := compile(t, Tree{"cluster.hcl": []byte(small + router + `
pool "a" {
  port = 53
  server "rs1" { address = "192.0.2.111" }
  server "rs2" {
    address = "192.0.2.120"
    weight  = 4
  }
}
pool "b" {
  port = 53
  server "here" { address = "127.0.0.1" }
}
virtual_server "plain" {
  on      = vrrp_instance.web
  address = "192.0.2.100"
  port    = 53
  forward = "dr"
  pool    = pool.a
}
virtual_server "full" {
  on              = vrrp_instance.web
  address         = "192.0.2.100"
  port            = 53
  protocol        = "udp"
  program         = "master"
  scheduler       = "mh"
  scheduler_flags = ["mh-port", "mh-fallback"]
  one_packet      = true
  forward         = "tunnel"
  tunnel          = { type = "gue", port = 6080, checksum = "csum" }
  pool            = pool.a
  sorry           = pool.b
  quorum          = 3
  hysteresis      = 2
  adopt           = true
  persistence {
    timeout = "5m"
    bits    = 24
    engine  = "sip"
  }
}
`)}, Options{})
	address := netip.MustParseAddr("192.0.2.100")
	want := []spec.VirtualServer{{
		Name: "plain", On: "web", Services: []spec.Service{{Protocol: "tcp", Address: address, Port: 53}},
		Scheduler: "wlc", Forward: "dr", Pool: "a", Quorum: 1,
	}, {
		Name: "full", On: "web", Services: []spec.Service{{Protocol: "udp", Address: address, Port: 53}},
		Program: "master", Scheduler: "mh", Flags: []string{"mh-fallback", "mh-port"}, OnePacket: true,
		Forward: "tunnel", Tunnel: spec.Tunnel{Type: "gue", Port: 6080, Checksum: "csum"},
		Pool: "a", Sorry: "b", Quorum: 3, Hysteresis: 2, Adopt: true,
		Persistence: spec.Persistence{Timeout: 5 * time.Minute, Bits: 24, Engine: "sip"},
	}}
	if d := cmp.Diff(want, c.VirtualServers, compareSpec); d != "" {
		t.Errorf("virtual servers (-want +got):\n%s", d)
	}
}

func TestRangesAreWrittenOutInOrder(t *testing.T) {
	c := compile(t, Tree{"cluster.hcl": []byte(small + sixToo + `
vrrp_instance "many" {
  interface         = "eth0"
  virtual_router_id = 7
  priority          = { ka1 = 150, ka2 = 100 }
  addresses         = [for k in range(8) : "198.51.100.${k}/32"]
}
pool "any" {
  server "rs1" { address = "rs1" }
}
pool "six" {
  server "rs1" { address = "2001:db8::5" }
}
virtual_server "ranges" {
  on        = vrrp_instance.many
  addresses = ["198.51.100.6/31", "198.51.100.1-198.51.100.2"]
  ports     = [8000, "80-81"]
  protocols = ["udp", "tcp"]
  forward   = "dr"
  pool      = pool.any
}
virtual_server "six" {
  on        = vrrp_instance.six
  addresses = ["2001:db8::100 - 2001:db8::101"]
  port      = 443
  forward   = "nat"
  pool      = pool.six
}
virtual_server "mark" {
  on      = vrrp_instance.six
  mark    = "0x10"
  forward = "nat"
  pool    = pool.six
}
virtual_server "marked" {
  on      = vrrp_instance.many
  mark    = 16
  family  = "ipv4"
  forward = "tunnel"
  pool    = pool.six
}
virtual_server "all" {
  on      = vrrp_instance.many
  address = "198.51.100.0"
  port    = 0
  forward = "dr"
  pool    = pool.any
  persistence {}
}
`)}, Options{})
	var got []string
	for _, vs := range c.VirtualServers {
		for _, s := range vs.Services {
			got = append(got, serviceText(s))
		}
	}
	var want []string
	for _, a := range []string{"198.51.100.6", "198.51.100.7", "198.51.100.1", "198.51.100.2"} {
		for _, port := range []string{"8000", "80", "81"} {
			want = append(want, "udp "+a+":"+port, "tcp "+a+":"+port)
		}
	}
	want = append(want, "tcp [2001:db8::100]:443", "tcp [2001:db8::101]:443", "mark 16 ipv6", "mark 16 ipv4", "tcp 198.51.100.0:0")
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("services (-want +got):\n%s", d)
	}
	if s := c.VirtualServers[4].Persistence; s != (spec.Persistence{Timeout: 6 * time.Minute}) {
		t.Errorf("persistence {} = %+v, want 6m", s)
	}
	if port := c.Pools[0].Servers[0].Port; port != 0 {
		t.Errorf("port of a server of a pool without one = %d, want 0, which is the service's", port)
	}
}

func TestEverythingOfIPVSIsRead(t *testing.T) {
	c := compile(t, Tree{"cluster.hcl": []byte(small + router + `
ipvs {
  timeouts = { tcp = "15m", tcp_fin = "2m", udp = "90s" }
  sysctls  = { expire_nodest_conn = 1, sync_threshold = "3  50", est_nice = -5 }
  sync "plain" {
    on        = vrrp_instance.web
    interface = "eth1"
  }
}
`)}, Options{})
	want := &spec.IPVS{
		TCP: 15 * time.Minute, TCPFin: 2 * time.Minute, UDP: 90 * time.Second,
		Sysctls: map[string]string{"expire_nodest_conn": "1", "sync_threshold": "3 50", "est_nice": "-5"},
		Syncs:   []spec.Sync{{Name: "plain", On: "web", Interface: "eth1", ID: 100}},
	}
	if d := cmp.Diff(want, c.IPVS, compareSpec); d != "" {
		t.Errorf("ipvs (-want +got):\n%s", d)
	}
	c = compile(t, Tree{"cluster.hcl": []byte(small + router + `
ipvs {
  sync "full" {
    on        = vrrp_instance.web
    interface = "eth1"
    id        = 0
    max_len   = 1400
    group     = "ff02::81"
    port      = 8849
    ttl       = 3
  }
}
`)}, Options{})
	sync := spec.Sync{Name: "full", On: "web", Interface: "eth1", MaxLen: 1400, Group: netip.MustParseAddr("ff02::81"), Port: 8849, TTL: 3}
	if d := cmp.Diff([]spec.Sync{sync}, c.IPVS.Syncs, compareSpec); d != "" {
		t.Errorf("syncs (-want +got):\n%s", d)
	}
}
