package hcl

// keepalived tells what keepalived.conf(5) calls otherwise: too far from our words to be a
// mistake of the keyboard, and what the hands of most people write first.
var keepalived = map[string]string{
	"HTTP_GET":          "check",
	"TCP_CHECK":         "check",
	"advert_int":        "advert_interval",
	"connect_timeout":   "timeout",
	"delay_loop":        "interval",
	"lb_algo":           "scheduler",
	"lb_kind":           "forward",
	"lvs_method":        "forward",
	"lvs_sched":         "scheduler",
	"mcast_src_ip":      "source",
	"real_server":       "server",
	"sorry_server":      "sorry",
	"state":             "priority", // the highest becomes MASTER
	"track_interface":   "gates",
	"track_script":      "gates",
	"unicast_src_ip":    "source",
	"virtual_ipaddress": "addresses",
	"vrrp_script":       "tracker",
	"vrrp_version":      "version",
}
