# What the lab needs to know beyond cluster.hcl.

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

serve "rs1" { body = "server1 - 172.25.254.110\n" }
serve "rs2" { body = "server2 - 172.25.254.120\n" }
