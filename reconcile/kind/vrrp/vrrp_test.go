package vrrp_test

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hareconcile/hareconcile/internal/channel"
	"github.com/hareconcile/hareconcile/reconcile"
	"github.com/hareconcile/hareconcile/reconcile/kind/vrrp"
	"github.com/hareconcile/hareconcile/reconcile/reconciletest"
	"github.com/hareconcile/hareconcile/reconcile/resource"
)

// fake answers as vrrpd does and runs nothing.
type fake struct {
	mu     sync.Mutex
	config channel.Config
	sent   int // configurations received
	refuse string
	spoilt uint8 // the router id of an instance that is refused, with all others
}

func (f *fake) Handle(_ context.Context, r channel.Request, reply func(channel.Response) error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	resp := channel.Response{Version: channel.Version}
	switch {
	case f.refuse != "":
		resp.Error = f.refuse
	case r.Config != nil && slices.ContainsFunc(r.Config.Instances, func(i resource.VRRPInstance) bool { return i.VRID == f.spoilt }):
		resp.Error = "there is no secret"
	case r.Config != nil:
		f.config = *r.Config
		f.sent++
	}
	if resp.Error == "" {
		resp.Status = &channel.Status{Config: channel.Config{
			Instances: slices.Clone(f.config.Instances), Trackers: slices.Clone(f.config.Trackers),
		}}
	}
	_ = reply(resp)
}

func (f *fake) count() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.sent
}

func serve(t *testing.T, f *fake) []reconcile.Handler {
	t.Helper()
	socket := filepath.Join(t.TempDir(), "vrrpd.sock")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- channel.Serve(ctx, l, f) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Serve = %v", err)
		}
	})
	return handlers(socket)
}

func handlers(socket string) []reconcile.Handler {
	return []reconcile.Handler{vrrp.NewTrackers(socket), vrrp.NewInstances(socket)}
}

var (
	link   = resource.VRRPTracker{Type: "interface", Target: "eth1"}
	plugin = resource.VRRPTracker{Type: "plugin", Target: "haproxy", Hold: resource.Duration(time.Minute), OnUnknown: "down"}
)

func instance(vrid, priority uint8, gates ...string) resource.VRRPInstance {
	return resource.VRRPInstance{
		Interface: "eth0", VRID: vrid, Version: 3, Priority: priority,
		Interval: resource.Duration(time.Second), Preempt: true,
		Addresses: resource.NewList("10.0.1.100/24"), Source: netip.MustParseAddr("10.0.1.11"),
		Peers: resource.NewList("10.0.1.12"), Gates: resource.NewList(gates...),
	}
}

func TestConformance(t *testing.T) {
	reconciletest.TestAll(t, serve(t, &fake{}),
		reconciletest.Set(instance(51, 200)),
		reconciletest.Set(instance(51, 100, link.Key()), instance(52, 100), link),
		reconciletest.Set(instance(51, 100, link.Key(), plugin.Key()), link, plugin),
		reconciletest.Set(instance(51, 100, plugin.Key()), instance(7, 1), plugin))
}

func TestOneChangeIsSentOnce(t *testing.T) {
	f := &fake{}
	hs := serve(t, f)
	reconciletest.Apply(t, hs, reconciletest.Set(instance(51, 200), instance(52, 100), link))
	before := f.count()
	plan := reconciletest.Apply(t, hs, reconciletest.Set(instance(51, 150), instance(52, 100), link))
	if n := f.count() - before; n != 1 || len(plan.Changes) != 1 {
		t.Errorf("%d configurations for %d changes, want 1 for 1", n, len(plan.Changes))
	}
	if err := plan.Apply(t.Context(), hs, nil); err != nil || f.count()-before != 1 {
		t.Errorf("applied twice: %v and %d configurations, want none more", err, f.count()-before)
	}
}

func TestManyChangesAreSentTogether(t *testing.T) {
	f := &fake{}
	hs := serve(t, f)
	want := resource.Set{}
	for vrid := range uint8(200) {
		i := instance(vrid+1, 100, link.Key())
		want[i.ID()] = i
	}
	want[link.ID()] = link
	reconciletest.Apply(t, hs, want)
	if n := f.count(); n != 2 {
		t.Errorf("%d configurations for 200 instances and a tracker, want one for each kind", n)
	}
	if live := reconciletest.Observe(t, hs...); len(live.Owned) != 201 {
		t.Errorf("%d elements, want 201", len(live.Owned))
	}
}

