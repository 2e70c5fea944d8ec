# The services of keepalived.conf beside this file, in the same order.
cluster "same" {
  node "lb1" { address = "192.0.2.10" }
}

vrrp_instance "web" {
  interface         = "eth0"
  virtual_router_id = 51
  priority          = { lb1 = 100 }
  addresses         = [for n in range(100, 121) : "192.0.2.${n}/24"]
  excluded          = ["2001:db8::100/64", "2001:db8::101/64", "2001:db8::102/64"]
}

pool "mapped" {
  port = 8080
  server "a" { address = "10.0.0.11" }
  server "b" { address = "10.0.0.12" }
}

pool "web" {
  port = 80
  server "a" {
    address = "10.0.0.11"
    weight  = 2
  }
  server "b" { address = "10.0.0.12" }
}

pool "dns" {
  port = 53
  server "a" {
    address = "10.0.0.11"
    weight  = 3
  }
  server "b" { address = "10.0.0.12" }
}

pool "six" {
  port = 80
  server "a" { address = "2001:db8:1::11" }
  server "b" {
    address = "2001:db8:1::12"
    weight  = 5
  }
}

# Each server has the port of its service.
pool "any" {
  server "a" { address = "10.0.0.11" }
  server "b" { address = "10.0.0.12" }
}

pool "any6" {
  server "a" { address = "2001:db8:1::11" }
}

pool "bounded" {
  port = 80
  server "a" {
    address            = "10.0.0.11"
    max_connections    = 1000
    resume_connections = 800
  }
  server "b" {
    address         = "10.0.0.12"
    weight          = 0
    max_connections = 500
  }
}

# Of these a is up and b is down.
pool "removed" {
  port    = 80
  on_fail = "remove"
  server "a" { address = "10.0.0.11" }
  server "b" { address = "10.0.0.12" }
  check "exec" { command = ["/bin/true"] }
}

pool "inhibited" {
  port = 80
  server "a" {
    address = "10.0.0.11"
    weight  = 4
  }
  server "b" {
    address = "10.0.0.12"
    weight  = 4
  }
  check "exec" { command = ["/bin/true"] }
}

# Of this nobody is up.
pool "dead" {
  port    = 80
  on_fail = "remove"
  server "a" { address = "10.0.0.11" }
  server "b" { address = "10.0.0.12" }
  check "exec" { command = ["/bin/false"] }
}

pool "sorry" {
  port = 80
  server "s" { address = "10.0.0.13" }
}

pool "here" {
  port = 80
  server "s" { address = "127.0.0.1" }
}

virtual_server "nat" {
  on        = vrrp_instance.web
  address   = "192.0.2.100"
  port      = 80
  scheduler = "rr"
  forward   = "nat"
  pool      = pool.mapped
}

virtual_server "dr" {
  on        = vrrp_instance.web
  address   = "192.0.2.101"
  port      = 80
  scheduler = "wrr"
  forward   = "dr"
  pool      = pool.web
}

virtual_server "ipip" {
  on        = vrrp_instance.web
  address   = "192.0.2.102"
  port      = 80
  scheduler = "lc"
  forward   = "tunnel"
  pool      = pool.web
}

virtual_server "gue" {
  on        = vrrp_instance.web
  address   = "192.0.2.103"
  port      = 80
  scheduler = "wlc"
  forward   = "tunnel"
  pool      = pool.web
  tunnel    = { type = "gue", port = 5555 }
}

virtual_server "gue-csum" {
  on        = vrrp_instance.web
  address   = "192.0.2.104"
  port      = 80
  scheduler = "sed"
  forward   = "tunnel"
  pool      = pool.web
  tunnel    = { type = "gue", port = 5555, checksum = "csum" }
}

virtual_server "gue-remcsum" {
  on        = vrrp_instance.web
  address   = "192.0.2.105"
  port      = 80
  scheduler = "nq"
  forward   = "tunnel"
  pool      = pool.web
  tunnel    = { type = "gue", port = 5555, checksum = "remcsum" }
}

virtual_server "gre" {
  on        = vrrp_instance.web
  address   = "192.0.2.106"
  port      = 80
  scheduler = "dh"
  forward   = "tunnel"
  pool      = pool.web
  tunnel    = { type = "gre", checksum = "csum" }
}

