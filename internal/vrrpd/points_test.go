package vrrpd

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/hareconcile/hareconcile/internal/channel"
	"github.com/hareconcile/hareconcile/internal/vrrp"
	"github.com/hareconcile/hareconcile/internal/vrrpd/rtnl"
	"github.com/hareconcile/hareconcile/internal/vrrpd/track"
	"github.com/hareconcile/hareconcile/reconcile/resource"
)

// seen is what a watcher reports.
func seen(key, state string, value int) input {
	return input{kind: inWatch, watch: track.Result{Key: key, State: state, Value: value, Message: "because"}}
}

func TestPointsChangeThePriority(t *testing.T) {
	for _, c := range []struct {
		claim  string
		base   uint8
		points string
		state  string
		value  int
		want   uint8
	}{
		{"what is down loses", 150, "file//x lose 60", down, 1, 90},
		{"what is up loses nothing", 150, "file//x lose 60", up, 0, 150},
		{"what is up gains", 100, "file//x gain 30", up, 0, 130},
		{"what is down gains nothing", 100, "file//x gain 30", down, 1, 100},
		{"a value counts as often as it says", 100, "file//x scale -2", down, 10, 80},
		{"nobody falls below 1", 50, "file//x lose 200", down, 1, 1},
		{"nobody rises to the owner", 250, "file//x gain 200", up, 0, 254},
		{"an owner does not care", 255, "file//x lose 60", down, 1, 255},
	} {
		t.Run(c.claim, func(t *testing.T) {
			k := newFake()
			l := boot(t, k, t.TempDir())
			i := instance(c.base)
			i.Points = resource.List(c.points)
			tr := resource.VRRPTracker{Type: resource.TrackFile, Target: "/x", Interval: resource.Duration(time.Second)}
			configure(t, l, k, channel.Config{Instances: []resource.VRRPInstance{i}, Trackers: []resource.VRRPTracker{tr}})
			k.queue = append(k.queue, seen(tr.Key(), c.state, c.value))
			round(t, l)
			if got := l.routers[0].m.Priority(); got != c.want {
				t.Errorf("priority = %d, want %d", got, c.want)
			}
		})
	}
}

// TestTheReasonIsToldEvenIfTheWordStays: who reads the status has to see why a tracker is
// unknown, and why it still is.
func TestTheReasonIsToldEvenIfTheWordStays(t *testing.T) {
	k := newFake()
	l := boot(t, k, t.TempDir())
	tr := resource.VRRPTracker{Type: resource.TrackFile, Target: "/x", Interval: resource.Duration(time.Second)}
	configure(t, l, k, channel.Config{Trackers: []resource.VRRPTracker{tr}})
	for _, why := range []string{"no such file", "no number in it", "no such file"} {
		k.queue = append(k.queue, input{kind: inWatch, watch: track.Result{Key: tr.Key(), Message: why}})
		k.t += publishPause
		round(t, l)
		s, _ := l.board.read()
		if got := s.Trackers[0].Message; got != why {
			t.Errorf("message = %q, want %q", got, why)
		}
	}
}

// TestValueCountsAsLongAsItsWord: a file that cannot be read for a moment is no reason for
// an election.
func TestValueCountsAsLongAsItsWord(t *testing.T) {
	k, dir := newFake(), t.TempDir()
	l := boot(t, k, dir)
	i := instance(100)
	i.Points = resource.List("file//x scale -2")
	tr := resource.VRRPTracker{
		Type: resource.TrackFile, Target: "/x", Interval: resource.Duration(time.Second), Hold: resource.Duration(time.Minute), OnUnknown: up,
	}
	configure(t, l, k, channel.Config{Instances: []resource.VRRPInstance{i}, Trackers: []resource.VRRPTracker{tr}})
	want := func(priority uint8) {
		t.Helper()
		if got := l.routers[0].m.Priority(); got != priority {
			t.Errorf("priority = %d, want %d", got, priority)
		}
	}
	k.queue = append(k.queue, seen(tr.Key(), down, 10))
	round(t, l)
	want(80)
	k.queue = append(k.queue, seen(tr.Key(), "", 0))
	roundsFor(t, l, k, 50*time.Second)
	want(80)
	flush(t, l)
	l = boot(t, k, dir)
	want(80)
	roundsFor(t, l, k, 15*time.Second)
	want(100)
}

