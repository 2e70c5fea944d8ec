package vrrpd_test

import (
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/hareconcile/hareconcile/internal/channel"
	"github.com/hareconcile/hareconcile/internal/vrrp"
	"github.com/hareconcile/hareconcile/reconcile/resource"
)

// elected starts a and b with that interval; a, with priority 200, becomes MASTER.
func elected(t *testing.T, interval time.Duration) (a, b *node, cut func(bool)) {
	t.Helper()
	a, b, bridge := pair(t)
	for _, n := range []*node{a, b} {
		n.start()
	}
	a.configure(200, interval, b)
	b.configure(100, interval, a)
	a.waitState("MASTER")
	b.waitState("BACKUP")
	b.eventually("the address to be off the backup", time.Second, func() bool { return !b.hasVIP() })
	if !a.hasVIP() {
		t.Fatal("the master has no address")
	}
	return a, b, func(down bool) {
		state := "up"
		if down {
			state = "down"
		}
		bridge.Run("ip", "link", "set", "p0", state)
	}
}

func TestKilledMasterComesBackUnnoticed(t *testing.T) {
	a, b, _ := elected(t, 200*time.Millisecond)
	changes := a.watchVIP()
	before, peer := a.instance(), b.instance()
	tick := time.NewTicker(70 * time.Millisecond)
	defer tick.Stop()
	for range 10 {
		a.signal(unix.SIGKILL)
		<-tick.C
		a.start()
		i := a.waitState("MASTER")
		if i.Transitions != before.Transitions {
			t.Errorf("transitions = %d after the restart, want %d (%s)", i.Transitions, before.Transitions, i.Reason)
		}
	}
	if got := b.instance(); got.Transitions != peer.Transitions {
		t.Errorf("the peer made %d transitions, want none", got.Transitions-peer.Transitions)
	}
	select {
	case added := <-changes:
		t.Errorf("the address changed (added: %v), want it untouched", added)
	default:
	}
}

func TestMasterThatCameBackTooLateStartsAsBackup(t *testing.T) {
	a, b, _ := elected(t, 50*time.Millisecond)
	a.signal(unix.SIGKILL)
	b.waitState("MASTER")
	if !a.hasVIP() {
		t.Fatal("nothing was left to withdraw")
	}
	changes := a.watchVIP()
	a.start()
	a.waitState("MASTER") // by preemption, after the withdrawal
	if first := <-changes; first {
		t.Error("the address was added first, want it withdrawn first")
	}
	b.waitState("BACKUP")
}

func TestStoppedBackupDoesNotPromoteItself(t *testing.T) {
	const interval = 100 * time.Millisecond
	_, b, _ := elected(t, interval)
	before := b.instance().Transitions
	pause := time.NewTicker(vrrp.DownInterval(interval, 100) + 60*time.Millisecond)
	defer pause.Stop()
	for range 20 {
		b.signal(unix.SIGSTOP)
		<-pause.C
		b.signal(unix.SIGCONT)
		if i := b.instance(); i.State != "BACKUP" {
			t.Errorf("state after the pause = %s (%s), want BACKUP", i.State, i.Reason)
		}
	}
	if got := b.instance().Transitions; got != before {
		t.Errorf("%d transitions in 20 pauses, want none", got-before)
	}
	if s := b.do(channel.Request{Query: &channel.Query{}}); s.Pauses == 0 {
		t.Error("no pause was counted")
	}
}

