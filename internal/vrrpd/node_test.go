package vrrpd_test

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
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"

	"github.com/hareconcile/hareconcile/internal/channel"
	"github.com/hareconcile/hareconcile/internal/nstest"
	"github.com/hareconcile/hareconcile/internal/vrrpd"
	"github.com/hareconcile/hareconcile/reconcile/resource"
)

// childEnv makes the test binary be vrrpd, with its things in that folder.
const childEnv = "HARECONCILE_TEST_VRRPD"

func TestMain(m *testing.M) {
	dir := os.Getenv(childEnv)
	if dir == "" {
		os.Exit(m.Run())
	}
	ctx, stop := signal.NotifyContext(context.Background(), unix.SIGTERM)
	err := vrrpd.Run(ctx, vrrpd.Options{
		Socket: filepath.Join(dir, "sock"), State: filepath.Join(dir, "state"), Lock: filepath.Join(dir, "lock"),
		Log: slog.NewTextHandler(os.Stderr, nil),
	})
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

const vip = "10.9.0.100/24"

// A node is a host with a vrrpd on its eth0.
type node struct {
	t    *testing.T
	ns   *nstest.NS
	addr string
	dir  string
	cmd  *exec.Cmd
	log  *os.File
}

// pair is two nodes on a bridge, whose port p0 is a's.
func pair(t *testing.T) (a, b *node, bridge *nstest.NS) {
	t.Helper()
	nstest.Need(t, "root", "netns", "nsenter", "ip")
	a, b = newNode(t, "10.9.0.1"), newNode(t, "10.9.0.2")
	bridge = nstest.Bridge(t,
		nstest.Host{NS: a.ns, Device: "eth0", Addresses: []string{a.addr + "/24"}},
		nstest.Host{NS: b.ns, Device: "eth0", Addresses: []string{b.addr + "/24"}},
	)
	return a, b, bridge
}

func newNode(t *testing.T, addr string) *node {
	t.Helper()
	n := &node{t: t, ns: nstest.New(t), addr: addr, dir: t.TempDir()}
	log, err := os.Create(filepath.Join(n.dir, "log"))
	if err != nil {
		t.Fatal(err)
	}
	n.log = log
	t.Cleanup(func() {
		if n.cmd != nil {
			n.signal(unix.SIGKILL)
		}
		_ = log.Close()
		if b, err := os.ReadFile(log.Name()); err == nil && t.Failed() {
			t.Logf("log of %s:\n%s", addr, b)
		}
	})
	return n
}

// start runs vrrpd, which goes on with what its predecessor left.
func (n *node) start() {
	n.t.Helper()
	exe, err := os.Executable()
	if err != nil {
		n.t.Fatal(err)
	}
	n.cmd = n.ns.Cmd(exe)
	n.cmd.Env = append(os.Environ(), childEnv+"="+n.dir)
	n.cmd.Stdout, n.cmd.Stderr = n.log, n.log
	if err := n.cmd.Start(); err != nil {
		n.t.Fatal(err)
	}
}

// signal sends s; after a deadly one it waits for the end.
func (n *node) signal(s unix.Signal) {
	n.t.Helper()
	if err := n.cmd.Process.Signal(s); err != nil {
		n.t.Fatalf("signal %s: %v", n.addr, err)
	}
	if s == unix.SIGKILL || s == unix.SIGTERM {
		_ = n.cmd.Wait()
		n.cmd = nil
	}
}

// do sends one request, and waits for vrrpd to start if it has to.
func (n *node) do(r channel.Request) *channel.Status {
	n.t.Helper()
	var resp channel.Response
	n.eventually("vrrpd to answer", 5*time.Second, func() bool {
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

func (n *node) instance() channel.InstanceStatus {
	n.t.Helper()
	return n.do(channel.Request{Query: &channel.Query{}}).Instances[0]
}

// configure runs one virtual router.
func (n *node) configure(priority uint8, interval time.Duration, peer *node) {
	n.t.Helper()
	n.do(channel.Request{Config: &channel.Config{Instances: []resource.VRRPInstance{n.router(priority, interval, peer)}}})
}

func (n *node) router(priority uint8, interval time.Duration, peer *node) resource.VRRPInstance {
	return resource.VRRPInstance{
		Interface: "eth0", VRID: 7, Version: 3, Priority: priority, Interval: resource.Duration(interval),
		Preempt: true, Addresses: vip, Source: netip.MustParseAddr(n.addr), Peers: resource.List(peer.addr),
	}
}

func (n *node) waitState(state string) channel.InstanceStatus {
	n.t.Helper()
	var i channel.InstanceStatus
	n.eventually(state, 10*time.Second, func() bool {
		i = n.instance()
		return i.State == state
	})
	return i
}

// eventually polls until ok; it is for what happens in other processes.
func (n *node) eventually(what string, within time.Duration, ok func() bool) time.Duration {
	n.t.Helper()
	start := time.Now()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		if time.Since(start) > within {
			n.t.Fatalf("%s: waited %v for %s", n.addr, within, what)
		}
		<-tick.C
	}
	return time.Since(start)
}

// hasVIP asks the kernel.
func (n *node) hasVIP() bool {
	n.t.Helper()
	found := false
	n.ns.Do(func() {
		l, err := netlink.LinkByName("eth0")
		if err != nil {
			n.t.Fatal(err)
		}
		as, err := netlink.AddrList(l, netlink.FAMILY_V4)
		if err != nil {
			n.t.Fatal(err)
		}
		for _, a := range as {
			found = found || a.IPNet.String() == vip
		}
	})
	return found
}

// watchVIP returns a channel that gets a value whenever the kernel gains (true) or loses
// the address. The subscription closes it after the test.
func (n *node) watchVIP() <-chan bool {
	n.t.Helper()
	h, err := netns.GetFromPath(n.ns.Path())
	if err != nil {
		n.t.Fatal(err)
	}
	updates, done := make(chan netlink.AddrUpdate, 64), make(chan struct{})
	if err := netlink.AddrSubscribeAt(h, updates, done); err != nil {
		n.t.Fatal(err)
	}
	out := make(chan bool, 1024)
	go func() { // ends with the subscription
		for u := range updates {
			if strings.HasPrefix(vip, u.LinkAddress.IP.String()+"/") {
				out <- u.NewAddr
			}
		}
	}()
	n.t.Cleanup(func() {
		close(done)
		_ = h.Close()
	})
	return out
}
