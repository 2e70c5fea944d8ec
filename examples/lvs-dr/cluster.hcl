# Two directors share one address and balance it over two web servers (LVS-DR).
# All four nodes pull this file; each does its own part.

hareconcile {
  required_version = ">= 0.1"
}

variable "vip" {
  type    = string
  default = "172.25.254.100"
}

locals {
  web = {
    rs1 = { address = "172.25.254.110", weight = 2 }
    rs2 = { address = "172.25.254.120", weight = 1 }
  }
}

include {
  paths    = ["conf.d/*.hcl"]
  optional = true
}

cluster "lab" {
  node "ka1" { address = "172.25.254.10" }
  node "ka2" { address = "172.25.254.20" }
  node "rs1" { address = "172.25.254.110" }
  node "rs2" { address = "172.25.254.120" }

  rollout {
    max_destroy = "50%" # one push may remove at most half of what is managed
  }
}

tracker "uplink" {
  interface = "eth0"
}

vrrp_instance "web" {
  interface         = "eth0"
  virtual_router_id = 100
  version           = 3
  advert_interval   = "1s"
  priority          = { ka1 = 150, ka2 = 100 } # the nodes that take part
  preempt           = "immediate"              # or "never"
  addresses         = ["${var.vip}/24"]
  gates             = [tracker.uplink] # down means out of the election
}

pool "web" {
  port = 80

  dynamic "server" {
    for_each = local.web
    labels   = [server.key]

    content {
      address = server.value.address
      weight  = server.value.weight
    }
  }

  check "http" {
    path     = "/"
    expect   = { status = [200] }
    interval = "1s"
    timeout  = "500ms"
    rise     = 2
    fall     = 2
  }
}

pool "sorry" {
  port = 80

  server "local" { address = "127.0.0.1" }
}

virtual_server "http" {
  on        = vrrp_instance.web # programmed on the nodes of this instance
  address   = var.vip
  port      = 80
  protocol  = "tcp"
  scheduler = "wrr"
  forward   = "dr" # servers that are nodes get the address on lo and their arp sysctls
  pool      = pool.web
  sorry     = pool.sorry
}