func TestAddressIsPutBack(t *testing.T) {
	a, _, _ := elected(t, time.Second)
	for _, by := range [][]string{
		{"addr", "del", vip, "dev", "eth0"},
		{"addr", "change", vip, "dev", "eth0", "valid_lft", "1000", "preferred_lft", "1000"},
	} {
		before := a.do(channel.Request{Query: &channel.Query{}}).Repairs
		changes := a.watchVIP()
		a.ns.Run("ip", by...)
		if <-changes == (by[1] == "del") {
			t.Fatalf("ip %v had another effect than expected", by)
		}
		start := time.Now()
		if !<-changes {
			t.Fatal("the address went once more, want it back")
		}
		if took := time.Since(start); took > 100*time.Millisecond {
			t.Errorf("ip %v: repair took %v, want at most 100ms", by, took)
		}
		if got := a.do(channel.Request{Query: &channel.Query{}}).Repairs; got != before+1 {
			t.Errorf("ip %v: repairs = %d, want %d", by, got, before+1)
		}
	}
	if i := a.instance(); i.State != "MASTER" || len(i.Conflicts) != 0 {
		t.Errorf("instance = %+v, want MASTER without conflicts", i)
	}
}

func TestForeignAddressIsAConflictAndStays(t *testing.T) {
	a, b, _ := elected(t, 100*time.Millisecond)
	b.ns.Run("ip", "addr", "add", vip, "dev", "eth0")
	b.eventually("a conflict", time.Second, func() bool { return len(b.instance().Conflicts) == 1 })
	a.signal(unix.SIGTERM)
	b.waitState("MASTER")
	a.start()
	a.waitState("MASTER")
	b.waitState("BACKUP")
	if !b.hasVIP() {
		t.Error("an address that somebody else added was removed")
	}
	b.ns.Run("ip", "addr", "del", vip, "dev", "eth0")
	b.eventually("the conflict to end", time.Second, func() bool { return len(b.instance().Conflicts) == 0 })
}

func TestStopResignsAndWithdraws(t *testing.T) {
	const interval = 200 * time.Millisecond
	a, b, _ := elected(t, interval)
	changes := b.watchVIP()
	start := time.Now()
	a.signal(unix.SIGTERM)
	if a.hasVIP() {
		t.Error("the address is still there after the stop")
	}
	if !<-changes {
		t.Error("the peer lost the address, want it to gain it")
	}
	if took, want := time.Since(start), vrrp.Skew(interval, 100)+50*time.Millisecond; took > want {
		t.Errorf("the peer took over after %v, want at most %v", took, want)
	}
	a.start() // from the state: no agent has to tell it
	a.waitState("MASTER")
}

func TestCutLinkIsAFault(t *testing.T) {
	a, b, cut := elected(t, 100*time.Millisecond)
	cut(true)
	if i := a.waitState("FAULT"); i.Reason != "interface eth0 has no carrier" {
		t.Errorf("reason = %q", i.Reason)
	}
	b.waitState("MASTER")
	if a.hasVIP() {
		t.Error("a router in FAULT holds the address")
	}
	cut(false)
	a.waitState("MASTER")
	b.waitState("BACKUP")
}

func TestChangesInPlaceMakeNoTransition(t *testing.T) {
	a, b, _ := elected(t, 100*time.Millisecond)
	r := a.router(210, 200*time.Millisecond, b)
	r.Addresses = "10.9.0.101/24," + vip
	s := a.do(channel.Request{Config: &channel.Config{Instances: nil}})
	if len(s.Instances) != 0 || a.hasVIP() {
		t.Errorf("an empty configuration left %+v", s.Instances)
	}
	a.configure(200, 100*time.Millisecond, b)
	a.waitState("MASTER")
	before := a.instance().Transitions
	s = a.do(channel.Request{Config: &channel.Config{Instances: []resource.VRRPInstance{r}}})
	i := s.Instances[0]
	if i.State != "MASTER" || i.Transitions != before || len(i.Held) != 2 || i.Priority != 210 {
		t.Errorf("instance = %+v, want MASTER with two addresses and %d transitions", i, before)
	}
	r.Addresses = vip
	s = a.do(channel.Request{Config: &channel.Config{Instances: []resource.VRRPInstance{r}}})
	if i := s.Instances[0]; len(i.Held) != 1 || i.Transitions != before {
		t.Errorf("instance = %+v, want one address", i)
	}
}
