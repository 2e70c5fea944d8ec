package bfdd_test

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/hareconcile/hareconcile/internal/bfdd"
	"github.com/hareconcile/hareconcile/internal/nstest"
	"github.com/hareconcile/hareconcile/reconcile/resource"
)

// An frr is FRR's bfdd, with the zebra that it needs and files of its own.
type frr struct {
	t    *testing.T
	ns   *nstest.NS
	dir  string
	bfdd *exec.Cmd
}

// newFRR runs FRR in a namespace; peers is what its configuration says of them.
func newFRR(t *testing.T, ns *nstest.NS, peers string) *frr {
	t.Helper()
	nstest.Need(t, "zebra", "bfdd", "vtysh")
	dir, err := os.MkdirTemp("", "bfdd") // its user may not enter t.TempDir
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	f := &frr{t: t, ns: ns, dir: dir}
	who, err := user.Lookup("frr")
	if err != nil {
		t.Fatal(err)
	}
	uid, _ := strconv.Atoi(who.Uid)
	gid, _ := strconv.Atoi(who.Gid)
	for name, text := range map[string]string{"zebra.conf": "", "bfdd.conf": "bfd\n" + peers + "!\n"} {
		if err := os.WriteFile(f.path(name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"", "zebra.conf", "bfdd.conf"} {
		if err := os.Chown(f.path(name), uid, gid); err != nil {
			t.Fatal(err)
		}
	}
	zebra := f.run("zebra")
	t.Cleanup(func() {
		_ = zebra.Process.Kill()
		_ = zebra.Wait()
	})
	f.eventually("zebra", func() bool {
		_, err := os.Stat(f.path("zserv"))
		return err == nil
	})
	f.start()
	t.Cleanup(f.kill)
	return f
}

func (f *frr) path(name string) string { return filepath.Join(f.dir, name) }

func (f *frr) run(name string, more ...string) *exec.Cmd {
	f.t.Helper()
	cmd := f.ns.Cmd(name, append([]string{
		"-f", f.path(name + ".conf"), "-i", f.path(name + ".pid"), "-z", f.path("zserv"),
		"--vty_socket", f.dir, "-P", "0", "--log", "stdout",
	}, more...)...)
	cmd.Stdout, cmd.Stderr = f.t.Output(), f.t.Output()
	if err := cmd.Start(); err != nil {
		f.t.Fatal(err)
	}
	return cmd
}

func (f *frr) start() {
	f.t.Helper()
	_ = os.Remove(f.path("bfdd.pid"))
	f.bfdd = f.run("bfdd", "--bfdctl", f.path("bfdd.sock"))
}

// kill ends bfdd without a word.
func (f *frr) kill() {
	if f.bfdd != nil {
		_ = f.bfdd.Process.Signal(syscall.SIGKILL)
		_ = f.bfdd.Wait()
		f.bfdd = nil
	}
}

func (f *frr) eventually(what string, ok func() bool) {
	f.t.Helper()
	limit := time.After(20 * time.Second)
	tick := time.NewTicker(20 * ms)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-limit:
			f.t.Fatalf("waited in vain for %s", what)
		}
	}
}

// A frrPeer is what FRR says of a session.
type frrPeer struct {
	Peer       string `json:"peer"`
	Status     string `json:"status"`
	Diagnostic string `json:"diagnostic"`
	Remote     string `json:"remote-diagnostic"`
	Multiplier int    `json:"remote-detect-multiplier"`
	Transmit   int    `json:"remote-transmit-interval"`
	Receive    int    `json:"remote-receive-interval"`
	Downs      int    `json:"session-down"` // of the counters alone
}

// peer asks FRR for its session with one address; the command is "show bfd peers json" or
// its like.
func (f *frr) peer(command, address string) frrPeer {
	out, err := f.vtysh(command)
	var all []frrPeer
	if err == nil && json.Unmarshal(out, &all) == nil {
		for _, p := range all {
			if p.Peer == address {
				return p
			}
		}
	}
	return frrPeer{} // not yet
}

// failures is how often FRR saw its session with one address fail.
func (f *frr) failures(address string) int {
	f.t.Helper()
	p := f.peer("show bfd peers counters json", address)
	if p.Peer != address {
		f.t.Fatalf("FRR has no counters of %s", address)
	}
	return p.Downs
}

