package vrrpd_test

import (
	"syscall"
	"testing"
	"time"

	"github.com/hareconcile/hareconcile/internal/channel"
	"github.com/hareconcile/hareconcile/internal/vrrp"
	"github.com/hareconcile/hareconcile/internal/vrrpd/vrrpdtest"
	"github.com/hareconcile/hareconcile/reconcile/resource"
)

func TestMain(m *testing.M) { vrrpdtest.Main(m) }

// elected starts a and b with that interval; a, with priority 200, becomes MASTER.
func elected(t *testing.T, interval time.Duration) (a, b *vrrpdtest.Node, cut func(bool)) {
	t.Helper()
	a, b, bridge := vrrpdtest.Pair(t)
	for _, n := range []*vrrpdtest.Node{a, b} {
		n.Start()
	}
	a.Configure(200, interval, b.Addr)
	b.Configure(100, interval, a.Addr)
	a.WaitState("MASTER")
	b.WaitState("BACKUP")
	b.Eventually("the address to be off the backup", time.Second, func() bool { return !b.HasVIP() })
	if !a.HasVIP() {
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

func TestMasterThatCameBackTooLateStartsAsBackup(t *testing.T) {
	a, b, _ := elected(t, 50*time.Millisecond)
	a.Signal(syscall.SIGKILL)
	b.WaitState("MASTER")
	if !a.HasVIP() {
		t.Fatal("nothing was left to withdraw")
	}
	changes := a.WatchVIP()
	a.Start()
	a.WaitState("MASTER") // by preemption, after the withdrawal
	if first := <-changes; first.Added {
		t.Error("the address was added first, want it withdrawn first")
	}
	b.WaitState("BACKUP")
}

func TestAddressIsPutBack(t *testing.T) {
	a, _, _ := elected(t, time.Second)
	for _, by := range [][]string{
		{"addr", "del", vrrpdtest.VIP, "dev", "eth0"},
		{"addr", "change", vrrpdtest.VIP, "dev", "eth0", "valid_lft", "1000", "preferred_lft", "1000"},
	} {
		before := a.Do(channel.Request{Query: &channel.Query{}}).Repairs
		changes := a.WatchVIP()
		a.NS.Run("ip", by...)
		if (<-changes).Added == (by[1] == "del") {
			t.Fatalf("ip %v had another effect than expected", by)
		}
		start := time.Now()
		back := <-changes
		if !back.Added {
			t.Fatal("the address went once more, want it back")
		}
		if took := back.At.Sub(start); took > 100*time.Millisecond {
			t.Errorf("ip %v: repair took %v, want at most 100ms", by, took)
		}
		if got := a.Do(channel.Request{Query: &channel.Query{}}).Repairs; got != before+1 {
			t.Errorf("ip %v: repairs = %d, want %d", by, got, before+1)
		}
	}
	if i := a.Instance(); i.State != "MASTER" || len(i.Conflicts) != 0 {
		t.Errorf("instance = %+v, want MASTER without conflicts", i)
	}
}

func TestForeignAddressIsAConflictAndStays(t *testing.T) {
	a, b, _ := elected(t, 100*time.Millisecond)
	b.NS.Run("ip", "addr", "add", vrrpdtest.VIP, "dev", "eth0")
	b.Eventually("a conflict", time.Second, func() bool { return len(b.Instance().Conflicts) == 1 })
	a.Signal(syscall.SIGTERM)
	b.WaitState("MASTER")
	a.Start()
	a.WaitState("MASTER")
	b.WaitState("BACKUP")
	if !b.HasVIP() {
		t.Error("an address that somebody else added was removed")
	}
	b.NS.Run("ip", "addr", "del", vrrpdtest.VIP, "dev", "eth0")
	b.Eventually("the conflict to end", time.Second, func() bool { return len(b.Instance().Conflicts) == 0 })
}

func TestStopResignsAndWithdraws(t *testing.T) {
	const interval = 200 * time.Millisecond
	a, b, _ := elected(t, interval)
	changes := b.WatchVIP()
	start := time.Now()
	a.Signal(syscall.SIGTERM)
	if a.HasVIP() {
		t.Error("the address is still there after the stop")
	}
	gained := <-changes
	if !gained.Added {
		t.Error("the peer lost the address, want it to gain it")
	}
	if took, want := gained.At.Sub(start), vrrp.Skew(interval, 100)+50*time.Millisecond; took > want {
		t.Errorf("the peer took over after %v, want at most %v", took, want)
	}
	a.Start() // from the state: no agent has to tell it
	a.WaitState("MASTER")
}

func TestCutLinkIsAFault(t *testing.T) {
	a, b, cut := elected(t, 100*time.Millisecond)
	cut(true)
	if i := a.WaitState("FAULT"); i.Reason != "interface eth0 has no carrier" {
		t.Errorf("reason = %q", i.Reason)
	}
	b.WaitState("MASTER")
	if a.HasVIP() {
		t.Error("a router in FAULT holds the address")
	}
	cut(false)
	a.WaitState("MASTER")
	b.WaitState("BACKUP")
}

func TestChangesInPlaceMakeNoTransition(t *testing.T) {
	a, b, _ := elected(t, 100*time.Millisecond)
	r := a.Router(210, 200*time.Millisecond, b.Addr)
	r.Addresses = "10.9.0.101/24," + vrrpdtest.VIP
	s := a.Do(channel.Request{Config: &channel.Config{Instances: nil}})
	if len(s.Instances) != 0 || a.HasVIP() {
		t.Errorf("an empty configuration left %+v", s.Instances)
	}
	a.Configure(200, 100*time.Millisecond, b.Addr)
	a.WaitState("MASTER")
	before := a.Instance().Transitions
	s = a.Do(channel.Request{Config: &channel.Config{Instances: []resource.VRRPInstance{r}}})
	i := s.Instances[0]
	if i.State != "MASTER" || i.Transitions != before || len(i.Held) != 2 || i.Priority != 210 {
		t.Errorf("instance = %+v, want MASTER with two addresses and %d transitions", i, before)
	}
	r.Addresses = vrrpdtest.VIP
	s = a.Do(channel.Request{Config: &channel.Config{Instances: []resource.VRRPInstance{r}}})
	if i := s.Instances[0]; len(i.Held) != 1 || i.Transitions != before {
		t.Errorf("instance = %+v, want one address", i)
	}
}