func TestWatchedGate(t *testing.T) {
	k := newFake()
	l := boot(t, k, t.TempDir())
	i := instance(100)
	tr := resource.VRRPTracker{
		Type: resource.TrackPing, Target: "192.0.2.1", Interval: resource.Duration(time.Second), Hold: resource.Duration(time.Second),
		DownDelay: resource.Duration(3 * time.Second), UpDelay: resource.Duration(5 * time.Second),
	}
	i.Gates = resource.List(tr.Key())
	configure(t, l, k, channel.Config{Instances: []resource.VRRPInstance{i}, Trackers: []resource.VRRPTracker{tr}})
	wantState(t, l, vrrp.Fault) // no election before the first verdict
	see := func(state string) {
		k.queue = append(k.queue, seen(tr.Key(), state, 0))
		round(t, l)
	}
	see(up)
	wantState(t, l, vrrp.Backup) // a first verdict counts at once
	see(down)
	roundsFor(t, l, k, 2*time.Second)
	see(up)
	roundsFor(t, l, k, 10*time.Second)
	wantState(t, l, vrrp.Master) // it was down for less than down_delay
	see(down)
	roundsFor(t, l, k, 4*time.Second)
	wantState(t, l, vrrp.Fault)
	if got, want := l.routers[0].reason, "tracker ping/192.0.2.1 is down: because"; got != want {
		t.Errorf("reason = %q, want %q", got, want)
	}
	see(up)
	roundsFor(t, l, k, 4*time.Second)
	wantState(t, l, vrrp.Fault)
	roundsFor(t, l, k, 2*time.Second)
	if got := l.routers[0].m.State(); got == vrrp.Fault {
		t.Error("up for longer than up_delay does not count")
	}
}

func TestStartDelay(t *testing.T) {
	k, dir := newFake(), t.TempDir()
	l := boot(t, k, dir)
	i := instance(100)
	i.StartDelay = resource.Duration(time.Minute)
	configure(t, l, k, channel.Config{Instances: []resource.VRRPInstance{i}})
	roundsFor(t, l, k, 59*time.Second)
	wantState(t, l, vrrp.Init)
	roundsFor(t, l, k, 2*time.Second)
	wantState(t, l, vrrp.Backup)
	flush(t, l)
	k.t += 10 * time.Second
	l = boot(t, k, dir)
	wantState(t, l, vrrp.Backup) // who was in the election need not wait again
	if got := l.routers[0].transitions; got != 1 {
		t.Errorf("%d transitions after a restart, want 1", got)
	}
}

func TestAdvertsNeedTheirSource(t *testing.T) {
	l, k := ruling(t)
	own := rtnl.Address{Index: 3, Prefix: netip.PrefixFrom(self, 24), Forever: true}
	k.queue = append(k.queue, addressInput(own, true))
	round(t, l)
	wantState(t, l, vrrp.Fault)
	if got, want := l.routers[0].reason, "address 10.0.0.1 is not on interface eth0"; got != want {
		t.Errorf("reason = %q, want %q", got, want)
	}
	k.queue = append(k.queue, addressInput(own, false))
	round(t, l)
	wantState(t, l, vrrp.Backup)
}

func TestIPv6ComesFromTheLinkLocalAddress(t *testing.T) {
	k := newFake()
	l := boot(t, k, t.TempDir())
	i := instance(100)
	i.Family, i.Source, i.Addresses, i.Peers, i.OpenPeers = resource.IPv6, netip.Addr{}, "fe80::100/64,2001:db8::100/64", "", true
	configure(t, l, k, channel.Config{Instances: []resource.VRRPInstance{i}})
	wantState(t, l, vrrp.Fault)
	ll := rtnl.Address{Index: 3, Prefix: netip.MustParsePrefix("fe80::7/64"), Forever: true, Tentative: true}
	k.queue = append(k.queue, addressInput(ll, false))
	round(t, l)
	wantState(t, l, vrrp.Fault) // others may have it: duplicate address detection runs
	ll.Tentative = false
	k.queue = append(k.queue, addressInput(ll, false))
	round(t, l)
	wantState(t, l, vrrp.Backup)
	if got := l.routers[0].source; got != ll.Prefix.Addr() {
		t.Errorf("source = %v, want %v", got, ll.Prefix.Addr())
	}

	roundsFor(t, l, k, 5*time.Second)
	wantState(t, l, vrrp.Master)
	k.sent = nil
	own := rtnl.Address{Index: 3, Prefix: netip.MustParsePrefix("fe80::100/64"), Forever: true}
	k.queue = append(k.queue, addressInput(own, false), addressInput(ll, true))
	round(t, l)
	wantState(t, l, vrrp.Fault) // its own virtual address, on a kernel without marks, is no source
	if len(k.sent) != 1 {
		t.Errorf("%d adverts after the source was lost, want a resignation from it", len(k.sent))
	}
	if got, want := l.routers[0].reason, "address fe80::7 is not on interface eth0"; got != want {
		t.Errorf("reason = %q, want %q", got, want)
	}
	ll.Prefix = netip.MustParsePrefix("fe80::8/64")
	k.queue = append(k.queue, addressInput(ll, false))
	round(t, l)
	wantState(t, l, vrrp.Backup)
	if got := l.routers[0].source; got != ll.Prefix.Addr() {
		t.Errorf("source = %v, want %v", got, ll.Prefix.Addr())
	}
}

