package hcl

import (
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hareconcile/hareconcile/internal/spec"
)

var compareAddrs = cmp.Options{
	cmp.Comparer(func(a, b netip.Addr) bool { return a == b }),
	cmp.Comparer(func(a, b netip.Prefix) bool { return a == b }),
}

// bare leaves out where i was written.
func bare(i spec.VRRPInstance) spec.VRRPInstance {
	i.Origin = spec.Origin{}
	return i
}

func TestEverythingOfAVirtualRouterIsRead(t *testing.T) {
	c := compile(t, Tree{"cluster.hcl": []byte(small + `
tracker "uplink" { interface = "eth1" }
tracker "load" { file = "/run/load" }
vrrp_instance "web" {
  interface         = "eth0"
  virtual_router_id = 100
  advert_interval   = "100ms"
  priority          = { ka1 = 150, ka2 = 100 }
  preempt           = { delay = "30s" }
  start_delay       = "10s"
  unicast           = true
  peers             = ["192.0.2.30"]
  checksum          = "message"
  accept            = false
  virtual_mac       = true
  realtime          = true
  addresses         = ["192.0.2.100/24"]
  excluded          = ["2001:db8::100/64"]
  gates             = [tracker.uplink]
  points            = [{ tracker = tracker.load, lose = 60, gain = 5, scale = -1 }]
  address "extra" {
    cidr          = "192.0.2.101/32"
    dev           = "eth2"
    label         = "eth2:web"
    scope         = "link"
    noprefixroute = true
  }
  address "silent" {
    cidr      = "192.0.2.102/32"
    dev       = "eth0"
    advertise = false
  }
  route "default" {
    to     = "0.0.0.0/0"
    via    = "192.0.2.1"
    dev    = "eth0"
    src    = "192.0.2.100"
    table  = 100
    metric = 5
    scope  = "global"
    mtu    = 1400
    onlink = true
  }
  route "hole" {
    to   = "198.51.100.0/24"
    type = "blackhole"
  }
  rule "from" {
    priority = 100
    from     = "192.0.2.100/32"
    iif      = "eth3"
    oif      = "eth4"
    fwmark   = "0x10/0xff"
    table    = 254
  }
  rule "all" {
    priority = 101
    to       = "2001:db8::/32"
    fwmark   = "16"
    action   = "prohibit"
  }
  announce {
    repeat   = 3
    delay    = "0s"
    refresh  = "1m"
    interval = "1ms"
  }
  auth {
    mode   = "permissive"
    active = 2
    window = "10s"
    key "1" { secret = secret("old") }
    key "2" { secret = secret("new") }
  }
}
`)}, Options{})
	addr, prefix := netip.MustParseAddr, netip.MustParsePrefix
	want := spec.VRRPInstance{
		Name: "web", Interface: "eth0", VRID: 100, Version: 3, Interval: 100 * time.Millisecond,
		Priority: map[string]uint8{"ka1": 150, "ka2": 100}, Preempt: true, PreemptDelay: 30 * time.Second, StartDelay: 10 * time.Second,
		Unicast: true, Peers: []netip.Addr{addr("192.0.2.30")}, Checksum: "message", NoAccept: true, VirtualMAC: true, Realtime: true,
		Addresses: []spec.VirtualAddress{
			{Prefix: prefix("192.0.2.100/24")},
			{Prefix: prefix("192.0.2.101/32"), Device: "eth2", Label: "eth2:web", Scope: "link", NoPrefixRoute: true},
		},
		Excluded: []spec.VirtualAddress{{Prefix: prefix("2001:db8::100/64")}, {Prefix: prefix("192.0.2.102/32")}},
		Routes: []spec.VirtualRoute{
			{Prefix: prefix("0.0.0.0/0"), Via: addr("192.0.2.1"), Device: "eth0", Source: addr("192.0.2.100"), Table: 100, Metric: 5, Scope: "global", MTU: 1400, OnLink: true},
			{Prefix: prefix("198.51.100.0/24"), Type: "blackhole"},
		},
		Rules: []spec.VirtualRule{
			{Family: "ipv4", Priority: 100, From: prefix("192.0.2.100/32"), Input: "eth3", Output: "eth4", Mark: 0x10, Mask: 0xff, Table: 254},
			{Family: "ipv6", Priority: 101, To: prefix("2001:db8::/32"), Mark: 16, Mask: 0xffffffff, Action: "prohibit"},
		},
		Gates: []string{"uplink"}, Points: []spec.Points{{Tracker: "load", Lose: 60, Gain: 5, Scale: -1}},
		Auth:     spec.Auth{Mode: "permissive", Keys: map[uint8]string{1: "old", 2: "new"}, Active: 2, Window: 10 * time.Second},
		Announce: spec.Announce{Repeat: 3, Delay: -time.Second, Refresh: time.Minute, Interval: time.Millisecond},
	}
	if d := cmp.Diff(want, bare(c.Instances[0]), compareAddrs); d != "" {
		t.Errorf("instance (-want +got):\n%s", d)
	}
}

