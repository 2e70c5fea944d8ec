package vrrpd

import (
	"math"
	"net/netip"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/hareconcile/hareconcile/internal/channel"
	"github.com/hareconcile/hareconcile/internal/vrrp"
	"github.com/hareconcile/hareconcile/internal/vrrpd/rtnl"
	"github.com/hareconcile/hareconcile/internal/vrrpd/wire"
	"github.com/hareconcile/hareconcile/reconcile/resource"
)

// What the announcements of a burst are unless something else is configured.
const (
	announceRounds = 5
	announceDelay  = 5 * time.Second
)

// started is a loop with one router of that priority, BACKUP.
func started(t *testing.T, priority uint8) (*loop, *fakeKernel) {
	t.Helper()
	k := newFake()
	l := boot(t, k, t.TempDir())
	configure(t, l, k, channel.Config{Instances: []resource.VRRPInstance{instance(priority)}})
	return l, k
}

func wantState(t *testing.T, l *loop, want vrrp.State) {
	t.Helper()
	if got := l.routers[0].m.State(); got != want {
		t.Fatalf("state = %v (%s), want %v", got, l.routers[0].reason, want)
	}
}

func TestSilencePromotes(t *testing.T) {
	l, k := started(t, 100)
	wantState(t, l, vrrp.Backup)
	roundsFor(t, l, k, 4*time.Second)
	wantState(t, l, vrrp.Master)
	if want := []string{"send", "add"}; !slices.Equal(k.script[:2], want) {
		t.Errorf("order = %v, want %v", k.script[:2], want)
	}
	if k.garps != announceRounds {
		t.Errorf("%d announcements, want %d", k.garps, announceRounds)
	}
	roundsFor(t, l, k, announceDelay)
	if k.garps != 2*announceRounds {
		t.Errorf("%d announcements after the second burst, want %d", k.garps, 2*announceRounds)
	}
}

func TestQueuedAdvertsAreReadBeforeTimers(t *testing.T) {
	l, k := started(t, 100)
	k.queue = append(k.queue, advertFrom(t, peer, 200))
	round(t, l)
	for range 60 {
		k.sleep = 10 * time.Second // longer than any master-down interval
		k.queue = append(k.queue, advertFrom(t, peer, 200))
		round(t, l)
		wantState(t, l, vrrp.Backup)
	}
	if len(k.sent) != 0 {
		t.Errorf("a backup sent %v", k.sent)
	}
	if l.pauses != 60 {
		t.Errorf("pauses = %d, want 60", l.pauses)
	}
}

func TestStopBetweenTheLastReadAndTheTimersIsNotSilence(t *testing.T) {
	l, k := started(t, 100)
	k.queue = append(k.queue, advertFrom(t, peer, 200))
	round(t, l)
	for range 20 {
		k.stall = 10 * time.Second
		round(t, l)
		wantState(t, l, vrrp.Backup)
		k.queue = append(k.queue, advertFrom(t, peer, 200)) // came while the process was stopped
		round(t, l)
		wantState(t, l, vrrp.Backup)
	}
}

func TestFloodIsNotSilence(t *testing.T) {
	l, k := started(t, 100)
	for range 20 {
		k.t += 400 * time.Millisecond // with the wait shorter than what counts as a pause
		k.queue = append(k.queue, input{kind: inEnough})
		round(t, l)
		wantState(t, l, vrrp.Backup)
	}
}

func TestPauseWithNothingQueuedStartsTheWaitAgainOnce(t *testing.T) {
	l, k := started(t, 100)
	k.sleep = time.Hour
	round(t, l)
	wantState(t, l, vrrp.Backup)
	roundsFor(t, l, k, 2*time.Second)
	wantState(t, l, vrrp.Backup)
	roundsFor(t, l, k, 3*time.Second)
	wantState(t, l, vrrp.Master)
}