func (f *frr) vtysh(commands ...string) ([]byte, error) {
	args := []string{"--vty_socket", f.dir, "-d", "bfdd"}
	for _, c := range commands {
		args = append(args, "-c", c)
	}
	return exec.CommandContext(f.t.Context(), "vtysh", args...).Output()
}

// wait waits until FRR says so of its session.
func (f *frr) wait(address, what string, ok func(frrPeer) bool) frrPeer {
	f.t.Helper()
	var p frrPeer
	f.eventually("FRR: "+what, func() bool {
		p = f.peer("show bfd peers json", address)
		return p.Peer == address && ok(p)
	})
	return p
}

func isUp(p frrPeer) bool   { return p.Status == "up" }
func isDown(p frrPeer) bool { return p.Status == "down" }

// frrPeerConf is a session of FRR's on eth0.
func frrPeerConf(peer, local string, receive, transmit int) string {
	return fmt.Sprintf(" peer %s local-address %s interface eth0\n  detect-multiplier 3\n  receive-interval %d\n  transmit-interval %d\n  no shutdown\n !\n", peer, local, receive, transmit)
}

// meet brings a session up between host 1, which is ours, and FRR on host 2.
func meet(t *testing.T, from, to string) (d *daemon, f *frr, c resource.VRRPTracker, bridge *nstest.NS) {
	t.Helper()
	hosts, bridge := segment(t, 2)
	f = newFRR(t, hosts[1], frrPeerConf(from, to, 100, 100))
	d = run(t, hosts[0])
	c = tracker(to, "eth0")
	c.Source = netip.MustParseAddr(from)
	d.Set([]resource.VRRPTracker{c})
	d.wait(c.Key(), bfdd.Up)
	p := f.wait(from, "up at our pace", func(p frrPeer) bool { return isUp(p) && p.Transmit == 100 })
	if p.Receive != 100 || p.Multiplier != 3 {
		t.Errorf("FRR heard %+v, want 100ms x 3", p)
	}
	return d, f, c, bridge
}

func TestFRR(t *testing.T) {
	for _, family := range []struct{ name, us, them string }{
		{"IPv4", "10.9.0.1", "10.9.0.2"}, {"IPv6", "fd09::1", "fd09::2"}, {"link-local", "fe80::1", "fe80::2"},
	} {
		t.Run(family.name, func(t *testing.T) {
			d, f, c, bridge := meet(t, family.us, family.them)
			key := c.Key()

			bridge.Run("ip", "link", "set", "p1", "down")
			detected(t, "FRR's cable", d.wait(key, bfdd.Down))
			f.wait(family.us, "down", isDown)
			bridge.Run("ip", "link", "set", "p1", "up")
			d.wait(key, bfdd.Up)
			f.wait(family.us, "up", isUp)

			bridge.Run("ip", "link", "set", "p0", "down")
			f.wait(family.us, "down by silence", func(p frrPeer) bool {
				return isDown(p) && strings.Contains(p.Diagnostic, "detection time expired")
			})
			d.wait(key, bfdd.Down)
			bridge.Run("ip", "link", "set", "p0", "up")
			d.wait(key, bfdd.Up)
			f.wait(family.us, "up", isUp)

			if f.failures(family.us) == 0 {
				t.Error("FRR counts no failures; other tests rely on it")
			}

			f.kill()
			detected(t, "kill -9 of FRR's bfdd", d.wait(key, bfdd.Down))
			f.start()
			d.wait(key, bfdd.Up)
			f.wait(family.us, "up", isUp)
		})
	}
}