func TestWhatIsTheDefaultIsNoDifference(t *testing.T) {
	plain := compile(t, Tree{"cluster.hcl": []byte(small + router)}, Options{}).Instances[0]
	written := compile(t, Tree{"cluster.hcl": []byte(small + strings.TrimSuffix(router, "}\n") + `
  version         = 3
  advert_interval = "1s"
  preempt         = "immediate"
  start_delay     = "0s"
  unicast         = false
  checksum        = "pseudo"
  accept          = true
  virtual_mac     = false
  realtime        = false
  announce {
    repeat   = 5
    delay    = "5s"
    refresh  = "0s"
    interval = "0s"
  }
}
`)}, Options{}).Instances[0]
	if d := cmp.Diff(bare(plain), bare(written), compareAddrs); d != "" {
		t.Errorf("with every default written (-without +with):\n%s", d)
	}
}

func TestVersion2JoinsAnExistingPair(t *testing.T) {
	i := compile(t, Tree{"cluster.hcl": []byte(small + `
vrrp_instance "old" {
  interface         = "eth0"
  virtual_router_id = 9
  version           = 2
  advert_interval   = "255s"
  priority          = { ka1 = 100, ka2 = 100 }
  peers             = ["192.0.2.30"]
  addresses         = ["192.0.2.100/24"]
  auth { password = secret("vrrp") }
}
`)}, Options{}).Instances[0]
	if i.Version != 2 || i.Auth.Password != "vrrp" || i.Interval != 255*time.Second || i.Auth.Mode != "" {
		t.Errorf("instance = %+v", i)
	}
}

func TestTrackers(t *testing.T) {
	c := compile(t, Tree{"cluster.hcl": []byte(small + `
tracker "process" {
  process = "haproxy"
  max     = 4
  delay   = { up = "10s" }
}
tracker "file" {
  file       = "/run/maintenance"
  interval   = "200ms"
  on_unknown = "up"
}
tracker "route" {
  route = "0.0.0.0/0"
  dev   = "eth1"
}
tracker "address" { address = "2001:db8::1" }
tracker "ping" {
  ping   = "fe80::1"
  dev    = "eth0"
  source = "fe80::2"
  fall   = 5
}
tracker "node" { node = "rs1" }
tracker "bfd" { bfd = "192.0.2.1" }
tracker "peer" {
  bfd        = node.name == "ka1" ? "ka2" : "ka1"
  interval   = "50ms"
  multiplier = 5
  delay      = { down = "100ms", up = "1s" }
}
`)}, Options{Node: "ka2"})
	addr, second := netip.MustParseAddr, time.Second
	want := []spec.Tracker{
		{Name: "process", Process: "haproxy", Min: 1, Max: 4, Interval: second, Hold: 5 * time.Minute, OnUnknown: "down", UpDelay: 10 * second},
		{Name: "file", File: "/run/maintenance", Interval: 200 * time.Millisecond, Hold: 5 * time.Minute, OnUnknown: "up"},
		{Name: "route", Route: netip.MustParsePrefix("0.0.0.0/0"), Device: "eth1"},
		{Name: "address", Address: addr("2001:db8::1")},
		{Name: "ping", Ping: addr("fe80::1"), Device: "eth0", Source: addr("fe80::2"), Interval: second, Timeout: second / 2, Rise: 2, Fall: 5, Hold: 5 * time.Minute, OnUnknown: "down"},
		{Name: "node", Ping: addr("192.0.2.110"), Interval: second, Timeout: second / 2, Rise: 2, Fall: 2, Hold: 5 * time.Minute, OnUnknown: "down"},
		{Name: "bfd", BFD: addr("192.0.2.1"), Interval: bfdInterval, Fall: bfdMultiplier},
		{Name: "peer", BFD: addr("192.0.2.10"), Interval: second / 20, Fall: 5, UpDelay: second, DownDelay: second / 10},
	}
	for k := range c.Trackers {
		c.Trackers[k].Origin = spec.Origin{}
	}
	if d := cmp.Diff(want, c.Trackers, compareAddrs); d != "" {
		t.Errorf("trackers (-want +got):\n%s", d)
	}
}

