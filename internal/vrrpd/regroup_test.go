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

// TestGroupIsAdoptedAsAWhole restarts a group of MASTERs.
func TestGroupIsAdoptedAsAWhole(t *testing.T) {
	for _, c := range []struct {
		claim string
		spoil func(*loop, *fakeKernel, *saved)
		want  vrrp.State
	}{
		{"all as they were", func(*loop, *fakeKernel, *saved) {}, vrrp.Master},
		{"one was silent for too long", func(l *loop, k *fakeKernel, _ *saved) { l.store.touch(1, k.t-10*time.Second) }, vrrp.Backup},
		{"one was BACKUP", func(_ *loop, _ *fakeKernel, doc *saved) { doc.Instances[1].State = "BACKUP" }, vrrp.Backup},
		{"one has another master", func(_ *loop, k *fakeKernel, _ *saved) { k.queue = append(k.queue, advertFrom(t, peer, 90)) }, vrrp.Backup},
		{"one waits for its start", func(_ *loop, k *fakeKernel, doc *saved) {
			doc.Instances[1].State, doc.Instances[1].StartAt = "INIT", k.t+time.Minute
			doc.Config.Instances[1].StartDelay = resource.Duration(time.Hour)
		}, vrrp.Backup},
		{"the gate of one went down", func(_ *loop, _ *fakeKernel, doc *saved) { doc.Trackers[0].Word = down }, vrrp.Fault},
	} {
		t.Run(c.claim, func(t *testing.T) {
			k, dir := newFake(), t.TempDir()
			l := boot(t, k, dir)
			cfg, web := pair()
			configure(t, l, k, cfg)
			ask(t, l, k, channel.Request{Track: &channel.Track{States: map[string]string{web.Key(): up}}})
			roundsFor(t, l, k, 10*time.Second)
			wantState(t, l, vrrp.Master)
			flush(t, l)
			doc := l.saved()
			c.spoil(l, k, &doc)
			l.store.save(doc)
			flush(t, l)
			k.sent = nil
			l = boot(t, k, dir)
			wantState(t, l, c.want)
			if got := l.routers[1].m.State(); got != c.want && got != vrrp.Init {
				t.Errorf("the other one is %v (%s), want %v", got, l.routers[1].reason, c.want)
			}
			if adverts, held := len(k.sent), len(k.addrs); c.want == vrrp.Master && (adverts != 2 || held != 2) || c.want != vrrp.Master && adverts+held > 0 {
				t.Errorf("sent %v and kept %d addresses", k.sent, held)
			}
		})
	}
}