virtual_server "failover" {
  on        = vrrp_instance.web
  address   = "192.0.2.107"
  port      = 80
  scheduler = "fo"
  forward   = "dr"
  pool      = pool.web
}

virtual_server "overflow" {
  on        = vrrp_instance.web
  address   = "192.0.2.108"
  port      = 80
  scheduler = "ovf"
  forward   = "dr"
  pool      = pool.web
}

virtual_server "bounded" {
  on        = vrrp_instance.web
  address   = "192.0.2.109"
  port      = 80
  scheduler = "lblcr"
  forward   = "dr"
  pool      = pool.bounded
}

virtual_server "nat6" {
  on        = vrrp_instance.web
  address   = "2001:db8::100"
  port      = 80
  scheduler = "rr"
  forward   = "nat"
  pool      = pool.six
}

virtual_server "dr6" {
  on        = vrrp_instance.web
  address   = "2001:db8::101"
  port      = 80
  scheduler = "lblc"
  forward   = "dr"
  pool      = pool.six
}

virtual_server "sources" {
  on              = vrrp_instance.web
  address         = "192.0.2.110"
  port            = 53
  scheduler       = "sh"
  forward         = "dr"
  pool            = pool.dns
  protocol        = "udp"
  scheduler_flags = ["sh-fallback", "sh-port"]
}

virtual_server "maglev" {
  on              = vrrp_instance.web
  address         = "2001:db8::102"
  port            = 80
  scheduler       = "mh"
  forward         = "tunnel"
  pool            = pool.six
  protocol        = "udp"
  scheduler_flags = ["mh-fallback", "mh-port"]
}

virtual_server "packets" {
  on         = vrrp_instance.web
  address    = "192.0.2.111"
  port       = 53
  scheduler  = "rr"
  forward    = "dr"
  pool       = pool.dns
  protocol   = "udp"
  one_packet = true
}

virtual_server "calls" {
  on        = vrrp_instance.web
  address   = "192.0.2.112"
  port      = 53
  scheduler = "wrr"
  forward   = "nat"
  pool      = pool.dns
  protocol  = "udp"
  persistence {
    timeout = "2m"
    engine  = "sip"
  }
}

virtual_server "sctp" {
  on        = vrrp_instance.web
  address   = "192.0.2.113"
  port      = 80
  scheduler = "wlc"
  forward   = "nat"
  pool      = pool.mapped
  protocol  = "sctp"
}

virtual_server "mark" {
  on        = vrrp_instance.web
  mark      = 10
  scheduler = "wrr"
  forward   = "dr"
  pool      = pool.any
}

virtual_server "mark6" {
  on        = vrrp_instance.web
  mark      = "0x14"
  family    = "ipv6"
  scheduler = "wlc"
  forward   = "dr"
  pool      = pool.any6
  persistence {
    timeout = "10m"
    bits    = 64
  }
}

virtual_server "ports" {
  on        = vrrp_instance.web
  address   = "192.0.2.114"
  port      = 0
  scheduler = "wlc"
  forward   = "dr"
  pool      = pool.any
  persistence {
    bits = 24
  }
}

virtual_server "range" {
  on        = vrrp_instance.web
  addresses = ["192.0.2.115-192.0.2.116"]
  port      = 80
  scheduler = "rr"
  forward   = "dr"
  pool      = pool.removed
}

virtual_server "inhibited" {
  on        = vrrp_instance.web
  address   = "192.0.2.117"
  port      = 80
  scheduler = "wrr"
  forward   = "dr"
  pool      = pool.inhibited
  quorum    = 4
}

virtual_server "unanswered" {
  on         = vrrp_instance.web
  address    = "192.0.2.118"
  port       = 80
  scheduler  = "wrr"
  forward    = "dr"
  pool       = pool.inhibited
  sorry      = pool.sorry
  quorum     = 6
  hysteresis = 1
}

virtual_server "dead" {
  on        = vrrp_instance.web
  address   = "192.0.2.119"
  port      = 80
  scheduler = "wrr"
  forward   = "dr"
  pool      = pool.dead
  sorry     = pool.here
}