func TestAGroupSpeaksForItsMembers(t *testing.T) {
	c := compile(t, Tree{"cluster.hcl": []byte(small + router + `
tracker "uplink" { interface = "eth1" }
tracker "own" { interface = "eth2" }
tracker "load" { process = "x" }
vrrp_instance "six" {
  interface         = "eth0"
  virtual_router_id = 100
  priority          = { ka1 = 120, ka2 = 100 }
  addresses         = ["fe80::100/64"]
  source            = { ka1 = "fe80::1", ka2 = "fe80::2" }
  gates             = [tracker.own]
}
sync_group "edge" {
  members = [vrrp_instance.web, vrrp_instance.six]
  gates   = [tracker.uplink, tracker.own]
  points  = [for t in [tracker.load] : { tracker = t, lose = 60 }]
}
`)}, Options{})
	var got []string
	for _, i := range c.Instances {
		got = append(got, i.Name+" "+i.Group+" "+strings.Join(i.Gates, ",")+" "+i.Points[0].Tracker)
	}
	want := []string{"web edge uplink,own load", "six edge own,uplink load"}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("instances (-want +got):\n%s", d)
	}
}

func TestGatesThatMembersDoNotShare(t *testing.T) {
	for name, tracker := range map[string]string{
		"a gateway of one's own":                             `ping = node.name == "ka1" ? "192.0.2.1" : "192.0.2.2"`,
		"the other member, which is one's own address there": `node = "ka2"`,
		"what the host itself tells":                         `route = "0.0.0.0/0"`,
	} {
		t.Run(name, func(t *testing.T) {
			compile(t, Tree{"cluster.hcl": []byte(small + "tracker \"x\" { " + tracker + " }\n" +
				strings.TrimSuffix(router, "}\n") + "  gates = [tracker.x]\n}\n")}, Options{})
		})
	}
}

// TestEdge validates the example from which the language was started, as far as it is
// about VRRP.
func TestEdge(t *testing.T) {
	b, err := os.ReadFile("testdata/edge.hcl")
	if err != nil {
		t.Fatal(err)
	}
	c, ds := Compile(Tree{"cluster.hcl": b}, Options{})
	if c == nil {
		t.Fatal(text(ds))
	}
	for _, i := range c.Instances {
		if i.Group != "edge" || len(i.Gates) != 1 || i.Points[0].Lose != 60 || !i.Unicast || i.PreemptDelay != 30*time.Second {
			t.Errorf("instance = %+v", i)
		}
	}
}

