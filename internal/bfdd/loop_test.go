package bfdd

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/hareconcile/hareconcile/internal/bfd"
	"github.com/hareconcile/hareconcile/reconcile/resource"
)

func TestSilenceIsDownAfterTheDetectionTime(t *testing.T) {
	b, e := up(t)
	e.session = nil
	start := b.world.t
	b.run(190 * ms) // the last packet is up to 100ms old
	b.want("before the detection time")
	b.run(120 * ms)
	if r := b.take(); len(r) != 1 || r[0] != (Result{"bfd/10.0.0.2", Down, "control detection time expired"}) {
		t.Fatalf("reported %v", r)
	}
	if late := b.world.t - start; late > 500*ms {
		t.Fatalf("took %v", late)
	}
	e.on(fast)
	b.run(5 * time.Second)
	b.want("the peer is back", Up)
}

func TestUnknownUntilTheFirstVerdict(t *testing.T) {
	b := newBench(t, "10.0.0.2")
	b.configure([]resource.VRRPTracker{tracker("10.0.0.2")})
	b.run(grace - ms)
	b.want("a peer may take a while")
	b.run(2 * ms)
	if r := b.take(); len(r) != 1 || r[0].State != Down || r[0].Message != "the peer was not heard" {
		t.Fatalf("reported %v", r)
	}
	b.end("10.0.0.2").on(fast)
	b.run(5 * time.Second)
	b.want("the peer came later", Up)
}

func TestWhatHasNoEffect(t *testing.T) {
	b, e := up(t)
	peer := b.peers["bfd/10.0.0.2"]
	fresh := bfd.Packet{State: bfd.Down, Multiplier: 3, My: 99, DesiredMinTx: time.Second, RequiredMinRx: time.Second}
	known := fresh
	known.Your = peer.discr
	other := fresh
	other.Your = peer.discr + 1
	stranger := &end{world: b.world, addr: netip.MustParseAddr("10.0.0.3")}
	for range 20 {
		b.run(10 * ms)
		for _, ttl := range []int{254, 1, 0, -1} {
			e.hear(fresh, ttl, 2)
			e.hear(known, ttl, 2)
		}
		stranger.hear(fresh, bfd.TTL, 2)
		stranger.hear(known, bfd.TTL, 2)
		e.hear(other, bfd.TTL, 2)
		b.queue = append(b.queue, datagram{e.addr, bfd.TTL, 2, []byte("noise")}, datagram{e.addr, bfd.TTL, 2, nil}, datagram{})
	}
	b.run(time.Second)
	b.want("forged packets")
	if e.session.State() != bfd.Up {
		t.Fatal("the peer is not up any more")
	}
	e.hear(fresh, bfd.TTL, 2) // the test's own proof: this one is from a peer that starts anew
	b.run(10 * time.Second)
	b.want("a packet of the peer", Down, Up)
}

func TestOtherDevicesAreNotHeard(t *testing.T) {
	b := newBench(t, "10.0.0.2", "fe80::2")
	cfgs := []resource.VRRPTracker{tracker("10.0.0.2"), tracker("fe80::2%eth0")}
	cfgs[0].Device = "eth0" // which is number 2
	for _, e := range b.ends {
		e.on(fast)
	}
	b.configure(cfgs)
	b.run(5 * time.Second)
	b.want("start", Up, Up)
	b.end("10.0.0.2").hear(bfd.Packet{State: bfd.Down, Multiplier: 3, My: 99}, bfd.TTL, 3)
	b.end("fe80::2").hear(bfd.Packet{State: bfd.Down, Multiplier: 3, My: 99}, bfd.TTL, 3)
	b.run(time.Second)
	b.want("a packet on device 3")
}

func TestAPeerThatIsStoppedOnPurposeIsNoFailure(t *testing.T) {
	b, e := up(t)
	e.do(bfd.Stop{})
	b.run(time.Second)
	if r := b.take(); len(r) != 1 || r[0].State != Up || r[0].Message == "" {
		t.Fatalf("reported %v, want up with a remark", r)
	}
	e.session = nil
	b.run(excuse - 10*time.Second)
	b.want("within the excuse")
	b.run(20 * time.Second)
	b.want("after it", Unknown)

	e.on(fast)
	b.run(5 * time.Second)
	b.want("it is back", Up)
	e.do(bfd.Stop{})
	b.run(time.Second)
	b.want("again", Up)
	e.on(fast) // for example a new version of it
	b.run(5 * time.Second)
	b.want("back at once", Up)
	if r := b.peers["bfd/10.0.0.2"].told; r.Message != "" {
		t.Errorf("it is still %+v", r)
	}
	e.do(bfd.Stop{})
	b.run(time.Second)
	b.want("once more", Up)
	b.ends[e.addr].session = bfd.New(fast, 9, func() uint32 { return 0 })
	e.hear(bfd.Packet{State: bfd.Down, Multiplier: 3, My: 9, DesiredMinTx: time.Second, RequiredMinRx: time.Second}, bfd.TTL, 2)
	b.run(10 * time.Second) // it wanted a session once, and was not heard any more
	b.want("an excuse ends with a wish to go on", Down)
}

