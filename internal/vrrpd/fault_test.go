package vrrpd

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/hareconcile/hareconcile/internal/channel"
	"github.com/hareconcile/hareconcile/internal/nstest"
	"github.com/hareconcile/hareconcile/internal/vrrp"
	"github.com/hareconcile/hareconcile/reconcile/resource"
)

// ruling is a loop with one router, MASTER since long ago.
func ruling(t *testing.T) (*loop, *fakeKernel) {
	t.Helper()
	l, k := started(t, 200)
	roundsFor(t, l, k, 20*time.Second)
	wantState(t, l, vrrp.Master)
	return l, k
}

func TestAddressAddedToAMasterIsAnnounced(t *testing.T) {
	l, k := ruling(t)
	before := k.garps
	i := instance(200)
	i.Addresses = resource.NewList(vip.String(), "10.0.0.101/24")
	configure(t, l, k, channel.Config{Instances: []resource.VRRPInstance{i}})
	if k.garps == before {
		t.Error("no announcement, want a burst: hosts may know the address elsewhere")
	}
	if l.repairs != 0 {
		t.Errorf("%d repairs, want none: nothing was missing", l.repairs)
	}
}

// TestRenamedInterfaceIsLeft renames an interface that is up, as Linux allows since 6.2:
// what is on it stays on it.
func TestRenamedInterfaceIsLeft(t *testing.T) {
	l, k := ruling(t)
	k.sent = nil
	k.eth0.Name = "eth9"
	k.queue = append(k.queue, linkInput(k.eth0, false))
	round(t, l)
	wantState(t, l, vrrp.Fault)
	if len(k.addrs) != 0 {
		t.Errorf("kept %v, want it withdrawn", k.addrs)
	}
	if want := []uint8{0}; !slices.Equal(k.sent, want) {
		t.Errorf("sent priorities %v, want %v", k.sent, want)
	}
}

func TestAddressThatMovesBetweenRoutersStaysOnTheHost(t *testing.T) {
	a, b := instance(200), instance(200)
	b.VRID = 6
	other := resource.List("10.0.0.101/24")
	for name, order := range map[string][2]*resource.VRRPInstance{"from first to last": {&b, &a}, "from last to first": {&a, &b}} {
		t.Run(name, func(t *testing.T) {
			k := newFake()
			l := boot(t, k, t.TempDir())
			from, to := order[0], order[1]
			from.Addresses, to.Addresses = resource.NewList(vip.String(), "10.0.0.102/24"), other
			configure(t, l, k, channel.Config{Instances: []resource.VRRPInstance{a, b}})
			roundsFor(t, l, k, 20*time.Second)
			k.deleted = 0
			from.Addresses, to.Addresses = resource.List("10.0.0.102/24"), resource.NewList(vip.String(), "10.0.0.101/24")
			configure(t, l, k, channel.Config{Instances: []resource.VRRPInstance{a, b}})
			if k.deleted != 0 || len(k.addrs) != 3 {
				t.Errorf("%d deleted and %v left, want none deleted of three", k.deleted, k.addrs)
			}
			from.Addresses, to.Addresses = resource.List("10.0.0.102/24"), other
			configure(t, l, k, channel.Config{Instances: []resource.VRRPInstance{a, b}})
			if len(k.addrs) != 2 {
				t.Errorf("%v left, want two: nobody lists the third", k.addrs)
			}
		})
	}
}

// TestCommandsDoNotKeepTheLoopFromItsTimers floods it with requests.
func TestCommandsDoNotKeepTheLoopFromItsTimers(t *testing.T) {
	nstest.Need(t, "root")
	commands := make(chan *command, 1)
	k, err := openKernel(commands)
	if err != nil {
		t.Fatal(err)
	}
	defer k.close()
	var in input
	commands <- &command{}
	n := 0
	for ; k.next(&in) && n < 100*readShare; n++ {
		commands <- &command{}
	}
	if n > readShare {
		t.Errorf("%d requests in one round, want at most %d", n, readShare)
	}
	if !k.next(&in) || in.kind != inCommand {
		t.Error("the next round reads no request")
	}
}

// TestVisitorThatLeftAtOnceIsCountedBothWays: a presence that is only taken away would
// count the agent as gone while it is there.
func TestVisitorThatLeftAtOnceIsCountedBothWays(t *testing.T) {
	commands := make(chan *command, 1)
	s := &server{
		commands: commands, wake: func() {}, board: newBoard(),
		done: make(chan struct{}), agent: map[context.Context]bool{},
	}
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	for range 20 {
		visit, hangUp := context.WithCancel(gone)
		go s.attend(visit)
		for _, want := range []int{1, -1} {
			c := <-commands
			if c.reply <- (channel.Response{}); c.presence != want {
				t.Fatalf("presence %d, want %d", c.presence, want)
			}
		}
		hangUp()
	}
}

