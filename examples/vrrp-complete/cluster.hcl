# Two routers between a LAN and a provider. They share the LAN's gateway in IPv4 and IPv6,
# a first hop with a virtual MAC, and an address of a management network in which a
# keepalived is still to be replaced.

cluster "edge" {
  node "edge1" { address = "10.20.0.11" }
  node "edge2" { address = "10.20.0.12" }
}

# What takes a router out of the election.

tracker "uplink" {
  interface = "eth1"
  delay     = { up = "10s" } # a port that flaps stays down
}

tracker "dhcp" {
  process = "kea-dhcp4"
  max     = 1
}

tracker "maintenance" {
  file       = "/run/hareconcile/maintenance" # echo 1 > FILE
  on_unknown = "up"                           # without the file there is none
  hold       = "0s"
}

# What makes the other router the better one.

tracker "provider" {
  bfd        = "198.51.100.1"
  dev        = "eth1"
  interval   = "100ms"
  multiplier = 3
}

tracker "default_route" {
  route = "0.0.0.0/0"
  dev   = "eth1"
}

# The LAN's gateway. Both families move together, or not at all.

vrrp_instance "lan" {
  interface         = "eth0"
  virtual_router_id = 20
  advert_interval   = "100ms"
  priority          = { edge1 = 150, edge2 = 120 }
  preempt           = { delay = "30s" }
  start_delay       = "10s"
  realtime          = true
  addresses         = ["10.20.0.1/24"]

  # Held with the gateway and in no advert: the address of outgoing connections.
  address "nat" {
    cidr          = "198.51.100.20/32"
    dev           = "eth1"
    label         = "eth1:nat"
    noprefixroute = true
    advertise     = false
  }

  # What comes from that address leaves through a table of its own.
  route "nat" {
    to    = "0.0.0.0/0"
    via   = "198.51.100.1"
    dev   = "eth1"
    src   = "198.51.100.20"
    table = 100
  }

  rule "nat" {
    priority = 1000
    from     = "198.51.100.20/32"
    table    = 100
  }

  announce {
    repeat   = 3
    delay    = "2s"
    refresh  = "1m" # switches that forget
    interval = "2ms"
  }

  # Adverts are signed. Keys are files of 32 to 64 bytes in /etc/hareconcile/secrets.
  auth {
    mode   = "enforce"
    active = 2
    window = "5s"

    key "1" { secret = secret("vrrp-2025") }
    key "2" { secret = secret("vrrp-2026") }
  }
}

vrrp_instance "lan6" {
  interface         = "eth0"
  virtual_router_id = 20
  advert_interval   = "100ms"
  priority          = { edge1 = 150, edge2 = 120 }
  preempt           = { delay = "30s" }
  start_delay       = "10s"
  source            = { edge1 = "fe80::20:11", edge2 = "fe80::20:12" } # so that strangers have no say
  addresses         = ["fe80::20:1/64", "2001:db8:20::1/64"]           # the link-local one is first

  auth {
    key "2" { secret = secret("vrrp-2026") }
  }
}

sync_group "lan" {
  members = [vrrp_instance.lan, vrrp_instance.lan6]
  gates   = [tracker.uplink, tracker.dhcp, tracker.maintenance]

  points = [
    { tracker = tracker.provider, lose = 40 }, # more than the gap of 30
    { tracker = tracker.default_route, lose = 40 },
  ]
}

# A first hop: nobody talks to it, and its MAC does not change when it moves. edge2 is the
# better one here, so that both have work.

vrrp_instance "first_hop" {
  interface         = "eth2"
  virtual_router_id = 21
  priority          = { edge1 = 100, edge2 = 150 }
  source            = { edge1 = "10.21.0.11", edge2 = "10.21.0.12" }
  virtual_mac       = true
  accept            = false
  addresses         = ["10.21.0.1/24"]
  gates             = [tracker.uplink]
}

# A pair of keepalived in version 2, with a password that is no security. edge2 has taken
# the place of one of them; the other is a peer until edge1 takes its place.

vrrp_instance "management" {
  interface         = "eth3"
  virtual_router_id = 51
  version           = 2
  advert_interval   = "1s"
  priority          = { edge2 = 100 }
  preempt           = "never"
  source            = { edge2 = "10.22.0.12" }
  unicast           = true
  peers             = ["10.22.0.30"]
  addresses         = ["10.22.0.1/24"]

  auth {
    password = secret("keepalived")
  }
}