func TestAPeerThatFailedIsDown(t *testing.T) {
	b, e := up(t)
	e.on(fast) // a crash and a restart within the detection time
	b.run(50 * ms)
	b.run(5 * time.Second)
	b.want("a restart", Down, Up)
}

func TestAPauseIsNotSilence(t *testing.T) {
	patient := fast
	patient.RequiredMinRx = 2 * time.Second // so that our pause is no silence to the peer
	for _, length := range []time.Duration{200 * ms, time.Second, 3 * time.Second} {
		b, e := up(t)
		e.do(bfd.Reconfigured{Config: patient})
		b.run(10 * time.Second)
		b.pause(length)
		if len(b.queue) < int(length/(101*ms)) {
			t.Fatalf("%d packets are queued", len(b.queue))
		}
		b.run(5 * time.Second)
		b.want(fmt.Sprintf("a pause of %v with packets queued", length))

		b.pause(length)
		b.queue = nil // as if the whole host had been suspended
		b.run(5 * time.Second)
		b.want(fmt.Sprintf("a pause of %v without a queue", length))

		b.pause(length)
		b.queue, e.session = nil, nil
		if length > 300*ms {
			b.run(200 * ms)
			b.want("one more detection time")
		}
		b.run(300 * ms)
		b.want("and no longer", Down)
	}
}

func TestMoreThanARoundReadsIsNotSilence(t *testing.T) {
	b, _ := up(t)
	b.share = 5
	noise := func() {
		for range 10000 {
			b.queue = append(b.queue, datagram{from: netip.MustParseAddr("10.0.0.2"), ttl: 3})
		}
	}
	noise()
	b.pause(time.Second) // the peer's packets are behind the noise
	for len(b.queue) > 0 {
		b.world.t += ms
		if err := b.round(); err != nil {
			t.Fatal(err)
		}
	}
	for _, r := range b.take() {
		if r.State == Down && r.Message == bfd.DetectionTimeExpired.String() {
			t.Fatalf("reported %v: the silence was a queue", r)
		}
	}
}

func TestChangesInPlace(t *testing.T) {
	b, e := up(t)
	c := tracker("10.0.0.2")
	for _, change := range []func(){
		func() { c.Interval = resource.Duration(50 * ms) },
		func() { c.Interval, c.Fall = resource.Duration(time.Second), 10 },
		func() { c.Source = netip.MustParseAddr("10.0.0.1") },
		func() { c.Device = "eth0" },
		func() { c.Interval, c.Fall = 0, 0 },
	} {
		change()
		b.configure([]resource.VRRPTracker{c, tracker("10.0.0.3")})
		b.run(10 * time.Second)
	}
	for _, r := range b.take() {
		if r.Key == "bfd/10.0.0.2" {
			t.Errorf("a change in place was reported as %v", r)
		}
	}
	if peer, _ := e.session.Peer(); e.session.State() != bfd.Up || peer.DesiredMinTx != 100*ms || peer.Multiplier != 3 {
		t.Errorf("the peer is %v and heard %+v last", e.session.State(), peer)
	}
	if b.opened != 4 || b.open1 != 2 { // two paths changed, and there is another peer
		t.Errorf("%d ways were opened, %d are open", b.opened, b.open1)
	}
}

func TestARemovedSessionSaysGoodbye(t *testing.T) {
	b, e := up(t)
	e.said = nil
	b.configure(nil)
	b.run(time.Second)
	for _, p := range e.said {
		if p.State != bfd.AdminDown || p.Diag != bfd.AdministrativelyDown {
			t.Errorf("said %+v at the end", p)
		}
	}
	if len(e.said) != 3 || b.open1 != 0 {
		t.Errorf("said goodbye %d times, %d ways are open", len(e.said), b.open1)
	}
	if peer, _ := e.session.Peer(); e.session.State() != bfd.Down || peer.State != bfd.AdminDown {
		t.Errorf("the peer is %v and heard %v", e.session.State(), peer.State)
	}
	b.want("removal")

	b.configure([]resource.VRRPTracker{tracker("10.0.0.2")})
	b.run(5 * time.Second)
	b.want("another session", Up)
	b.configure(nil)
	b.configure([]resource.VRRPTracker{tracker("10.0.0.2")}) // before the goodbye is through
	b.run(5 * time.Second)
	b.want("and another", Up)
	if len(b.leaving) != 0 || b.open1 != 1 {
		t.Errorf("%d sessions are leaving, %d ways are open", len(b.leaving), b.open1)
	}
}