// TestWhatMayBeAlike has what looks like a mistake and is none.
func TestWhatMayBeAlike(t *testing.T) {
	instance := func(name, device, vrid, priority, addresses, more string) string {
		return "vrrp_instance \"" + name + "\" {\n  interface = \"" + device + "\"\n  virtual_router_id = " + vrid +
			"\n  priority = " + priority + "\n  addresses = [" + addresses + "]\n" + more + "\n}\n"
	}
	const both = "{ ka1 = 150, ka2 = 100 }"
	sources := `source = { ka1 = "fe80::1", ka2 = "fe80::2" }`
	for name, text := range map[string]string{
		"one VRID in both families": instance("a", "eth0", "1", both, `"192.0.2.100/24"`, "") + instance("b", "eth0", "1", both, `"fe80::100/64"`, sources),
		"one VRID on two segments":  instance("a", "eth0", "1", both, `"192.0.2.100/24"`, "") + instance("b", "eth1", "1", both, `"198.51.100.1/32"`, `source = { ka1 = "198.51.100.11", ka2 = "198.51.100.12" }`),
		"one link-local address, source and VRID on two links": instance("a", "eth0", "1", both, `"fe80::100/64"`, sources) +
			instance("b", "eth1", "1", both, `"fe80::100/64"`, sources),
		"one route in two instances": instance("a", "eth0", "1", both, `"192.0.2.100/24"`, "route \"r\" {\n to = \"0.0.0.0/0\"\n via = \"192.0.2.1\"\n}") +
			instance("b", "eth0", "2", both, `"192.0.2.101/24"`, "route \"s\" {\n to = \"0.0.0.0/0\"\n via = \"192.0.2.1\"\n}"),
		"one route in two tables": instance("a", "eth0", "1", both, `"192.0.2.100/24"`, "route \"r\" {\n to = \"0.0.0.0/0\"\n via = \"192.0.2.1\"\n}\n"+
			"route \"s\" {\n to = \"0.0.0.0/0\"\n via = \"192.0.2.2\"\n table = 9\n}"),
		"two priorities, for the higher address wins": instance("a", "eth0", "1", "{ ka1 = 100, ka2 = 100 }", `"192.0.2.100/24"`, ""),
		"the owner's address and its own":             instance("a", "eth0", "1", "{ ka1 = 255, ka2 = 100 }", `"192.0.2.10/24"`, ""),
		"a node that is no member and a peer":         instance("a", "eth0", "1", "{ ka1 = 100 }", `"192.0.2.100/24"`, "unicast = true\npeers = [\"192.0.2.20\"]"),
		"two trackers of one thing": "tracker \"a\" { ping = \"192.0.2.1\" }\ntracker \"b\" { ping = \"192.0.2.1\" }\n" +
			instance("a", "eth0", "1", both, `"192.0.2.100/24"`, "points = [{ tracker = tracker.a, lose = 60 }]") +
			instance("b", "eth0", "2", both, `"192.0.2.101/24"`, "points = [{ tracker = tracker.b, lose = 60 }]"),
	} {
		t.Run(name, func(t *testing.T) {
			if _, ds := Compile(Tree{"cluster.hcl": []byte(small + text)}, Options{}); len(ds) > 0 {
				t.Errorf("refused:\n%s", strings.TrimSpace(ds[0].Summary+": "+ds[0].Detail))
			}
		})
	}
}

// TestManyRoutersAreWithinTheLimits compiles as many as one process should run, with
// addresses that are computed.
func TestManyRoutersAreWithinTheLimits(t *testing.T) {
	c := compile(t, Tree{"cluster.hcl": []byte(small + `
tracker "uplink" { interface = "eth9" }
locals {
  routers = { for k in range(500) : "r${k}" => k }
}
vrrp_instance "r" {
  for_each          = local.routers
  interface         = "eth${floor(each.value / 250)}"
  virtual_router_id = each.value % 250 + 1
  priority          = { ka1 = 150, ka2 = 100 }
  addresses         = [for k in range(10) : "10.${floor(each.value / 250)}.${each.value % 250}.${k + 1}/32"]
  gates             = [tracker.uplink]
}
`)}, Options{})
	if len(c.Instances) != 500 || len(c.VIPs()) != 5000 {
		t.Errorf("%d instances with %d addresses, want 500 with 5000", len(c.Instances), len(c.VIPs()))
	}
}
