// Package vrrpdtest runs real vrrpds in network namespaces, for tests.
package vrrpdtest

import (
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"

	"github.com/hareconcile/hareconcile/internal/channel"
	"github.com/hareconcile/hareconcile/internal/nstest"
	"github.com/hareconcile/hareconcile/internal/vrrpd"
	"github.com/hareconcile/hareconcile/internal/vrrpd/successor"
	"github.com/hareconcile/hareconcile/reconcile/resource"
)

// childEnv makes the test binary be vrrpd, with its things in that folder.
const childEnv = "HARECONCILE_TEST_VRRPD"

// Main runs the tests, or vrrpd if Start has started this program. TestMain calls it.
func Main(m *testing.M) {
	Child()
	os.Exit(m.Run())
}

// Child runs vrrpd and does not return if Start has started this program. It is for a
// TestMain that has more to do than Main does.
func Child() {
	dir := os.Getenv(childEnv)
	if dir == "" {
		return
	}
	if len(os.Args) > 1 && os.Args[1] == successor.TryFlag {
		if err := vrrpd.Try(os.Stdin); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGUSR1)
	upgrade := make(chan os.Signal, 1)
	signal.Notify(upgrade, syscall.SIGUSR2)
	o := (&Node{dir: dir}).Files(slog.NewTextHandler(os.Stderr, nil))
	o.Upgrade = upgrade
	err := vrrpd.Run(ctx, o)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// VIP is the virtual address.
const VIP = "10.9.0.100/24"

// A Node is a host with a vrrpd on its eth0.
type Node struct {
	t    testing.TB
	NS   *nstest.NS
	Addr string
	// Program is the hareconcile-vrrpd that Start runs; "" is the test's own binary, with
	// whatever detectors it was built with.
	Program string
	dir     string
	cmd     *exec.Cmd
	log     *os.File
}

// Pair returns two nodes on a bridge, whose port p0 is a's.
func Pair(t testing.TB) (a, b *Node, bridge *nstest.NS) {
	t.Helper()
	nstest.Need(t, "root", "netns", "nsenter", "ip")
	a, b = NewNode(t, "10.9.0.1"), NewNode(t, "10.9.0.2")
	bridge = nstest.Bridge(t,
		nstest.Host{NS: a.NS, Device: "eth0", Addresses: []string{a.Addr + "/24"}},
		nstest.Host{NS: b.NS, Device: "eth0", Addresses: []string{b.Addr + "/24"}},
	)
	return a, b, bridge
}

// NewNode makes a host without links and without vrrpd.
func NewNode(t testing.TB, addr string) *Node {
	t.Helper()
	n := &Node{t: t, NS: nstest.New(t), Addr: addr, dir: t.TempDir()}
	log, err := os.Create(filepath.Join(n.dir, "log"))
	if err != nil {
		t.Fatal(err)
	}
	n.log = log
	t.Cleanup(func() {
		if n.cmd != nil {
			n.Signal(syscall.SIGKILL)
		}
		_ = log.Close()
		if b, err := os.ReadFile(log.Name()); err == nil && t.Failed() {
			t.Logf("log of %s:\n%s", addr, b)
		}
	})
	return n
}

// Start runs vrrpd, which goes on with what its predecessor left.
func (n *Node) Start() {
	n.t.Helper()
	exe, err := os.Executable()
	if err != nil {
		n.t.Fatal(err)
	}
	n.cmd = n.NS.Cmd(exe)
	if n.Program != "" {
		in := func(name string) string { return filepath.Join(n.dir, name) }
		n.cmd = n.NS.Cmd(n.Program, "-socket", in("sock"), "-state", in("state"), "-lock", in("lock"))
	}
	n.cmd.Env = append(os.Environ(), childEnv+"="+n.dir, credentials+"="+filepath.Join(n.dir, "secrets"), "GORACE=atexit_sleep_ms=0")
	n.cmd.Stdout, n.cmd.Stderr = n.log, n.log
	if err := n.cmd.Start(); err != nil {
		n.t.Fatal(err)
	}
}

// PID is the process id of the vrrpd that runs.
func (n *Node) PID() int { return n.cmd.Process.Pid }

// Signal sends s; after a deadly one it waits for the end.
func (n *Node) Signal(s syscall.Signal) {
	n.t.Helper()
	if err := n.cmd.Process.Signal(s); err != nil {
		n.t.Fatalf("signal %s: %v", n.Addr, err)
	}
	if s == syscall.SIGKILL || s == syscall.SIGTERM || s == syscall.SIGUSR1 {
		_ = n.cmd.Wait()
		n.cmd = nil
	}
}

// Do sends one request, and waits for vrrpd to start if it has to.
func (n *Node) Do(r channel.Request) *channel.Status {
	n.t.Helper()
	var resp channel.Response
	n.Eventually("vrrpd to answer", 5*time.Second, func() bool {
		c, err := channel.Dial(n.t.Context(), filepath.Join(n.dir, "sock"))
		if err != nil {
			return false
		}
		defer c.Close()
		resp, err = c.Do(n.t.Context(), r)
		if err != nil {
			n.t.Logf("request: %v", err)
		}
		return err == nil
	})
	return resp.Status
}

// Instance is the first virtual router now.
func (n *Node) Instance() channel.InstanceStatus {
	n.t.Helper()
	return n.Do(channel.Request{Query: &channel.Query{}}).Instances[0]
}

// Configure runs one virtual router, whose peer has that address.
func (n *Node) Configure(priority uint8, interval time.Duration, peer string) {
	n.t.Helper()
	n.Do(channel.Request{Config: &channel.Config{Instances: []resource.VRRPInstance{n.Router(priority, interval, peer)}}})
}

// Router is what Configure runs.
func (n *Node) Router(priority uint8, interval time.Duration, peer string) resource.VRRPInstance {
	return resource.VRRPInstance{
		Interface: "eth0", VRID: 7, Version: 3, Priority: priority, Interval: resource.Duration(interval),
		Preempt: true, Addresses: VIP, Source: netip.MustParseAddr(n.Addr), Peers: resource.List(peer),
	}
}

// WaitState waits until the first virtual router is in that state.
func (n *Node) WaitState(state string) channel.InstanceStatus {
	n.t.Helper()
	var i channel.InstanceStatus
	n.Eventually(state, 10*time.Second, func() bool {
		i = n.Instance()
		return i.State == state
	})
	return i
}

// Eventually polls until ok; it is for what happens in other processes.
func (n *Node) Eventually(what string, within time.Duration, ok func() bool) time.Duration {
	n.t.Helper()
	start := time.Now()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		if time.Since(start) > within {
			n.t.Fatalf("%s: waited %v for %s", n.Addr, within, what)
		}
		<-tick.C
	}
	return time.Since(start)
}

