# What hareconcile refuses, or speaks up about, wherever it runs.

policy {
  required_version = ">= 0.1"
}

input "min_servers" {
  type        = number
  default     = 2
  description = "Servers that a virtual server should have."
}

input "min_advert_interval" {
  type        = string
  default     = "100ms"
  description = "The shortest interval of adverts that a busy host keeps."
}

plan_policy "keep_a_vip" {
  enforcement_level = "mandatory"

  enforce {
    condition     = length(plan.vips.before) == 0 || length(plan.vips.after) > 0
    error_message = "The push drops every virtual address: ${join(", ", plan.vips.removed)}. If that is meant, take hareconcile off the nodes instead."
  }
}

plan_policy "max_destroy" {
  enforcement_level = "mandatory"

  enforce {
    condition     = plan.rollout.max_destroy_percent == 0 || plan.summary.destroy_percent <= plan.rollout.max_destroy_percent
    error_message = "The plan removes ${plan.summary.destroy} of ${plan.summary.managed} objects on ${plan.node} (${plan.summary.destroy_percent}%); rollout.max_destroy allows ${plan.rollout.max_destroy_percent}%."
  }
}

resource_policy "virtual_server" "a_server_with_weight" {
  enforcement_level = "mandatory"
  operations        = ["create", "update"]

  enforce {
    condition     = anytrue([for s in attrs.servers : s.weight > 0])
    error_message = "${meta.address}: no server of pool ${attrs.pool} has a weight above 0, so ${attrs.service} would answer nobody."
  }
}

resource_policy "virtual_server" "more_than_one_server" {
  enforcement_level = "advisory"
  operations        = ["create", "update"]

  enforce {
    condition     = length([for s in attrs.servers : s.name if s.weight > 0]) >= input.min_servers
    error_message = "${meta.address}: pool ${attrs.pool} has fewer than ${input.min_servers} servers with a weight above 0."
  }
}

resource_policy "virtual_server" "checked" {
  enforcement_level = "advisory"
  operations        = ["create", "update"]

  enforce {
    condition     = attrs.checks > 0
    error_message = "${meta.address}: pool ${attrs.pool} has no check, so a dead server keeps its share of the connections."
  }
}

resource_policy "vrrp_instance" "steady_adverts" {
  enforcement_level = "advisory"
  operations        = ["create", "update"]

  enforce {
    condition     = seconds(attrs.advert_interval) >= seconds(input.min_advert_interval)
    error_message = "${meta.address}: adverts every ${attrs.advert_interval} leave a busy host too little time; ${input.min_advert_interval} is the least that is known to be steady."
  }
}

plan_policy "redundant_instances" {
  enforcement_level = "advisory"

  enforce {
    condition     = alltrue([for i in plan.vrrp_instances : length(i.priorities) + i.peers > 1])
    error_message = "${join(", ", [for i in plan.vrrp_instances : i.address if length(i.priorities) + i.peers < 2])}: one node alone takes part, so nobody takes over."
  }

  enforce {
    condition     = alltrue([for i in plan.vrrp_instances : length(distinct(i.priorities)) == length(i.priorities)])
    error_message = "${join(", ", [for i in plan.vrrp_instances : i.address if length(distinct(i.priorities)) < length(i.priorities)])}: two nodes have the same priority, so addresses decide who is master."
  }
}

plan_policy "removed_vips" {
  enforcement_level = "advisory"

  enforce {
    condition     = length(plan.vips.removed) == 0
    error_message = "Virtual addresses that go: ${join(", ", plan.vips.removed)}."
  }
}