func TestMasterThatWakesToAnotherMasterDoesNotSend(t *testing.T) {
	l, k := started(t, 200)
	roundsFor(t, l, k, 4*time.Second)
	wantState(t, l, vrrp.Master)
	k.sent = nil
	k.sleep = 10 * time.Second
	k.queue = append(k.queue, advertFrom(t, peer, 100))
	round(t, l)
	wantState(t, l, vrrp.Backup)
	if len(k.sent) != 0 || len(k.addrs) != 0 {
		t.Errorf("sent %v and kept %v, want neither", k.sent, k.addrs)
	}
}

func TestAdvertsKeepTheirRhythm(t *testing.T) {
	l, k := started(t, 200)
	roundsFor(t, l, k, 4*time.Second)
	due := l.routers[0].timers[vrrp.Deadline]
	for range 100 {
		k.sleep = 7 * time.Millisecond // every round is late
		round(t, l)
	}
	if off := (l.routers[0].timers[vrrp.Deadline] - due) % time.Second; off != 0 {
		t.Errorf("adverts drifted by %v", off)
	}
}

func TestResignAndStop(t *testing.T) {
	l, k := started(t, 200)
	roundsFor(t, l, k, 4*time.Second)
	if r := ask(t, l, k, channel.Request{Resign: &channel.Resign{Instances: []string{"eth1/7/ipv4"}}}); r.Error == "" {
		t.Error("resigning an unknown instance is no error")
	}
	ask(t, l, k, channel.Request{Resign: &channel.Resign{}})
	wantState(t, l, vrrp.Backup)
	if got := k.sent[len(k.sent)-1]; got != 0 || len(k.addrs) != 0 {
		t.Errorf("last priority %d and addresses %v, want 0 and none", got, k.addrs)
	}
	roundsFor(t, l, k, 4*time.Second)
	wantState(t, l, vrrp.Master)
	k.queue = append(k.queue, input{kind: inCommand, command: &command{stop: true, reply: make(chan channel.Response, 1)}})
	if err := l.run(); err != nil {
		t.Fatal(err)
	}
	wantState(t, l, vrrp.Init)
	if got := k.sent[len(k.sent)-1]; got != 0 || len(k.addrs) != 0 {
		t.Errorf("last priority %d and addresses %v, want 0 and none", got, k.addrs)
	}
}

// TestWhoeverIsLetInIsCountedAndNoAlarm: a pair over IPv6 without sources hears each other
// for as long as it lives.
func TestWhoeverIsLetInIsCountedAndNoAlarm(t *testing.T) {
	k := newFake()
	l := boot(t, k, t.TempDir())
	i := instance(100)
	i.Peers, i.OpenPeers = "", true
	configure(t, l, k, channel.Config{Instances: []resource.VRRPInstance{i}})
	k.queue = append(k.queue, advertFrom(t, peer, 150))
	round(t, l)
	r := l.routers[0]
	if got := r.alerts(l.t); r.m.Master() != peer || len(got) != 0 || r.rejects[vrrp.RejectStranger] != 1 {
		t.Errorf("master %v, alerts %q, %d counted; want %v, none and one", r.m.Master(), got, r.rejects[vrrp.RejectStranger], peer)
	}
}

func TestStrangersAreCountedAndHaveNoEffect(t *testing.T) {
	l, k := started(t, 100)
	roundsFor(t, l, k, 4*time.Second)
	stranger := peer.Next()
	k.queue = append(k.queue, advertFrom(t, stranger, 255))
	round(t, l)
	wantState(t, l, vrrp.Master)
	i := ask(t, l, k, channel.Request{Query: &channel.Query{}}).Status.Instances[0]
	if i.Adverts["unknown_peer"] != 1 || i.Adverts["received"] != 0 {
		t.Errorf("counters = %v", i.Adverts)
	}
}