// HasVIP reports whether the kernel has the address.
func (n *Node) HasVIP() bool {
	n.t.Helper()
	found := false
	n.NS.Do(func() {
		l, err := netlink.LinkByName("eth0")
		if err != nil {
			n.t.Fatal(err)
		}
		as, err := netlink.AddrList(l, netlink.FAMILY_V4)
		if err != nil {
			n.t.Fatal(err)
		}
		for _, a := range as {
			found = found || a.IPNet.String() == VIP
		}
	})
	return found
}

// A Change is what the kernel did to the address.
type Change struct {
	Added bool // or removed
	At    time.Time
}

// WatchVIP returns a channel that gets every change of the address from now on. Nobody
// closes it; it has room for all that a test can cause.
func (n *Node) WatchVIP() <-chan Change {
	n.t.Helper()
	h, err := netns.GetFromPath(n.NS.Path())
	if err != nil {
		n.t.Fatal(err)
	}
	updates, done := make(chan netlink.AddrUpdate, 64), make(chan struct{})
	if err := netlink.AddrSubscribeAt(h, updates, done); err != nil {
		n.t.Fatal(err)
	}
	out := make(chan Change, 1024)
	go func() { // ends with the subscription
		for u := range updates {
			if strings.HasPrefix(VIP, u.LinkAddress.IP.String()+"/") {
				out <- Change{u.NewAddr, time.Now()}
			}
		}
	}()
	n.t.Cleanup(func() {
		close(done)
		_ = h.Close()
	})
	return out
}

// Log waits until a log file has that text, and returns what it has at the end.
func (n *Node) Log(path, text string) (content string, err error) {
	n.t.Helper()
	deadline := time.Now().Add(5 * time.Second)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for time.Now().Before(deadline) {
		b, err := os.ReadFile(path)
		if err != nil {
			return "", err
		}
		if content = string(b); strings.Contains(content, text) {
			return content, nil
		}
		<-tick.C
	}
	return content, fmt.Errorf("%q is not in %s", text, path)
}
