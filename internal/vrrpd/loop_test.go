package vrrpd

import (
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