// TestFRRSeesNoFailureOfOurs: changes in place, and an end on purpose.
func TestFRRSeesNoFailureOfOurs(t *testing.T) {
	d, f, c, _ := meet(t, "10.9.0.1", "10.9.0.2")
	for _, interval := range []time.Duration{300 * ms, 50 * ms, time.Second, 100 * ms} {
		c.Interval, c.Fall = resource.Duration(interval), 5
		d.Set([]resource.VRRPTracker{c})
		f.wait("10.9.0.1", interval.String(), func(p frrPeer) bool {
			return isUp(p) && p.Transmit == int(interval.Milliseconds()) && p.Multiplier == 5
		})
	}
	if n := f.failures("10.9.0.1"); n != 0 {
		t.Errorf("FRR counts %d failures after changes in place", n)
	}
	if got := d.of(c.Key()); len(got) != 1 {
		t.Errorf("changes in place were reported as %v", got)
	}
	d.Set(nil)
	f.wait("10.9.0.1", "an end on purpose", func(p frrPeer) bool {
		return isDown(p) && strings.Contains(p.Remote, "administratively down")
	})
	d.Set([]resource.VRRPTracker{c})
	d.wait(c.Key(), bfdd.Up)
	f.wait("10.9.0.1", "up", isUp)
	d.stop()
	f.wait("10.9.0.1", "an end on purpose", func(p frrPeer) bool {
		return isDown(p) && strings.Contains(p.Remote, "administratively down")
	})
}

// TestFRRIsShutDown: FRR's end on purpose is no failure to us.
func TestFRRIsShutDown(t *testing.T) {
	d, f, c, _ := meet(t, "10.9.0.1", "10.9.0.2")
	peer := "peer 10.9.0.1 local-address 10.9.0.2 interface eth0"
	if out, err := f.vtysh("configure terminal", "bfd", peer, "shutdown"); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	waitMessage(t, d.ledger, c.Key(), "the peer took the session down on purpose")
	if out, err := f.vtysh("configure terminal", "bfd", peer, "no shutdown"); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	waitMessage(t, d.ledger, c.Key(), "")
	for _, r := range d.of(c.Key()) {
		if r.State != bfdd.Up {
			t.Errorf("reported %v", r)
		}
	}
}

// TestAPauseOfOursIsNoFailure stops our process for longer than the detection time. FRR
// can wait: it takes a packet every two seconds.
func TestAPauseOfOursIsNoFailure(t *testing.T) {
	hosts, _ := segment(t, 2)
	f := newFRR(t, hosts[1], frrPeerConf("10.9.0.1", "10.9.0.2", 2000, 100))
	c := tracker("10.9.0.2", "")
	l, process := fork(t, hosts[0], order{Tracker: c})
	l.wait(c.Key(), bfdd.Up)
	f.wait("10.9.0.1", "up", isUp)
	for range 3 {
		if err := process.Signal(syscall.SIGSTOP); err != nil {
			t.Fatal(err)
		}
		elapse(time.Second)
		if err := process.Signal(syscall.SIGCONT); err != nil {
			t.Fatal(err)
		}
		elapse(400 * ms)
	}
	if got := l.of(c.Key()); len(got) != 1 {
		t.Errorf("three pauses of a second were reported as %v", got)
	}
	if n := f.failures("10.9.0.1"); n != 0 {
		t.Errorf("FRR counts %d failures, so that this is no test of ours", n)
	}
	f.kill()
	detected(t, "kill -9 after the pauses", l.wait(c.Key(), bfdd.Down))
}

// TestFRRSeesNothingOfARestart kills our process; its successor goes on.
func TestFRRSeesNothingOfARestart(t *testing.T) {
	hosts, _ := segment(t, 2)
	f := newFRR(t, hosts[1], frrPeerConf("10.9.0.1", "10.9.0.2", 100, 100))
	c := tracker("10.9.0.2", "")
	c.Fall = 10 // a second for a new process to start
	l, process := fork(t, hosts[0], order{Tracker: c})
	l.wait(c.Key(), bfdd.Up)
	f.wait("10.9.0.1", "up at our pace", func(p frrPeer) bool { return isUp(p) && p.Transmit == 100 })
	for range 5 {
		if err := process.Kill(); err != nil {
			t.Fatal(err)
		}
		l.mu.Lock()
		saved := l.last
		l.mu.Unlock()
		if len(saved) != 1 {
			t.Fatalf("saved %v, want one session", saved)
		}
		l, process = fork(t, hosts[0], order{Tracker: c, Resume: saved})
		l.wait(c.Key(), bfdd.Up)
		elapse(1500 * ms)
		if got := l.of(c.Key()); len(got) != 1 {
			t.Errorf("a restart was reported as %v", got)
		}
	}
	if n := f.failures("10.9.0.1"); n != 0 {
		t.Errorf("FRR counts %d failures", n)
	}
}

// elapse lets time pass for another process.
func elapse(d time.Duration) { <-time.After(d) }