// full has every field that a virtual router and a tracker can have.
var (
	full = resource.VRRPInstance{
		Interface: "eth0", VRID: 7, Family: resource.IPv6, Version: 3, Priority: 254,
		Interval: resource.Duration(100 * time.Millisecond), Preempt: true,
		PreemptDelay: resource.Duration(30 * time.Second), StartDelay: resource.Duration(time.Minute),
		Group: `edge["a"]`, Unicast: true, MinTTL: 64, Checksum: resource.ChecksumMessage, NoAccept: true, VirtualMAC: true, Realtime: true,
		Addresses: resource.NewList("fe80::100/64", "2001:db8::100/64 dev eth1 noprefixroute"),
		Excluded:  resource.NewList("192.0.2.100/24 label eth0:x scope link"),
		Routes:    resource.NewList("198.51.100.0/24 via 192.0.2.1 dev eth0 table 100 metric 5 onlink"),
		Rules:     resource.NewList("ipv4 priority 100 from 192.0.2.100/32 fwmark 0x10/0xff table 100"),
		Source:    netip.MustParseAddr("fe80::1"), Peers: resource.NewList("fe80::2", "fe80::3"), OpenPeers: true,
		Gates: resource.NewList("bfd/fe80::9"), Points: resource.NewList("file//run/x lose 60 gain 5 scale -2"),
		Password: "pw", Auth: resource.AuthEnforce, AuthKeys: resource.NewList("1=old", "2=new"), AuthActive: 2,
		AuthWindow: resource.Duration(10 * time.Second),
		Announce: resource.Announce{Repeat: 3, Delay: resource.Duration(-time.Second),
			Refresh: resource.Duration(time.Minute), Interval: resource.Duration(time.Millisecond)},
	}
	everything = []resource.VRRPTracker{
		{Type: resource.TrackBFD, Target: "fe80::9", Device: "eth0", Source: netip.MustParseAddr("fe80::1"),
			Interval: resource.Duration(100 * time.Millisecond), Fall: 3, UpDelay: resource.Duration(time.Second), DownDelay: resource.Duration(time.Millisecond)},
		{Type: resource.TrackFile, Target: "/run/x", Interval: resource.Duration(time.Second), Hold: resource.Duration(time.Minute), OnUnknown: "up"},
		{Type: resource.TrackProcess, Target: "haproxy", Min: 1, Max: 8, Interval: resource.Duration(time.Second), Hold: resource.Duration(time.Minute), OnUnknown: "down"},
		{Type: resource.TrackPing, Target: "192.0.2.1", Timeout: resource.Duration(time.Second), Rise: 2, Fall: 3, Hold: resource.Duration(time.Minute), OnUnknown: "down"},
	}
)

func TestEveryFieldSurvivesTheChannel(t *testing.T) {
	v := reflect.ValueOf(full)
	for i := range v.NumField() {
		if v.Field(i).IsZero() {
			t.Errorf("the instance of this test lacks %s", v.Type().Field(i).Name)
		}
	}
	want := reconciletest.Set(full)
	for _, tr := range everything {
		want[tr.ID()] = tr
	}
	reconciletest.TestAll(t, serve(t, &fake{}), want)
}

func TestChangesOfTheTwoKindsDoNotOverwriteEachOther(t *testing.T) {
	hs := serve(t, &fake{})
	var wg sync.WaitGroup
	for vrid := uint8(1); vrid <= 10; vrid++ {
		i := instance(vrid, 100)
		tr := resource.VRRPTracker{Type: "interface", Target: "eth" + string(rune('0'+vrid%10))}
		for k, v := range []interface{ ID() resource.ID }{tr, i} {
			wg.Go(func() {
				if err := hs[k].Apply(t.Context(), reconcile.Change{Action: reconcile.Create, ID: v.ID(), After: v}); err != nil {
					t.Error(err)
				}
			})
		}
	}
	wg.Wait()
	if n := len(reconciletest.Observe(t, hs...).Owned); n != 20 {
		t.Errorf("%d elements, want 20", n)
	}
}

func TestWithoutVRRPD(t *testing.T) {
	dir := t.TempDir()
	hs := handlers(filepath.Join(dir, "none.sock"))
	if live := reconciletest.Observe(t, hs...); len(live.Owned)+len(live.Foreign) != 0 {
		t.Errorf("live = %v, want nothing", live)
	}
	i := instance(51, 100)
	create := reconcile.Change{Action: reconcile.Create, ID: i.ID(), After: i}
	if err := hs[1].Apply(t.Context(), create); err == nil || !strings.Contains(err.Error(), "does not run on this node") {
		t.Errorf("Apply = %v, want an error that says so", err)
	}

	dead := filepath.Join(dir, "dead.sock")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: dead, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	for _, h := range handlers(dead) {
		if _, err := h.Observe(t.Context()); err == nil {
			t.Errorf("Observe of %s through a dead socket succeeded, want an error", h.Kind())
		}
	}
}

func TestARefusalIsAnError(t *testing.T) {
	f := &fake{refuse: "no such interface"}
	hs := serve(t, f)
	i := instance(51, 100)
	err := hs[1].Apply(t.Context(), reconcile.Change{Action: reconcile.Create, ID: i.ID(), After: i})
	if err == nil || !strings.Contains(err.Error(), "no such interface") {
		t.Errorf("Apply = %v, want vrrpd's reason", err)
	}
}

// TestOneRefusalKeepsNoOtherInstanceOut: a secret that is missing on a node takes one virtual
// router away from it, not those that come later in the alphabet. Nothing is deleted meanwhile.
func TestOneRefusalKeepsNoOtherInstanceOut(t *testing.T) {
	f := &fake{}
	hs := serve(t, f)
	old := instance(9, 100)
	reconciletest.Apply(t, hs, reconciletest.Set(old))
	f.mu.Lock()
	f.spoilt = 52
	f.mu.Unlock()
	want := reconcile.Target{Set: reconciletest.Set(instance(51, 100), instance(52, 100), instance(53, 100))}
	err := reconcile.Diff(reconciletest.Observe(t, hs...), want).Apply(t.Context(), hs, nil)
	var failed *reconcile.ChangeError
	if !errors.As(err, &failed) || failed.Change.ID != instance(52, 100).ID() || !errors.Is(err, reconcile.ErrRefused) {
		t.Errorf("Apply = %v, want the refusal of 52", err)
	}
	live := reconciletest.Observe(t, hs...).Owned
	for vrid, there := range map[uint8]bool{9: true, 51: true, 52: false, 53: true} {
		if _, ok := live[instance(vrid, 100).ID()]; ok != there {
			t.Errorf("instance %d is there: %v, want %v", vrid, ok, there)
		}
	}
}
