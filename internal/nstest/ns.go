package nstest

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// An NS is a network namespace with lo up. It ends with the test.
type NS struct {
	t testing.TB
	f *os.File
}

// New makes a network namespace.
func New(t testing.TB) *NS {
	t.Helper()
	Need(t, "root", "netns")
	type result struct {
		f   *os.File
		err error
	}
	made := make(chan result)
	go func() {
		runtime.LockOSThread() // and never unlock: the thread ends, the namespace stays with f
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			made <- result{nil, err}
			return
		}
		f, err := os.Open("/proc/thread-self/ns/net")
		made <- result{f, err}
	}()
	r := <-made
	if r.err != nil {
		t.Fatalf("make a network namespace: %v", r.err)
	}
	n := &NS{t, r.f}
	t.Cleanup(func() { _ = n.f.Close() })
	n.Do(func() {
		lo, err := netlink.LinkByName("lo")
		if err == nil {
			err = netlink.LinkSetUp(lo)
		}
		if err != nil {
			t.Fatalf("bring lo up: %v", err)
		}
	})
	return n
}

// Do runs f in the namespace, on a thread of its own: sockets that f opens and processes
// that f starts belong to the namespace, goroutines that f starts do not.
func (n *NS) Do(f func()) {
	n.t.Helper()
	runtime.LockOSThread()
	home, err := os.Open("/proc/thread-self/ns/net")
	if err != nil {
		n.t.Fatalf("open this thread's namespace: %v", err)
	}
	defer home.Close()
	if err := unix.Setns(int(n.f.Fd()), unix.CLONE_NEWNET); err != nil {
		n.t.Fatalf("enter the namespace: %v", err)
	}
	defer func() {
		if err := unix.Setns(int(home.Fd()), unix.CLONE_NEWNET); err != nil {
			// The thread stays locked, so that nothing else ever runs on it.
			n.t.Errorf("leave the namespace: %v", err)
			return
		}
		runtime.UnlockOSThread()
	}()
	f()
}

// Path returns a path of the namespace, good for other processes while the test runs.
func (n *NS) Path() string { return fmt.Sprintf("/proc/%d/fd/%d", os.Getpid(), n.f.Fd()) }

// Cmd returns a command that runs in the namespace and ends with the test at the latest.
// Its process id is the program's own.
func (n *NS) Cmd(name string, args ...string) *exec.Cmd {
	n.t.Helper()
	Need(n.t, "nsenter", name)
	path, err := program(name)
	if err != nil {
		n.t.Fatal(err)
	}
	nsenter, err := program("nsenter")
	if err != nil {
		n.t.Fatal(err)
	}
	return exec.CommandContext(n.t.Context(), nsenter, append([]string{"--net=" + n.Path(), "--", path}, args...)...)
}

// Run runs a program in the namespace and returns its output. It fails the test if the program fails.
func (n *NS) Run(name string, args ...string) string {
	n.t.Helper()
	out, err := n.Cmd(name, args...).CombinedOutput()
	if err != nil {
		n.t.Fatalf("%s %q: %v\n%s", name, args, err, out)
	}
	return string(out)
}

// A Host is one end of a Bridge.
type Host struct {
	NS        *NS
	Device    string   // such as "eth0"
	Addresses []string // such as "10.0.0.1/24"
}

// Bridge joins hosts on one link layer, a bridge in a namespace of its own, which it
// returns. The bridge's ports are p0, p1, ... in the order of hosts: taking one down cuts
// that host off.
func Bridge(t testing.TB, hosts ...Host) *NS {
	t.Helper()
	b := New(t)
	var bridge netlink.Link = &netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Name: "br0"}}
	b.Do(func() { // the loops below stay in namespaces: nothing appears on the host
		up(t, bridge)
	})
	for i, h := range hosts {
		b.Do(func() {
			port := &netlink.Veth{
				LinkAttrs: netlink.LinkAttrs{Name: fmt.Sprintf("p%d", i), MasterIndex: bridge.Attrs().Index},
				PeerName:  h.Device, PeerNamespace: netlink.NsFd(h.NS.f.Fd()),
			}
			up(t, port)
		})
		h.NS.Do(func() { h.addresses(t) })
	}
	return b
}

func up(t testing.TB, l netlink.Link) {
	t.Helper()
	err := netlink.LinkAdd(l)
	if err == nil {
		err = netlink.LinkSetUp(l)
	}
	if err != nil {
		t.Fatalf("add link %s: %v", l.Attrs().Name, err)
	}
}

func (h Host) addresses(t testing.TB) {
	t.Helper()
	l, err := netlink.LinkByName(h.Device)
	if err != nil {
		t.Fatalf("find %s: %v", h.Device, err)
	}
	for _, s := range h.Addresses {
		a, err := netlink.ParseAddr(s)
		if err == nil {
			err = netlink.AddrAdd(l, a)
		}
		if err != nil {
			t.Fatalf("add %s to %s: %v", s, h.Device, err)
		}
	}
	if err := netlink.LinkSetUp(l); err != nil {
		t.Fatalf("bring %s up: %v", h.Device, err)
	}
}
