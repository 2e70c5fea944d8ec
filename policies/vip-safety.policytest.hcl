policytest {
  targets = ["vip-safety.policy.hcl"]
}

plan "nothing_changes" {
}

plan "a_first_push_is_allowed" {
  plan = {
    first = true
    vips  = { after = ["192.0.2.1"] }
  }
}

plan "another_vip_in_place_of_the_last" {
  policy = "keep_a_vip"
  plan = {
    vips = { before = ["192.0.2.1"], after = ["192.0.2.2"], removed = ["192.0.2.1"] }
  }
}

plan "every_vip_goes" {
  policy         = "keep_a_vip"
  expect_failure = true
  plan = {
    vips = { before = ["192.0.2.1", "192.0.2.2"], removed = ["192.0.2.1", "192.0.2.2"] }
  }
}

plan "a_removed_vip_is_named" {
  policy         = "removed_vips"
  expect_failure = true
  plan = {
    vips = { before = ["192.0.2.1", "192.0.2.2"], after = ["192.0.2.2"], removed = ["192.0.2.1"] }
  }
}

plan "as_much_as_max_destroy_allows" {
  plan = {
    summary = { destroy = 1, managed = 2, destroy_percent = 50 }
    rollout = { max_destroy_percent = 50 }
  }
}

plan "more_than_max_destroy_allows" {
  policy         = "max_destroy"
  expect_failure = true
  plan = {
    summary = { destroy = 2, managed = 3, destroy_percent = 67 }
    rollout = { max_destroy_percent = 50 }
  }
}

plan "no_bound_is_written" {
  plan = {
    summary = { destroy = 3, managed = 3, destroy_percent = 100 }
  }
}

plan "one_node_alone" {
  policy         = "redundant_instances"
  expect_failure = true
  plan = {
    vrrp_instances = [{ address = "vrrp_instance.web", priorities = [150], peers = 0 }]
  }
}

plan "one_node_beside_another_router" {
  policy = "redundant_instances"
  plan = {
    vrrp_instances = [{ address = "vrrp_instance.web", priorities = [150], peers = 1 }]
  }
}

plan "equal_priorities" {
  policy         = "redundant_instances"
  expect_failure = true
  plan = {
    vrrp_instances = [{ address = "vrrp_instance.web", priorities = [100, 100], peers = 0 }]
  }
}

plan "two_nodes_in_order" {
  policy = "redundant_instances"
  plan = {
    vrrp_instances = [{ address = "vrrp_instance.web", priorities = [150, 100], peers = 0 }]
  }
}

resource "virtual_server" "two_servers" {
  attrs = {
    service = "tcp 192.0.2.1:80"
    pool    = "web"
    checks  = 1
    servers = [{ name = "rs1", weight = 2 }, { name = "rs2", weight = 1 }]
  }
}

resource "virtual_server" "every_weight_is_zero" {
  policy         = "a_server_with_weight"
  expect_failure = true
  attrs = {
    service = "tcp 192.0.2.1:80"
    pool    = "web"
    servers = [{ name = "rs1", weight = 0 }]
  }
}

resource "virtual_server" "no_servers" {
  policy         = "a_server_with_weight"
  expect_failure = true
  attrs          = { service = "tcp 192.0.2.1:80", pool = "web", servers = [] }
  prior_attrs    = { service = "tcp 192.0.2.1:80", pool = "web", servers = [{ name = "rs1", weight = 1 }] }
}

resource "virtual_server" "one_server" {
  policy         = "more_than_one_server"
  expect_failure = true
  attrs          = { pool = "web", servers = [{ name = "rs1", weight = 1 }, { name = "rs2", weight = 0 }] }
}

resource "virtual_server" "no_check" {
  policy         = "checked"
  expect_failure = true
  attrs          = { pool = "web", checks = 0 }
}

resource "vrrp_instance" "every_100ms" {
  attrs = { advert_interval = "100ms" }
}

resource "vrrp_instance" "every_10ms" {
  policy         = "steady_adverts"
  expect_failure = true
  attrs          = { advert_interval = "10ms" }
}