// TestPageHasItsRoom: a store into a page that a full disk cannot give kills the process.
func TestPageHasItsRoom(t *testing.T) {
	s, _, err := openStore(filepath.Join(t.TempDir(), "state"))
	if err != nil {
		t.Fatal(err)
	}
	var st unix.Stat_t
	if err := unix.Stat(s.path+".sent", &st); err != nil {
		t.Fatal(err)
	}
	if st.Blocks*512 < slots*slotSize {
		t.Errorf("the page has %d bytes of its file system, want %d", st.Blocks*512, slots*slotSize)
	}
}

func TestTruncatedPageKillsNobody(t *testing.T) {
	s, _, err := openStore(filepath.Join(t.TempDir(), "state"))
	if err != nil {
		t.Fatal(err)
	}
	slot := s.claim()
	if err := os.Truncate(s.path+".sent", 0); err != nil {
		t.Fatal(err)
	}
	s.touch(slot, time.Hour)
	s.touch(slot, 2*time.Hour)
	if got := s.sent(slot); got != 2*time.Hour {
		t.Errorf("sent = %v, want 2h", got)
	}
}

func TestKilledWriterLeavesNoFiles(t *testing.T) {
	dir := t.TempDir()
	s, _, err := openStore(filepath.Join(dir, "state"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(s.path+".new", []byte("half of a doc"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := s.write(saved{Version: stateVersion, BootID: s.bootID, Netns: s.netns}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.load(); err != nil {
		t.Error(err)
	}
	files, err := os.ReadDir(dir)
	if err != nil || len(files) != 2 {
		t.Errorf("%v, %v left, want the state and the page", files, err)
	}
}

func TestLateAdvertKeepsTheRhythmUnlessItIsVeryLate(t *testing.T) {
	l, _ := ruling(t)
	r := l.routers[0]
	for late, want := range map[time.Duration]time.Duration{
		100 * time.Millisecond: 900 * time.Millisecond, 500 * time.Millisecond: time.Second,
	} {
		r.timers[vrrp.Deadline] = l.t - late
		l.fire(r, vrrp.Deadline)
		if got := r.timers[vrrp.Deadline] - l.t; got != want {
			t.Errorf("%v late: the next advert in %v, want %v", late, got, want)
		}
	}
}

func TestConfigurationDoesNotRenewAWordThatIsTooOld(t *testing.T) {
	l, k := started(t, 100)
	tr := resource.VRRPTracker{Type: resource.TrackPlugin, Target: "x", OnUnknown: down, Hold: resource.Duration(time.Second)}
	i := instance(100)
	i.Gates = resource.List(tr.Key())
	c := channel.Config{Instances: []resource.VRRPInstance{i}, Trackers: []resource.VRRPTracker{tr}}
	configure(t, l, k, c)
	ask(t, l, k, channel.Request{Track: &channel.Track{States: map[string]string{tr.Key(): up}}})
	wantState(t, l, vrrp.Backup)
	roundsFor(t, l, k, 2*time.Second)
	wantState(t, l, vrrp.Fault)
	before := l.routers[0].transitions
	configure(t, l, k, c)
	round(t, l)
	if wantState(t, l, vrrp.Fault); l.routers[0].transitions != before {
		t.Errorf("%d transitions by the same configuration, want none", l.routers[0].transitions-before)
	}
	c.Trackers[0].Hold = resource.Duration(time.Hour)
	configure(t, l, k, c)
	round(t, l)
	wantState(t, l, vrrp.Backup)
}

func TestStateWithAnUnknownWordIsUnknown(t *testing.T) {
	k := newFake()
	dir := t.TempDir()
	l := boot(t, k, dir)
	tr := resource.VRRPTracker{Type: resource.TrackPlugin, Target: "x", OnUnknown: down, Hold: resource.Duration(time.Hour)}
	configure(t, l, k, channel.Config{Trackers: []resource.VRRPTracker{tr}})
	doc := l.saved()
	doc.Trackers[0].Word = "banana"
	l.store.save(doc)
	flush(t, l)
	if got := boot(t, k, dir).trackers[tr.Key()].down(); got == "" {
		t.Error("a tracker of which nothing is known counts as up")
	}
}
