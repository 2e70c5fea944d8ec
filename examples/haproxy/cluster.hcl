# Two nodes run haproxy behind one address. The address leaves a node whose haproxy is
# gone, frozen or stopping; it moves by score when the node has lost its backends.

cluster "edge" {
  node "ka1" { address = "172.25.254.10" }
  node "ka2" { address = "172.25.254.20" }
}

tracker "haproxy" {
  plugin   = "haproxy"
  interval = "500ms"
  timeout  = "300ms"
  rise     = 2
  fall     = 2
  config   = { socket = haproxy.edge.runtime_socket, frontends = ["web"] }
}

tracker "backends" {
  plugin   = "haproxy"
  interval = "1s"
  config   = { socket = haproxy.edge.runtime_socket, backends = ["app"], min_up = 1 }
}

vrrp_instance "edge" {
  interface         = "eth0"
  virtual_router_id = 100
  advert_interval   = "100ms"
  priority          = { ka1 = 150, ka2 = 120 }
  preempt           = { delay = "30s" }
  unicast           = true # peers are the other members' addresses
  addresses         = ["172.25.254.100/24"]
}

vrrp_instance "edge6" {
  interface         = "eth0"
  virtual_router_id = 100
  advert_interval   = "100ms"
  priority          = { ka1 = 150, ka2 = 120 }
  preempt           = { delay = "30s" }
  source            = { ka1 = "2001:db8:fe::10", ka2 = "2001:db8:fe::20" }
  unicast           = true
  addresses         = ["2001:db8:fe::100/64"]
}

sync_group "edge" {
  members = [vrrp_instance.edge, vrrp_instance.edge6]
  gates   = [tracker.haproxy]
  points  = [{ tracker = tracker.backends, lose = 60 }] # more than the gap of 30, or validate refuses it
}

haproxy "edge" {
  nodes          = ["ka1", "ka2"]
  requires       = ">= 2.6"
  config_dir     = "/etc/haproxy/hareconcile.d"
  runtime_socket = "/run/hareconcile/haproxy.sock"
  runtime_group  = "hareconcile-plugin" # whom the trackers' plugin runs as
  master_socket  = "/run/haproxy-master.sock"

  defaults "http" {
    mode       = "http"
    timeouts   = { connect = "5s", client = "50s", server = "50s" }
    directives = ["log global", "option httplog"]
  }

  frontend "web" {
    from            = "http"
    default_backend = "app"

    bind "http" {
      address  = host(vrrp_instance.edge.addresses[0])
      port     = 80
      nonlocal = "transparent" # so that the backup listens, too
    }

    bind "http6" {
      address  = host(vrrp_instance.edge6.addresses[0])
      port     = 80
      nonlocal = "transparent"
    }

    route {
      backend = "api"
      when    = "{ path_beg /api }"
    }
  }

  backend "app" {
    from    = "http"
    balance = "roundrobin"

    check "http" {
      method = "GET"
      uri    = "/"
      expect = "status 200"
    }

    server_defaults = { inter = "1s", rise = 2, fall = 2 }

    server "rs1" {
      address = "172.25.254.110"
      port    = 80
      weight  = 10
    }

    server "rs2" {
      address = "172.25.254.120"
      port    = 80
      weight  = 10
    }
  }

  backend "api" {
    from = "http"

    server "rs1" {
      address = "172.25.254.110"
      port    = 8080
    }
  }
}
