package vrrpd

import (
	"testing"
	"time"

	"github.com/hareconcile/hareconcile/internal/channel"
	"github.com/hareconcile/hareconcile/internal/vrrp"
	"github.com/hareconcile/hareconcile/reconcile/resource"
)

// pair is the configuration of two routers of one sync group; the second has a gate that
// is down.
func pair() (channel.Config, resource.VRRPTracker) {
	a, b := instance(100), instance(90)
	b.VRID, b.Addresses = 8, "10.0.0.101/24"
	a.Group, b.Group = "edge", "edge"
	b.Gates = "plugin/web"
	web := resource.VRRPTracker{Type: resource.TrackPlugin, Target: "web", OnUnknown: down, Hold: resource.Duration(time.Minute)}
	return channel.Config{Instances: []resource.VRRPInstance{a, b}, Trackers: []resource.VRRPTracker{web}}, web
}

// TestGroupsChangeWhileTheyRun alters the group of a router that another one of it keeps
// in FAULT. Nothing else happens to the router: no peer is there to be heard.
func TestGroupsChangeWhileTheyRun(t *testing.T) {
	for _, c := range []struct {
		claim string
		alter func(*channel.Config)
	}{
		{"the faulty one is removed", func(c *channel.Config) { c.Instances = c.Instances[:1] }},
		{"the faulty one leaves", func(c *channel.Config) { c.Instances[1].Group = "" }},
		{"the faulty one joins another group", func(c *channel.Config) { c.Instances[1].Group = "core" }},
		{"the other one leaves", func(c *channel.Config) { c.Instances[0].Group = "" }},
		{"the other one joins another group", func(c *channel.Config) { c.Instances[0].Group = "core" }},
		{"the group has another name, and one member", func(c *channel.Config) {
			c.Instances[0].Group, c.Instances[1].Group = "core", ""
		}},
		{"the gate is gone", func(c *channel.Config) { c.Instances[1].Gates = "" }},
	} {
		t.Run(c.claim, func(t *testing.T) {
			k := newFake()
			l := boot(t, k, t.TempDir())
			cfg, _ := pair()
			configure(t, l, k, cfg)
			wantState(t, l, vrrp.Fault)
			c.alter(&cfg)
			configure(t, l, k, cfg)
			wantState(t, l, vrrp.Backup)
			roundsFor(t, l, k, 8*time.Second)
			wantState(t, l, vrrp.Master)
		})
	}
}

// TestRouterJoinsAFaultyGroup: a MASTER that joins a group with a router in FAULT leaves
// at once, and not when something next happens to it.
func TestRouterJoinsAFaultyGroup(t *testing.T) {
	k := newFake()
	l := boot(t, k, t.TempDir())
	cfg, _ := pair()
	cfg.Instances[0].Group = ""
	configure(t, l, k, cfg)
	roundsFor(t, l, k, 8*time.Second)
	wantState(t, l, vrrp.Master)
	cfg.Instances[0].Group = "edge"
	configure(t, l, k, cfg)
	wantState(t, l, vrrp.Fault)
}

// TestBackupLeavesItsGroup: it does not wait for the others any more.
func TestBackupLeavesItsGroup(t *testing.T) {
	k := newFake()
	l := boot(t, k, t.TempDir())
	cfg, web := pair()
	configure(t, l, k, cfg)
	ask(t, l, k, channel.Request{Track: &channel.Track{States: map[string]string{web.Key(): up}}})
	wantState(t, l, vrrp.Backup)
	cfg.Instances[0].Group = ""
	configure(t, l, k, cfg)
	roundsFor(t, l, k, 8*time.Second)
	wantState(t, l, vrrp.Master)
}
