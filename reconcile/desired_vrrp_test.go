package reconcile_test

import (
	"encoding/json"
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hareconcile/hareconcile/internal/spec"
	"github.com/hareconcile/hareconcile/reconcile/planfile"
	"github.com/hareconcile/hareconcile/reconcile/resource"
)

// edge is a pair with one instance, to which the tests add.
func edge(change func(*spec.Cluster, *spec.VRRPInstance)) *spec.Cluster {
	c := &spec.Cluster{Name: "edge", Nodes: []spec.Node{
		{Name: "ka1", Address: netip.MustParseAddr("192.0.2.10")},
		{Name: "ka2", Address: netip.MustParseAddr("192.0.2.20")},
	}}
	i := spec.VRRPInstance{
		Name: "web", Interface: "eth0", VRID: 7, Version: 3, Interval: time.Second, Preempt: true,
		Priority:  map[string]uint8{"ka1": 150, "ka2": 100},
		Addresses: []spec.VirtualAddress{{Prefix: netip.MustParsePrefix("192.0.2.100/24")}},
	}
	change(c, &i)
	c.Instances = append(c.Instances, i)
	return c
}

// routerOf returns the only instance of a node, after it went through a plan's JSON.
func routerOf(t *testing.T, c *spec.Cluster, node string) resource.VRRPInstance {
	t.Helper()
	for id, v := range desired(t, c, node, nil).Set {
		if id.Kind != resource.KindVRRPInstance {
			continue
		}
		b, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		again, err := planfile.DecodeResource(id.Kind, b)
		if err != nil || again != v {
			t.Fatalf("DecodeResource(%s) = %+v, %v, want %+v", b, again, err, v)
		}
		return v.(resource.VRRPInstance)
	}
	t.Fatalf("%s has no instance", node)
	return resource.VRRPInstance{}
}

func TestEverythingOfAnInstanceIsDesired(t *testing.T) {
	c := edge(func(c *spec.Cluster, i *spec.VRRPInstance) {
		i.PreemptDelay, i.StartDelay, i.Group, i.Checksum = time.Minute, time.Second, `edge["a"]`, "message"
		i.Unicast, i.NoAccept, i.VirtualMAC, i.Realtime = true, true, true, true
		i.Peers = []netip.Addr{netip.MustParseAddr("192.0.2.30")}
		i.Addresses = append(i.Addresses, spec.VirtualAddress{Prefix: netip.MustParsePrefix("192.0.2.101/32"), Device: "eth1", Label: "eth1:x", Scope: "link", NoPrefixRoute: true})
		i.Excluded = []spec.VirtualAddress{{Prefix: netip.MustParsePrefix("2001:db8::1/64")}}
		i.Routes = []spec.VirtualRoute{{Prefix: netip.MustParsePrefix("0.0.0.0/0"), Via: netip.MustParseAddr("192.0.2.1"), Table: 100}}
		i.Rules = []spec.VirtualRule{{Family: "ipv4", Priority: 9, From: netip.MustParsePrefix("192.0.2.100/32"), Table: 100}}
		i.Auth = spec.Auth{Mode: "enforce", Keys: map[uint8]string{10: "new", 9: "old"}, Active: 10, Window: time.Minute}
		i.Announce = spec.Announce{Repeat: 2, Delay: -time.Second}
		c.Trackers = []spec.Tracker{{Name: "load", File: "/run/load", Interval: time.Second, Hold: time.Minute, OnUnknown: "up"}}
		i.Points = []spec.Points{{Tracker: "load", Lose: 60, Scale: -1}}
	})
	want := resource.VRRPInstance{
		Interface: "eth0", VRID: 7, Version: 3, Priority: 150, Interval: resource.Duration(time.Second), Preempt: true,
		PreemptDelay: resource.Duration(time.Minute), StartDelay: resource.Duration(time.Second), Group: `edge["a"]`,
		Unicast: true, Checksum: "message", NoAccept: true, VirtualMAC: true, Realtime: true,
		Addresses: "192.0.2.100/24,192.0.2.101/32 dev eth1 label eth1:x scope link noprefixroute", Excluded: "2001:db8::1/64",
		Routes: "0.0.0.0/0 via 192.0.2.1 table 100", Rules: "ipv4 priority 9 from 192.0.2.100/32 table 100",
		Source: netip.MustParseAddr("192.0.2.10"), Peers: "192.0.2.20,192.0.2.30", Points: "file//run/load lose 60 scale -1",
		Auth: "enforce", AuthKeys: "9=old,10=new", AuthActive: 10, AuthWindow: resource.Duration(time.Minute),
		Announce: resource.Announce{Repeat: 2, Delay: resource.Duration(-time.Second)},
	}
	if d := cmp.Diff(want, routerOf(t, c, "ka1"), cmp.Comparer(func(a, b netip.Addr) bool { return a == b })); d != "" {
		t.Errorf("instance (-want +got):\n%s", d)
	}
	load := resource.VRRPTracker{Type: "file", Target: "/run/load", Interval: resource.Duration(time.Second), Hold: resource.Duration(time.Minute), OnUnknown: "up"}
	if got := desired(t, c, "ka1", nil).Set[load.ID()]; got != load {
		t.Errorf("tracker = %+v, want %+v", got, load)
	}
}