func TestLeaving(t *testing.T) {
	b, e := up(t)
	e.said = nil
	start := b.world.t
	if err := b.leave(); err != nil {
		t.Fatal(err)
	}
	if len(e.said) != 3 || slices.ContainsFunc(e.said, func(p bfd.Packet) bool { return p.State != bfd.AdminDown }) {
		t.Errorf("said %+v", e.said)
	}
	if took := b.world.t - start; took > 50*ms || b.open1 != 0 {
		t.Errorf("took %v, %d ways are open", took, b.open1)
	}
}

func TestListeningIsTriedAgain(t *testing.T) {
	b := newBench(t, "10.0.0.2")
	b.end("10.0.0.2").on(fast)
	b.noEar = errors.New("address in use")
	b.configure([]resource.VRRPTracker{tracker("10.0.0.2")})
	b.run(10 * time.Second)
	if r := b.take(); len(r) != 1 || r[0].State != Unknown || r[0].Message != "address in use" {
		t.Fatalf("reported %v", r)
	}
	if b.opened > 0 {
		t.Error("a session that cannot hear speaks")
	}
	b.noEar = nil
	b.run(5 * time.Second)
	if r := b.take(); len(r) != 2 || r[1].State != Up {
		t.Errorf("reported %v, want up in the end", r)
	}
}

func TestAWayIsMadeAnew(t *testing.T) {
	b, _ := up(t)
	b.broken = fmt.Errorf("no device: %w", errStale)
	b.noWay = errors.New("find device eth0: no such device")
	b.run(2 * time.Second)
	if b.open1 != 0 {
		t.Errorf("%d ways are open", b.open1)
	}
	if r := b.take(); len(r) == 0 || r[len(r)-1].State != Down || r[len(r)-1].Message != b.noWay.Error() {
		t.Fatalf("reported %v", r)
	}
	b.broken, b.noWay = nil, nil
	b.run(5 * time.Second)
	if r := b.take(); len(r) == 0 || r[len(r)-1].State != Up {
		t.Errorf("reported %v", r)
	}

	b.broken = errors.New("network is unreachable") // the socket is good for when it is back
	opened := b.opened
	b.run(200 * ms)
	if b.broken = nil; b.opened != opened {
		t.Error("a new way was opened for an error that passes")
	}
}

func TestTargetsThatAreNone(t *testing.T) {
	b := newBench(t)
	cfgs := []resource.VRRPTracker{tracker("host"), tracker("224.0.0.18"), tracker("::"), tracker("10.0.0.2")}
	cfgs[3].Source = netip.MustParseAddr("fd00::1")
	b.configure(cfgs)
	b.want("no hosts", Unknown, Unknown, Unknown, Unknown)
	if b.opened > 0 {
		t.Error("a way to nowhere was opened")
	}
}

func TestConfigOf(t *testing.T) {
	for _, tt := range []struct {
		interval time.Duration
		fall     int
		want     bfd.Config
	}{
		{0, 0, bfd.Config{DesiredMinTx: 100 * ms, RequiredMinRx: 100 * ms, Multiplier: 3}},
		{time.Second, 5, bfd.Config{DesiredMinTx: time.Second, RequiredMinRx: time.Second, Multiplier: 5}},
		{time.Nanosecond, 1000, bfd.Config{DesiredMinTx: 10 * ms, RequiredMinRx: 10 * ms, Multiplier: 255}},
	} {
		if got := configOf(resource.VRRPTracker{Interval: resource.Duration(tt.interval), Fall: tt.fall}); got != tt.want {
			t.Errorf("configOf(%v, %d) = %+v, want %+v", tt.interval, tt.fall, got, tt.want)
		}
	}
}

func TestASuccessorGoesOn(t *testing.T) {
	b, e := up(t)
	s, ok := b.saved["bfd/10.0.0.2"]
	if !ok || len(b.saved) != 1 {
		t.Fatalf("saved %v", b.saved)
	}
	b.pause(150 * ms) // half of what the peer bears
	b.queue = nil
	b.restart([]Saved{s, {Key: "bfd/10.0.0.3", Local: 5, Peer: s.Peer}})
	b.configure([]resource.VRRPTracker{tracker("10.0.0.2")})
	b.want("at once", Up)
	b.run(10 * time.Second)
	b.want("later")
	if peer, _ := e.session.Peer(); e.session.State() != bfd.Up || peer.My != s.Local || peer.Poll {
		t.Errorf("the peer is %v and heard %+v", e.session.State(), peer)
	}
	if len(b.saved) != 1 {
		t.Errorf("saved %v, want nothing of a session that is not wanted", b.saved)
	}

	s = b.saved["bfd/10.0.0.2"]
	b.pause(time.Second) // the peer has noticed
	b.restart([]Saved{s})
	b.configure([]resource.VRRPTracker{tracker("10.0.0.2")})
	b.run(5 * time.Second)
	b.want("a successor that is late", Up, Down, Up)
	e.session = nil
	b.run(time.Second)
	b.want("silence", Down)
	if len(b.saved) != 0 {
		t.Errorf("saved %v, want nothing of a session that is down", b.saved)
	}
}
