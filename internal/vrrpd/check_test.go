package vrrpd

import (
	"math"
	"net/netip"
	"testing"
	"time"

	"github.com/hareconcile/hareconcile/internal/channel"
	"github.com/hareconcile/hareconcile/reconcile/resource"
)

// six makes an instance one of IPv6.
func six(i *resource.VRRPInstance) {
	i.Family, i.Source, i.Peers, i.Addresses = resource.IPv6, netip.MustParseAddr("fe80::1"), "fe80::2", "fe80::100/64"
}

func TestConfigIsRefusedAsAWhole(t *testing.T) {
	l, k := started(t, 100)
	v6 := instance(150)
	if six(&v6); checkInstance(v6, nil) != nil {
		t.Fatal(checkInstance(v6, nil))
	}
	for name, change := range map[string]func(*resource.VRRPInstance){
		"version 4":              func(i *resource.VRRPInstance) { i.Version = 4 },
		"version 2 in ticks":     func(i *resource.VRRPInstance) { i.Version, i.Interval = 2, resource.Duration(1500*time.Millisecond) },
		"version 2 over IPv6":    func(i *resource.VRRPInstance) { i.Version, i.Family = 2, resource.IPv6 },
		"two families":           func(i *resource.VRRPInstance) { i.Family = resource.IPv6 },
		"a peer that is itself":  func(i *resource.VRRPInstance) { i.Peers = resource.NewList(self.String()) },
		"unicast to nobody":      func(i *resource.VRRPInstance) { i.Unicast, i.Peers = true, "" },
		"points of nobody":       func(i *resource.VRRPInstance) { i.Points = "plugin/x lose 5" },
		"a route to nowhere":     func(i *resource.VRRPInstance) { i.Routes = "10.0.0.0/8 via" },
		"a key without a secret": func(i *resource.VRRPInstance) { i.Auth, i.AuthKeys = resource.AuthEnforce, "1=missing" },
		"router id 0":            func(i *resource.VRRPInstance) { i.VRID = 0 },
		"priority 0":             func(i *resource.VRRPInstance) { i.Priority = 0 },
		"interval 0":             func(i *resource.VRRPInstance) { i.Interval = 0 },
		"a fraction of a tick":   func(i *resource.VRRPInstance) { i.Interval = resource.Duration(15 * time.Millisecond) },
		"no address":             func(i *resource.VRRPInstance) { i.Addresses = "" },
		"an address twice":       func(i *resource.VRRPInstance) { i.Addresses += "," + i.Addresses },
		"an IPv6 address":        func(i *resource.VRRPInstance) { i.Addresses = "fe80::1/64" },
		"a peer that is no host": func(i *resource.VRRPInstance) { i.Peers = "ka2" },
		"an unknown gate":        func(i *resource.VRRPInstance) { i.Gates = "plugin/x" },
		"a path for a name":      func(i *resource.VRRPInstance) { i.Interface = "../eth0" },
		"a start after all time": func(i *resource.VRRPInstance) { i.StartDelay = math.MaxInt64 },
		"a preemption after it":  func(i *resource.VRRPInstance) { i.PreemptDelay = math.MaxInt64 },
		"a delay before now":     func(i *resource.VRRPInstance) { i.PreemptDelay = -1 },
		"a refresh after it":     func(i *resource.VRRPInstance) { i.Announce.Refresh = math.MaxInt64 },
		"a burst after it":       func(i *resource.VRRPInstance) { i.Announce.Delay = math.MaxInt64 },
		"a source with a zone":   func(i *resource.VRRPInstance) { six(i); i.Source = netip.MustParseAddr("fe80::1%eth0") },
		"a peer with a zone":     func(i *resource.VRRPInstance) { six(i); i.Peers = "fe80::2%eth0" },
	} {
		i := instance(150)
		change(&i)
		r := ask(t, l, k, channel.Request{Config: &channel.Config{Instances: []resource.VRRPInstance{i}}})
		if r.Error == "" || l.routers[0].cfg.Priority != 100 {
			t.Errorf("%s: error %q, priority %d, want a refusal and 100", name, r.Error, l.routers[0].cfg.Priority)
		}
	}
}

func TestTrackerIsRefused(t *testing.T) {
	good := resource.VRRPTracker{Type: resource.TrackPing, Target: "192.0.2.1", Interval: resource.Duration(time.Second), OnUnknown: up}
	if err := checkTracker(good); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*resource.VRRPTracker){
		"a type that nobody knows": func(tr *resource.VRRPTracker) { tr.Type = "smell" },
		"no target":                func(tr *resource.VRRPTracker) { tr.Target = "" },
		"a target that is no host": func(tr *resource.VRRPTracker) { tr.Target = "gateway" },
		"an interval of 0":         func(tr *resource.VRRPTracker) { tr.Interval = 0 },
		"an interval without end":  func(tr *resource.VRRPTracker) { tr.Interval = math.MaxInt64 },
		"a timeout without end":    func(tr *resource.VRRPTracker) { tr.Timeout = math.MaxInt64 },
		"a hold without end":       func(tr *resource.VRRPTracker) { tr.Hold = math.MaxInt64 },
		"a delay before now":       func(tr *resource.VRRPTracker) { tr.DownDelay = -1 },
		"an unknown word":          func(tr *resource.VRRPTracker) { tr.OnUnknown = "perhaps" },
	} {
		tr := good
		if change(&tr); checkTracker(tr) == nil {
			t.Errorf("%s is accepted", name)
		}
	}
}
