# Two directors with an address of each family, and most of what IPVS has: masquerading,
# tunnels, ranges, a firewall mark, checks of several types, a quorum and a sorry page.

variable "v4" {
  type    = string
  default = "192.0.2.100"
}

variable "v6" {
  type    = string
  default = "2001:db8:1::100"
}

cluster "edge" {
  node "lb1" { address = "192.0.2.1" }
  node "lb2" { address = "192.0.2.2" }
  node "cdn1" { address = "198.51.100.11" } # in another data centre, behind tunnels
  node "cdn2" { address = "198.51.100.12" }
}

vrrp_instance "four" {
  interface         = "eth0"
  virtual_router_id = 10
  priority          = { lb1 = 150, lb2 = 100 }
  addresses         = ["${var.v4}/24"]
}

vrrp_instance "six" {
  interface         = "eth0"
  virtual_router_id = 10
  priority          = { lb1 = 150, lb2 = 100 }
  source            = { lb1 = "fe80::1", lb2 = "fe80::2" }
  addresses         = ["fe80::100/64", "${var.v6}/64"]
}

sync_group "edge" {
  members = [vrrp_instance.four, vrrp_instance.six]
}

ipvs {
  timeouts = { tcp = "15m", tcp_fin = "2m", udp = "5m" }
  sysctls  = { expire_nodest_conn = 1, expire_quiescent_template = 1 }

  sync "edge" { # established connections survive a failover
    on        = vrrp_instance.four
    interface = "eth1"
  }
}

# HTTPS behind masquerading: the servers are on 8443, and answer through the director.
pool "web" {
  port            = 8443
  slow_start      = "30s"
  drain           = "5m"
  panic_threshold = "40%"

  server "web1" {
    address = "10.0.0.11"
    weight  = 2
  }
  server "web2" { address = "10.0.0.12" }
  server "web3" {
    address         = "10.0.0.13"
    max_connections = 5000
  }

  check "https" {
    path     = "/health"
    host     = "www.example.org"
    interval = "5s"
    timeout  = "2s"
    retry    = "2s"
    expect   = { status = [200, 204], not_contains = "maintenance" }
    tls      = { name = "www.example.org", ca_file = "/etc/ssl/certs/internal.pem" }
  }
}

pool "sorry" {
  port = 443
  server "page" { address = "10.0.0.99" }
}

virtual_server "https" {
  on         = vrrp_instance.four
  address    = var.v4
  port       = 443
  scheduler  = "wlc"
  forward    = "nat"
  pool       = pool.web
  sorry      = pool.sorry
  quorum     = 2
  hysteresis = 1

  persistence {
    timeout = "10m"
    bits    = 24
  }
}

# Name servers: both transports, one packet at a time where that is possible.
pool "dns" {
  server "ns1" { address = "10.0.0.53" }
  server "ns2" { address = "10.0.0.54" }

  check "dns" {
    name   = "www.example.org"
    query  = "A"
    port   = 53 # the pool has none: each server has the port of the service
    expect = { answer = true }
  }
}

virtual_server "dns_udp" {
  on         = vrrp_instance.four
  address    = var.v4
  port       = 53
  protocol   = "udp"
  one_packet = true
  scheduler  = "rr"
  forward    = "nat"
  pool       = pool.dns
}

virtual_server "dns_tcp" {
  on        = vrrp_instance.four
  address   = var.v4
  port      = 53
  scheduler = "rr"
  forward   = "nat"
  pool      = pool.dns
}

# Passive FTP and the like: a range of ports, over tunnels to another data centre.
pool "cdn" {
  on_fail = "remove"
  require = "any"

  server "cdn1" { address = "cdn1" } # a node, which gets its tunnel and the address
  server "cdn2" { address = "cdn2" }

  check "tcp" { port = 80 }
  check "ping" {}
}

virtual_server "cdn" {
  on              = vrrp_instance.four
  address         = var.v4
  ports           = [80, "8080-8082"]
  scheduler       = "mh"
  scheduler_flags = ["mh-fallback", "mh-port"]
  forward         = "tunnel"
  pool            = pool.cdn
}

# IPv6, only on whoever is MASTER.
pool "six" {
  port = 80
  server "web1" { address = "2001:db8:1::11" }
  server "web2" { address = "2001:db8:1::12" }

  check "http" { interval = "1s" }
}

virtual_server "six" {
  on        = vrrp_instance.six
  address   = var.v6
  port      = 80
  program   = "master"
  scheduler = "sh"
  forward   = "dr"
  pool      = pool.six
}

# Whatever nft marks with 7: `nft add rule inet mangle prerouting ... meta mark set 7`.
virtual_server "marked" {
  on        = vrrp_instance.four
  mark      = 7
  scheduler = "sed"
  forward   = "nat"
  pool      = pool.dns
}
