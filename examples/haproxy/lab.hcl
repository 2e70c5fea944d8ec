# What the lab needs to know beyond cluster.hcl. Each director gets a haproxy of Debian's, with a
# configuration of its own in /etc/haproxy and the managed file beside it.

segment "lan" {
  prefix = "172.25.254.0/24"
  nodes  = ["ka1", "ka2"]
}

host "client" {
  segment = "lan"
  address = "172.25.254.66"
}

host "rs1" {
  segment = "lan"
  address = "172.25.254.110"
}

host "rs2" {
  segment = "lan"
  address = "172.25.254.120"
}

# In no backend yet: a push may add it.
host "rs3" {
  segment = "lan"
  address = "172.25.254.130"
}

serve "rs1" { body = "server1 - 172.25.254.110\n" }
serve "rs2" { body = "server2 - 172.25.254.120\n" }
serve "rs3" { body = "server3 - 172.25.254.130\n" }

serve "rs1" {
  body = "api - 172.25.254.110\n"
  port = 8080
}
