package holding

import (
	"fmt"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/hareconcile/hareconcile/internal/nstest"
	"github.com/hareconcile/hareconcile/internal/vrrpd/rtnl"
	"github.com/hareconcile/hareconcile/reconcile/resource"
)

// TestVirtualMACOnASegment holds a router with a virtual MAC on a host that filters
// reverse paths strictly and routes by policy, and looks at it from a neighbour.
func TestVirtualMACOnASegment(t *testing.T) {
	host, peer := nstest.New(t), nstest.New(t)
	nstest.Bridge(t, nstest.Host{NS: host, Device: "eth0", Addresses: []string{"10.0.0.1/24", "fd00::1/64"}},
		nstest.Host{NS: peer, Device: "eth0", Addresses: []string{"10.0.0.2/24", "fd00::2/64"}})
	physical := strings.Fields(host.Run("ip", "-br", "link", "show", "eth0"))[2]
	host.Run("ip", "rule", "add", "priority", "10", "from", "10.0.0.1", "table", "77")
	host.Run("ip", "route", "add", "10.0.0.0/24", "dev", "eth0", "table", "77")
	const virtual = "00:00:5e:00:01:07"
	asks := func(address, mac string) {
		t.Helper()
		peer.Run("ip", "neigh", "flush", "dev", "eth0")
		eventually(t, address+" to answer", func() (ok bool) {
			peer.Do(func() { ok = connects(t, address, "") })
			return ok
		})
		for range 5 { // and by nothing else: the physical MAC would win now and then
			peer.Run("ip", "neigh", "flush", "dev", "eth0")
			peer.Do(func() { connects(t, address, "") })
			if got := peer.Run("ip", "neigh", "show", strings.TrimSuffix(address, "%eth0")); !strings.Contains(got, mac) {
				t.Errorf("the neighbour has %q, want %s", got, mac)
			}
		}
	}
	host.Do(func() {
		if err := os.WriteFile("/proc/sys/net/ipv4/conf/all/rp_filter", []byte("1"), 0o600); err != nil {
			t.Fatal(err)
		}
		w := &realWorld{t: t}
		w.restart()
		defer func() { _, _ = w.events.Close(), w.Close() }()
		p := newProcess(t, w)
		wants := Wants{Device: "eth0", VRID: 7, VirtualMAC: true}
		for _, s := range []string{"10.0.0.100/24", "fd00::100/64", "fe80::100/64"} {
			wants.Addresses = append(wants.Addresses, resource.VirtualAddress{Prefix: mustPrefix(s)})
		}
		p.Want("a", wants)
		p.settle()
		p.Acquire("a")
		if r := p.settle(); r.Err != nil {
			t.Fatal(r.Err)
		}
		if got := p.Targets("a"); len(got) != 3 || fmt.Sprintf("%x", got[0].MAC) != "00005e000107" || got[0].Silent {
			t.Errorf("targets %+v", got)
		}
		if index, mac := p.Transmit("a"); index == p.names["eth0"] || index == 0 || mac[5] != 7 {
			t.Errorf("transmits from %d, %x", index, mac)
		}
		for _, address := range []string{"10.0.0.100", "fd00::100", "fe80::100%eth0"} {
			asks(address, virtual)
		}
		asks("10.0.0.1", physical)
		// The host's own traffic, and that in the name of the virtual address.
		for _, source := range []string{"", "10.0.0.1", "10.0.0.100"} {
			host.Run("ip", "neigh", "flush", "dev", "eth0")
			if !connects(t, "10.0.0.2", source) {
				t.Errorf("the host with source %q does not reach its neighbour", source)
			}
		}
		if got := peer.Run("ip", "neigh", "show", "10.0.0.100"); !strings.Contains(got, virtual) {
			t.Errorf("the neighbour learnt %q from a connection, want %s", got, virtual)
		}
		if got := host.Run("ip", "route", "get", "10.0.0.2"); !strings.Contains(got, "dev eth0") {
			t.Errorf("the host's own way is %q, want eth0", got)
		}
		p.Release("a")
		p.settle()
		if connects(t, "10.0.0.100", "") {
			t.Error("the host itself still has the address")
		}
		if got := host.Run("ip", "-br", "link", "show", "vrrp4-7"); !strings.Contains(got, "DOWN") {
			t.Errorf("after the release %q, want it down", got)
		}
	})
}

// connects reports whether a connection to a port where nobody listens is refused, as a
// host does that has the address.
func connects(t *testing.T, address, source string) bool {
	t.Helper()
	fd, err := unix.Socket(unix.AF_INET6, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	tv := unix.NsecToTimeval(int64(300 * time.Millisecond))
	_ = unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_SNDTIMEO, &tv)
	if source != "" {
		if err := unix.Bind(fd, &unix.SockaddrInet6{Addr: netip.MustParseAddr(source).As16()}); err != nil {
			t.Fatal(err)
		}
	}
	to := &unix.SockaddrInet6{Port: 9}
	bare, zone, _ := strings.Cut(address, "%")
	if to.Addr = netip.MustParseAddr(bare).As16(); zone != "" {
		to.ZoneId = linkIndex(t, zone)
	}
	return unix.Connect(fd, to) == unix.ECONNREFUSED
}

// linkIndex asks the kernel: /sys shows the namespace where it was mounted.
func linkIndex(t *testing.T, name string) uint32 {
	t.Helper()
	c, err := rtnl.Open()
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	links, err := c.Links()
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range links {
		if l.Name == name {
			return uint32(l.Index)
		}
	}
	t.Fatalf("no link %s", name)
	return 0
}

func eventually(t *testing.T, what string, f func() bool) {
	t.Helper()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for range 100 {
		if f() {
			return
		}
		<-tick.C
	}
	t.Fatalf("waited in vain for %s", what)
}