func TestWhereAdvertsComeFrom(t *testing.T) {
	six := func(i *spec.VRRPInstance) {
		i.Addresses = []spec.VirtualAddress{{Prefix: netip.MustParsePrefix("fe80::100/64")}}
	}
	global := map[string]netip.Addr{"ka1": netip.MustParseAddr("2001:db8::1"), "ka2": netip.MustParseAddr("2001:db8::2")}
	for _, c := range []struct {
		claim         string
		change        func(*spec.Cluster, *spec.VRRPInstance)
		source, peers string
		open          bool
		family        string
	}{
		{"IPv4 from the nodes' addresses", func(*spec.Cluster, *spec.VRRPInstance) {}, "192.0.2.10", "192.0.2.20", false, ""},
		{"IPv6 multicast from the devices' link-local addresses, which nobody knows", func(_ *spec.Cluster, i *spec.VRRPInstance) { six(i) }, "", "", true, resource.IPv6},
		{"even if the nodes have IPv6 addresses", func(c *spec.Cluster, i *spec.VRRPInstance) {
			six(i)
			c.Nodes[0].Address, c.Nodes[1].Address = global["ka1"], global["ka2"]
		}, "", "", true, resource.IPv6},
		{"but from those if it is unicast", func(c *spec.Cluster, i *spec.VRRPInstance) {
			six(i)
			c.Nodes[0].Address, c.Nodes[1].Address, i.Unicast = global["ka1"], global["ka2"], true
		}, "2001:db8::1", "2001:db8::2", false, resource.IPv6},
		{"and from what source says", func(_ *spec.Cluster, i *spec.VRRPInstance) {
			six(i)
			i.Source = global
		}, "2001:db8::1", "2001:db8::2", false, resource.IPv6},
		{"an excluded address decides nothing", func(_ *spec.Cluster, i *spec.VRRPInstance) {
			i.Excluded = []spec.VirtualAddress{{Prefix: netip.MustParsePrefix("fe80::100/64")}}
		}, "192.0.2.10", "192.0.2.20", false, ""},
	} {
		t.Run(c.claim, func(t *testing.T) {
			got := routerOf(t, edge(c.change), "ka1")
			source := ""
			if got.Source.IsValid() {
				source = got.Source.String()
			}
			if source != c.source || string(got.Peers) != c.peers || got.OpenPeers != c.open {
				t.Errorf("source %q, peers %q, open %v, want %q, %q, %v", source, got.Peers, got.OpenPeers, c.source, c.peers, c.open)
			}
			if got.Family != c.family {
				t.Errorf("family = %q, want %q", got.Family, c.family)
			}
		})
	}
}

func TestATrackerOfThisNodeIsUp(t *testing.T) {
	c := edge(func(c *spec.Cluster, i *spec.VRRPInstance) {
		c.Trackers = []spec.Tracker{{Name: "ka2", Ping: c.Nodes[1].Address}, {Name: "bfd", BFD: c.Nodes[1].Address, Fall: 3}}
		i.Gates = []string{"bfd"}
		i.Points = []spec.Points{{Tracker: "ka2", Lose: 60, Gain: 20}}
	})
	far, near := routerOf(t, c, "ka1"), routerOf(t, c, "ka2")
	if far.Gates != "bfd/192.0.2.20" || far.Points != "ping/192.0.2.20 lose 60 gain 20" || far.Priority != 150 {
		t.Errorf("from ka1: gates %q, points %q, priority %d", far.Gates, far.Points, far.Priority)
	}
	if near.Gates != "" || near.Points != "" || near.Priority != 120 {
		t.Errorf("on ka2: gates %q, points %q, priority %d, want none and 100 with a gain of 20", near.Gates, near.Points, near.Priority)
	}
	for id := range desired(t, c, "ka2", nil).Set {
		if id.Kind == resource.KindVRRPTracker {
			t.Errorf("ka2 watches %s, which is itself", id)
		}
	}
}

func TestTrackersAreKnownByOneWord(t *testing.T) {
	a := netip.MustParseAddr("192.0.2.1")
	for want, tr := range map[resource.TrackerKey]spec.Tracker{
		resource.TrackInterface + "/eth0":    {Interface: "eth0"},
		resource.TrackPlugin + "/x":          {Name: "x", Plugin: "haproxy"},
		resource.TrackProcess + "/haproxy":   {Process: "haproxy"},
		resource.TrackFile + "//run/x":       {File: "/run/x"},
		resource.TrackRoute + "/0.0.0.0/0":   {Route: netip.MustParsePrefix("0.0.0.0/0")},
		resource.TrackAddress + "/192.0.2.1": {Address: a},
		resource.TrackPing + "/192.0.2.1":    {Ping: a},
		resource.TrackBFD + "/192.0.2.1":     {BFD: a},
	} {
		kind, target := tr.Watches()
		if got := (resource.VRRPTracker{Type: kind, Target: target}).Key(); got != want {
			t.Errorf("Watches of %+v is %s, want %s", tr, got, want)
		}
	}
}