func TestTrackedInterfaceAndAddress(t *testing.T) {
	k := newFake()
	l := boot(t, k, t.TempDir())
	i := instance(100)
	i.Gates = "interface/eth0,address/10.0.0.77"
	configure(t, l, k, channel.Config{Instances: []resource.VRRPInstance{i}, Trackers: []resource.VRRPTracker{
		{Type: resource.TrackInterface, Target: "eth0"}, {Type: resource.TrackAddress, Target: "10.0.0.77"},
	}})
	wantState(t, l, vrrp.Fault)
	if got, want := l.routers[0].reason, "tracker address/10.0.0.77 is down: this host does not have it"; got != want {
		t.Errorf("reason = %q, want %q", got, want)
	}
	k.queue = append(k.queue, addressInput(rtnl.Address{Index: 4, Prefix: netip.MustParsePrefix("10.0.0.77/24")}, false))
	round(t, l)
	wantState(t, l, vrrp.Backup)
}

// TestTrackedRoute follows the routes to one place, of which there may be many.
func TestTrackedRoute(t *testing.T) {
	k := newFake()
	l := boot(t, k, t.TempDir())
	i := instance(100)
	tr := resource.VRRPTracker{Type: resource.TrackRoute, Target: "0.0.0.0/0"}
	i.Gates = resource.List(tr.Key())
	use := func(device string) {
		tr.Device = device
		configure(t, l, k, channel.Config{Instances: []resource.VRRPInstance{i}, Trackers: []resource.VRRPTracker{tr}})
	}
	here := rtnl.Route{Prefix: netip.MustParsePrefix("0.0.0.0/0"), Table: 254, Index: 3}
	there := here
	there.Index = 4
	// change is what the kernel reports, left what there is then.
	change := func(r rtnl.Route, gone bool, want vrrp.State, left ...rtnl.Route) {
		t.Helper()
		k.routes = left
		k.queue = append(k.queue, input{kind: inEvent, event: rtnl.Event{Kind: rtnl.RouteEvent, Route: r, Gone: gone}})
		round(t, l)
		wantState(t, l, want)
	}
	if k.every = true; l.everyRoute {
		t.Fatal("hears of others' routes though none is tracked")
	}
	k.every = false
	use("")
	if !k.every {
		t.Error("does not hear of others' routes")
	}
	wantState(t, l, vrrp.Fault)
	change(here, false, vrrp.Backup, here)
	change(there, false, vrrp.Backup, here, there)
	change(here, true, vrrp.Backup, there)
	change(there, true, vrrp.Fault)
	use("eth0")
	change(there, false, vrrp.Fault, there)
	change(here, false, vrrp.Backup, here, there)
	change(there, true, vrrp.Backup, here)
	change(here, true, vrrp.Fault)
	configure(t, l, k, channel.Config{Instances: []resource.VRRPInstance{instance(100)}})
	if k.every {
		t.Error("hears of others' routes for nobody")
	}
}

// TestTrackedAddressMayMove: the host has it as long as one interface does.
func TestTrackedAddressMayMove(t *testing.T) {
	k := newFake()
	l := boot(t, k, t.TempDir())
	i := instance(100)
	tr := resource.VRRPTracker{Type: resource.TrackAddress, Target: "10.0.0.77"}
	i.Gates = resource.List(tr.Key())
	there := rtnl.Address{Index: 4, Prefix: netip.MustParsePrefix("10.0.0.77/24")}
	k.addrs = []rtnl.Address{there}
	configure(t, l, k, channel.Config{Instances: []resource.VRRPInstance{i}, Trackers: []resource.VRRPTracker{tr}})
	wantState(t, l, vrrp.Backup)
	elsewhere := there
	elsewhere.Index = 5
	k.addrs = []rtnl.Address{elsewhere}
	k.queue = append(k.queue, addressInput(elsewhere, false), addressInput(there, true))
	round(t, l)
	wantState(t, l, vrrp.Backup)
	k.addrs = nil
	k.queue = append(k.queue, addressInput(elsewhere, true))
	round(t, l)
	wantState(t, l, vrrp.Fault)
}