func TestLowerMasterIsAnsweredAndAnnounced(t *testing.T) {
	l, k := started(t, 200)
	roundsFor(t, l, k, 4*time.Second)
	roundsFor(t, l, k, 2*announceDelay)
	garps, sent := k.garps, len(k.sent)
	for range 3 { // one burst a second at most
		k.queue = append(k.queue, advertFrom(t, peer, 100))
	}
	round(t, l)
	if k.garps != garps+announceRounds || len(k.sent) < sent+3 {
		t.Errorf("%d announcements and %d adverts, want %d and 3", k.garps-garps, len(k.sent)-sent, announceRounds)
	}
}

func TestAdvertAllocatesNothing(t *testing.T) {
	l, k := started(t, 100)
	in := advertFrom(t, peer, 200)
	k.queue = append(k.queue, in)
	round(t, l)
	if n := testing.AllocsPerRun(1000, func() { l.received(&in) }); n != 0 {
		t.Errorf("%v allocations to hear an advert, want 0", n)
	}
	roundsFor(t, l, k, 5*time.Second)
	wantState(t, l, vrrp.Master)
	k.quiet = true
	r := l.routers[0]
	if n := testing.AllocsPerRun(1000, func() { l.fire(r, vrrp.Deadline) }); n != 0 {
		t.Errorf("%v allocations to send an advert, want 0", n)
	}
	if n := testing.AllocsPerRun(1000, func() {
		if err := l.round(); err != nil {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Errorf("%v allocations for a round, want 0", n)
	}
}

// TestHostilePacketsAllocateNothing hears each of them again and again, as in a flood.
func TestHostilePacketsAllocateNothing(t *testing.T) {
	l, k := ruling(t)
	k.quiet = true
	hostile := map[string]input{
		"a stranger": advertFrom(t, peer.Next(), 250), "our own address": advertFrom(t, self, 250), "another master": advertFrom(t, peer, 100),
		"half a packet": advertFrom(t, peer, 250), "a wrong checksum": advertFrom(t, peer, 250), "no header": advertFrom(t, peer, 250),
	}
	cut := hostile["half a packet"]
	cut.packet = cut.packet[:30]
	hostile["half a packet"] = cut
	hostile["a wrong checksum"].packet[26]++
	hostile["no header"].packet[0] = 0
	before := l.routers[0].transitions
	for name, in := range hostile {
		l.received(&in)
		l.changed = false
		if n := testing.AllocsPerRun(1000, func() { l.received(&in) }); n != 0 || l.changed {
			t.Errorf("%s: %v allocations, published anew %v, want neither", name, n, l.changed)
		}
	}
	if wantState(t, l, vrrp.Master); l.routers[0].transitions != before {
		t.Error("they had an effect")
	}
}

func TestLinkLossIsAFault(t *testing.T) {
	l, k := started(t, 200)
	roundsFor(t, l, k, 4*time.Second)
	off := k.eth0
	off.Running = false
	k.queue = append(k.queue, linkInput(off, false))
	round(t, l)
	wantState(t, l, vrrp.Fault)
	if len(k.addrs) != 0 || l.routers[0].reason != "interface eth0 has no carrier" {
		t.Errorf("reason %q, addresses %v", l.routers[0].reason, k.addrs)
	}
	k.queue = append(k.queue, linkInput(k.eth0, false))
	round(t, l)
	wantState(t, l, vrrp.Backup)
}

func TestRecreatedInterfaceIsJoinedAgain(t *testing.T) {
	l, k := started(t, 200)
	roundsFor(t, l, k, 4*time.Second)
	k.addrs = nil
	k.queue = append(k.queue, linkInput(k.eth0, true))
	round(t, l)
	wantState(t, l, vrrp.Fault)
	k.eth0.Index = 9
	own := rtnl.Address{Index: 9, Prefix: netip.PrefixFrom(self, 24), Forever: true}
	k.queue = append(k.queue, linkInput(k.eth0, false), addressInput(own, false))
	roundsFor(t, l, k, 5*time.Second)
	wantState(t, l, vrrp.Master)
	if len(k.addrs) != 1 || k.addrs[0].Index != 9 || l.repairs != 0 {
		t.Errorf("addresses %v after %d repairs", k.addrs, l.repairs)
	}
	if want := []wire.Port{{Index: 9}}; !slices.Equal(k.ports, want) {
		t.Errorf("heard on %v, want %v", k.ports, want)
	}
}

// TestPortThatCannotBeHeardIsTriedAgain: a MASTER that hears nobody must not be.
func TestPortThatCannotBeHeardIsTriedAgain(t *testing.T) {
	k := newFake()
	k.refuse = unix.ENOBUFS
	l := boot(t, k, t.TempDir())
	configure(t, l, k, channel.Config{Instances: []resource.VRRPInstance{instance(100)}})
	roundsFor(t, l, k, 10*time.Second)
	wantState(t, l, vrrp.Fault)
	if got, want := l.routers[0].reason, unix.ENOBUFS.Error(); got != want {
		t.Errorf("reason = %q, want %q", got, want)
	}
	k.refuse = nil
	roundsFor(t, l, k, 1500*time.Millisecond)
	wantState(t, l, vrrp.Backup)
}

func TestAddressesAreMended(t *testing.T) {
	l, k := started(t, 200)
	roundsFor(t, l, k, 4*time.Second)
	gone := k.addrs[0]
	k.addrs = nil
	k.queue = append(k.queue, addressInput(gone, true))
	round(t, l)
	if len(k.addrs) != 1 || l.repairs != 1 {
		t.Fatalf("deleted: addresses %v, %d repairs", k.addrs, l.repairs)
	}
	k.addrs[0].Marked, k.addrs[0].Forever = false, false // ip address change
	k.queue = append(k.queue, addressInput(k.addrs[0], false))
	round(t, l)
	if !k.addrs[0].Marked || !k.addrs[0].Forever || l.repairs != 2 {
		t.Fatalf("altered: addresses %v, %d repairs", k.addrs, l.repairs)
	}
	k.addrs[0].Marked = false // somebody deleted it and put their own there
	k.queue = append(k.queue, addressInput(gone, true), addressInput(k.addrs[0], false))
	round(t, l)
	if k.addrs[0].Marked || len(l.table.Conflicts(l.routers[0].name)) != 1 {
		t.Fatalf("replaced: addresses %v, conflicts %v", k.addrs, l.table.Conflicts(l.routers[0].name))
	}
	k.queue = append(k.queue, advertFrom(t, peer, 255))
	round(t, l)
	wantState(t, l, vrrp.Backup)
	if len(k.addrs) != 1 {
		t.Error("an address that somebody else put there was removed")
	}
}

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

func TestManyChangesAreToldTogether(t *testing.T) {
	l, k := started(t, 100)
	roundsFor(t, l, k, time.Second)
	told := 0
	_, news := l.board.read()
	start := k.t
	for n := range 100 { // every round changes something
		flap := k.eth0
		flap.Running = n%2 == 1
		k.queue = append(k.queue, linkInput(flap, false))
		k.t += 100 * time.Microsecond
		l.t = k.t
		l.drain()
		l.settle()
		select {
		case <-news:
			told++
			_, news = l.board.read()
		default:
		}
	}
	if most := int((k.t-start)/publishPause) + 1; told == 0 || told > most {
		t.Errorf("told %d times in %v, want 1 to %d", told, k.t-start, most)
	}
	last := k.t
	for l.changed {
		round(t, l)
	}
	if k.t > last+2*publishPause {
		t.Errorf("the last change was told after %v", k.t-last)
	}
	if s, _ := l.board.read(); s.Instances[0].Transitions != l.routers[0].transitions {
		t.Errorf("told %d transitions of %d", s.Instances[0].Transitions, l.routers[0].transitions)
	}
}
