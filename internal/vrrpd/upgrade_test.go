package vrrpd_test

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/hareconcile/hareconcile/internal/channel"
	"github.com/hareconcile/hareconcile/internal/nstest"
	"github.com/hareconcile/hareconcile/internal/vrrpd/vrrpdtest"
	"github.com/hareconcile/hareconcile/reconcile/resource"
)

// upgradable is elected with programs on disk that a test can replace.
func upgradable(t *testing.T, interval time.Duration) (a, b *vrrpdtest.Node) {
	t.Helper()
	a, b, _ = vrrpdtest.Pair(t)
	for _, n := range []*vrrpdtest.Node{a, b} {
		n.Program = filepath.Join(t.TempDir(), "vrrpd")
		install(t, n, "")
		n.Start()
	}
	a.Configure(200, interval, b.Addr)
	b.Configure(100, interval, a.Addr)
	a.WaitState("MASTER")
	b.WaitState("BACKUP")
	return a, b
}

// install puts a program on a's disk: a script, or this program.
func install(t *testing.T, a *vrrpdtest.Node, script string) {
	t.Helper()
	next := a.Program + ".new"
	exe, err := os.Executable()
	switch {
	case err != nil:
	case script == "":
		err = os.Symlink(exe, next)
	default:
		err = os.WriteFile(next, []byte(script), 0o755)
	}
	if err == nil {
		err = os.Rename(next, a.Program)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// quiet returns a check that nothing moved since: neither node, nor the address.
func quiet(t *testing.T, a, b *vrrpdtest.Node) func(what string) {
	t.Helper()
	nodes := []*vrrpdtest.Node{a, b}
	changes := a.WatchVIP()
	var before []uint64
	for _, n := range nodes {
		before = append(before, n.Instance().Transitions)
	}
	pid := a.PID()
	return func(what string) {
		t.Helper()
		for i, n := range nodes {
			if now := n.Instance(); now.Transitions != before[i] {
				t.Errorf("%s: %s made %d transitions (%s), want none", what, n.Addr, now.Transitions-before[i], now.Reason)
			}
		}
		select {
		case c := <-changes:
			t.Errorf("%s: the address changed (added: %v), want it untouched", what, c.Added)
		default:
		}
		if a.PID() != pid {
			t.Errorf("%s: process %d, want %d", what, a.PID(), pid)
		}
	}
}

func TestUpgradeIsNotNoticed(t *testing.T) {
	a, b := upgradable(t, 100*time.Millisecond)
	check := quiet(t, a, b)
	n := nstest.Trials(5, 50)
	for i := range n {
		if i%2 == 0 {
			a.UpgradeBySignal()
			b.UpgradeBySignal()
		} else if s, err := a.UpgradeOver(); err != nil {
			t.Fatal(err)
		} else if s.Upgrades != uint64(i+1) || s.Instances[0].State != "MASTER" {
			t.Errorf("status after %d upgrades = %+v", i+1, s)
		}
	}
	pause := time.NewTimer(time.Second) // for a peer that noticed
	<-pause.C
	check("upgrade")
	gaps := append(a.Gaps(), b.Gaps()...)
	slices.Sort(gaps)
	t.Logf("%d upgrades; nobody looked after the routers for %v (median), %v (most)", len(gaps), gaps[len(gaps)/2], gaps[len(gaps)-1])
	if most := gaps[len(gaps)-1]; most > 200*time.Millisecond {
		t.Errorf("an upgrade took %v", most)
	}
	b.Do(channel.Request{Resign: &channel.Resign{}}) // the loop still hears
	if i := a.Instance(); i.Adverts["received"] > 0 {
		t.Errorf("adverts = %v, want none from a backup", i.Adverts)
	}
}

// TestUpgradeKeepsEverything has one virtual router of each sort.
func TestUpgradeKeepsEverything(t *testing.T) {
	a, b := upgradable(t, 100*time.Millisecond)
	for n, peer := range map[*vrrpdtest.Node]*vrrpdtest.Node{a: b, b: a} {
		priority := uint8(200)
		if n == b {
			priority = 100
		}
		n.Secret("key", "a key of more than sixteen bytes")
		base := n.Router(priority, 100*time.Millisecond, peer.Addr)
		mac, ipv6, signed, old := base, base, base, base
		mac.VirtualMAC = true
		ipv6.VRID, ipv6.Family, ipv6.Source, ipv6.Peers, ipv6.OpenPeers = 8, resource.IPv6, netip.Addr{}, "", true
		ipv6.Addresses, ipv6.Group = "fe80::100/64,2001:db8::100/64", "both"
		signed.VRID, signed.Unicast, signed.Group, signed.Addresses = 9, true, "both", "10.9.0.109/24"
		signed.Auth, signed.AuthKeys, signed.AuthActive = resource.AuthEnforce, "1=key", 1
		signed.Routes = "10.99.0.0/24 via 10.9.0.77 dev eth0"
		old.VRID, old.Version, old.Interval, old.Addresses = 10, 2, resource.Duration(time.Second), "10.9.0.110/24"
		n.Apply(mac, old, ipv6, signed)
	}
	all := func(n *vrrpdtest.Node, state string) bool {
		for _, i := range n.Status().Instances {
			if i.State != state {
				return false
			}
		}
		return len(n.Status().Instances) == 4
	}
	a.Eventually("all routers to be MASTER", 20*time.Second, func() bool { return all(a, "MASTER") })
	b.Eventually("all routers to be BACKUP", 20*time.Second, func() bool { return all(b, "BACKUP") })
	transitions := func() (sum []uint64) {
		for _, n := range []*vrrpdtest.Node{a, b} {
			for _, i := range n.Status().Instances {
				sum = append(sum, i.Transitions)
			}
		}
		return sum
	}
	check, before := quiet(t, a, b), transitions()
	held := a.NS.Run("ip", "-o", "addr") + a.NS.Run("ip", "route")
	for range 3 {
		a.UpgradeBySignal()
		b.UpgradeBySignal()
	}
	pause := time.NewTimer(500 * time.Millisecond)
	<-pause.C
	check("upgrade")
	if after := transitions(); !slices.Equal(after, before) || !all(a, "MASTER") || !all(b, "BACKUP") {
		t.Errorf("transitions = %v, want %v as before", after, before)
	}
	if now := a.NS.Run("ip", "-o", "addr") + a.NS.Run("ip", "route"); now != held {
		t.Errorf("the host has\n%swant\n%s", now, held)
	}
}

func TestUpgradeToABrokenProgramIsRefused(t *testing.T) {
	a, b := upgradable(t, 100*time.Millisecond)
	check := quiet(t, a, b)
	for _, tt := range []struct{ name, script, want string }{
		{"one that fails", "#!/bin/sh\necho cannot do that >&2; exit 1", "exit status 1: cannot do that"},
		{"one that is for another machine", "\x7fELF\x02\x01\x01\x00", "exec format error"},
		{"one that goes away after its trial", "#!/bin/sh\nexec rm \"$0\"", "no such file"},
		{"none", "", ""},
	} {
		if tt.script == "" {
			if err := os.RemoveAll(a.Program); err != nil {
				t.Fatal(err)
			}
			tt.want = "no such file"
		} else {
			install(t, a, tt.script)
		}
		if _, err := a.UpgradeOver(); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want an error with %q", tt.name, err, tt.want)
		}
		check(tt.name)
	}
	install(t, a, "")
	if _, err := a.UpgradeOver(); err != nil {
		t.Errorf("upgrade after all that: %v", err)
	}
	check("a good one")
}

// TestStopDuringAnUpgradeResigns stops a MASTER at many phases of an upgrade.
func TestStopDuringAnUpgradeResigns(t *testing.T) {
	a, b := upgradable(t, 100*time.Millisecond)
	for i := range nstest.Trials(4, 40) {
		phase := time.NewTimer(time.Duration(1+7*i%40) * time.Millisecond)
		a.Signal(syscall.SIGUSR2)
		<-phase.C
		a.Signal(syscall.SIGUSR1)
		if a.HasVIP() {
			t.Errorf("stop %d: the address is still there", i)
		}
		b.WaitState("MASTER")
		a.Start()
		a.WaitState("MASTER")
		b.WaitState("BACKUP")
	}
	a.UpgradeBySignal()
	a.Signal(syscall.SIGTERM)
	if a.HasVIP() {
		t.Error("the address is still there after SIGTERM")
	}
}

func TestRealtime(t *testing.T) {
	a, b := upgradable(t, 100*time.Millisecond)
	check := quiet(t, a, b)
	realtime := func(on bool) {
		t.Helper()
		r := a.Router(200, 100*time.Millisecond, b.Addr)
		r.Realtime = on
		a.Do(channel.Request{Config: &channel.Config{Instances: []resource.VRRPInstance{r}}})
		want := map[bool]string{true: "2", false: "0"}[on] // SCHED_RR, SCHED_OTHER
		a.Eventually(fmt.Sprintf("realtime %v", on), 10*time.Second, func() bool {
			policies, locked := a.Scheduling()
			return a.Do(channel.Request{Query: &channel.Query{}}).Realtime == on && len(policies) == 1 && policies[want] > 1 && locked == on
		})
		check(fmt.Sprintf("realtime %v", on))
	}
	realtime(true)
	a.UpgradeBySignal()
	if policies, locked := a.Scheduling(); len(policies) != 1 || policies["2"] == 0 || !locked {
		t.Errorf("after an upgrade threads have the policies %v, memory locked: %v", policies, locked)
	}
	if i := a.Instance(); len(i.Alerts) != 0 {
		t.Errorf("alerts = %q", i.Alerts)
	}
	realtime(false)
}

// TestRealtimeThatIsRefused runs vrrpd with no right to it.
func TestRealtimeThatIsRefused(t *testing.T) {
	nstest.Need(t, "root", "setpriv", "prlimit")
	a, b, _ := vrrpdtest.Pair(t)
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	a.Program = filepath.Join(t.TempDir(), "vrrpd")
	install(t, a, "#!/bin/sh\nexec prlimit --rtprio=0 setpriv --bounding-set=-all,+net_admin,+net_raw --no-new-privs "+exe+" \"$@\"\n")
	a.Start()
	a.Configure(200, 100*time.Millisecond, b.Addr)
	a.WaitState("MASTER")
	check := quiet(t, a, a)
	r := a.Router(200, 100*time.Millisecond, b.Addr)
	r.Realtime = true
	a.Do(channel.Request{Config: &channel.Config{Instances: []resource.VRRPInstance{r}}})
	a.Eventually("an alert", 10*time.Second, func() bool {
		alerts := a.Instance().Alerts
		return len(alerts) == 1 && alerts[0] == "no realtime: set scheduling policy: operation not permitted"
	})
	if s := a.Do(channel.Request{Query: &channel.Query{}}); s.Realtime {
		t.Error("status says that it is realtime")
	}
	a.UpgradeBySignal() // with no more rights than that
	check("refusal")
	r.Realtime = false
	a.Do(channel.Request{Config: &channel.Config{Instances: []resource.VRRPInstance{r}}})
	if alerts := a.Instance().Alerts; len(alerts) != 0 {
		t.Errorf("alerts = %q of what nobody asks for", alerts)
	}
}