// TestRemovedRoutersLeaveTheirSlots: without one, a router cannot be adopted.
func TestRemovedRoutersLeaveTheirSlots(t *testing.T) {
	l, k := ruling(t)
	configure(t, l, k, channel.Config{})
	if l.store.used[0] || l.store.sent(0) != 0 {
		t.Errorf("slot taken %v, claimed at %v, want neither", l.store.used[0], l.store.sent(0))
	}
}

func TestSyncGroupMovesAsOne(t *testing.T) {
	k := newFake()
	l := boot(t, k, t.TempDir())
	a, b := instance(100), instance(90)
	b.VRID, b.Addresses = 8, "10.0.0.101/24"
	a.Group, b.Group = "edge", "edge"
	b.Gates = "plugin/web"
	web := resource.VRRPTracker{Type: resource.TrackPlugin, Target: "web", OnUnknown: up, Hold: resource.Duration(time.Minute)}
	configure(t, l, k, channel.Config{Instances: []resource.VRRPInstance{a, b}, Trackers: []resource.VRRPTracker{web}})
	for end := k.t + 6*time.Second; k.t < end; {
		round(t, l)
		if l.routers[0].m.State() != l.routers[1].m.State() {
			t.Fatalf("the group is split: %v and %v", l.routers[0].m.State(), l.routers[1].m.State())
		}
	}
	wantState(t, l, vrrp.Master)
	k.sent = nil
	ask(t, l, k, channel.Request{Track: &channel.Track{States: map[string]string{web.Key(): down}}})
	for _, r := range l.routers {
		if r.m.State() != vrrp.Fault {
			t.Errorf("%s is %v, want FAULT", r.name, r.m.State())
		}
	}
	if !slices.Equal(k.sent, []uint8{0, 0}) {
		t.Errorf("sent priorities %v, want two of 0", k.sent)
	}
}

func TestAlertsTellOfOthers(t *testing.T) {
	l, k := ruling(t)
	alerts := func() string {
		return strings.Join(ask(t, l, k, channel.Request{Query: &channel.Query{}}).Status.Instances[0].Alerts, "; ")
	}
	if got := alerts(); got != "" {
		t.Errorf("alerts = %q, want none", got)
	}
	k.queue = append(k.queue, advertFrom(t, peer.Next(), 250), advertFrom(t, peer, 90))
	round(t, l)
	if got, want := alerts(), "foreign router with the same router id at 10.0.0.3; another master at 10.0.0.2"; got != want {
		t.Errorf("alerts = %q, want %q", got, want)
	}
	roundsFor(t, l, k, time.Minute)
	if s, _ := l.board.read(); len(s.Instances[0].Alerts) != 0 { // who subscribes hears of the end, too
		t.Errorf("alerts = %q a minute later, want none", s.Instances[0].Alerts)
	}
	if got := alerts(); got != "" {
		t.Errorf("alerts = %q a minute later, want none", got)
	}
}

// TestMasterThatCannotSendSaysSo: as where a packet filter keeps its adverts.
func TestMasterThatCannotSendSaysSo(t *testing.T) {
	l, k := ruling(t)
	status := func() channel.InstanceStatus {
		return ask(t, l, k, channel.Request{Query: &channel.Query{}}).Status.Instances[0]
	}
	k.mute = unix.EPERM
	roundsFor(t, l, k, 20*time.Second)
	if s := status(); len(s.Alerts) != 1 || s.Alerts[0] != "adverts to 224.0.0.18 cannot be sent" || s.Adverts["send_errors"] < 19 {
		t.Errorf("alerts = %q, %d errors, want one alert and 20", s.Alerts, s.Adverts["send_errors"])
	}
	k.mute = nil
	roundsFor(t, l, k, 20*time.Second)
	if s := status(); len(s.Alerts) != 0 {
		t.Errorf("alerts = %q when they leave again, want none", s.Alerts)
	}
	k.mute = unix.ENETDOWN
	k.eth0.Running = false
	k.queue = append(k.queue, linkInput(k.eth0, false))
	round(t, l)
	if s := status(); len(s.Alerts) != 0 {
		t.Errorf("alerts = %q of a resignation without a link, want none", s.Alerts)
	}
}
