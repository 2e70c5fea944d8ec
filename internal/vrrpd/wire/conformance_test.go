package wire

import (
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/hareconcile/hareconcile/internal/nstest"
)

// TestAdvertsAreNotForwarded has RFC 9568, sections 5.1.1.2 and 5.1.2.2: a host that
// forwards everything hears what is for the groups, and keeps it, whatever its TTL.
func TestAdvertsAreNotForwarded(t *testing.T) {
	nstest.Need(t, "root", "netns", "nsenter", "ip")
	sender, router, beyond := nstest.New(t), nstest.New(t), nstest.New(t)
	for _, n := range []*nstest.NS{sender, router, beyond} {
		n.Run("sh", "-c", "cd /proc/sys/net; echo 0 > ipv6/conf/all/accept_dad; echo 0 > ipv6/conf/default/accept_dad")
	}
	router.Run("sh", "-c", "cd /proc/sys/net; echo 1 > ipv4/ip_forward; echo 1 > ipv6/conf/all/forwarding")
	nstest.Bridge(t, nstest.Host{NS: sender, Device: "eth0", Addresses: []string{"10.9.0.2/24", "fe80::b/64"}},
		nstest.Host{NS: router, Device: "eth0", Addresses: []string{"10.9.0.1/24", "fe80::a/64"}})
	nstest.Bridge(t, nstest.Host{NS: router, Device: "eth1", Addresses: []string{"10.8.0.1/24", "fe80::c/64"}},
		nstest.Host{NS: beyond, Device: "eth0", Addresses: []string{"10.8.0.2/24", "fe80::d/64"}})
	router.Run("ip", "route", "add", "224.0.0.0/4", "dev", "eth1") // as tempting as can be
	out, index := openIn(t, sender)
	hears := func(ns *nstest.NS, p Port) *Wire {
		w, i := openIn(t, ns)
		p.Index = i
		ns.Do(func() {
			if err := w.Join(p, "eth0"); err != nil {
				t.Fatal(err)
			}
		})
		if err := w.Filter(p, []Known{{VRID: 7, Open: true}}); err != nil {
			t.Fatal(err)
		}
		return w
	}
	for _, tt := range []struct{ from, group netip.Addr }{{addrB4, group4}, {addrB6, group6}} {
		p := Port{IPv6: tt.from.Is6()}
		near, far := hears(router, p), hears(beyond, p)
		ttl := 8
		if p.IPv6 {
			ttl = hopLimit
		}
		for _, hops := range []uint8{255, 64, 2} {
			b := packet(tt.from, tt.group, 7, 1)
			b[ttl] = hops
			heard := false
			for end := near.Now() + 5*time.Second; !heard; _, heard = next(t, near, 20*time.Millisecond) {
				if near.Now() > end {
					t.Fatalf("%v with TTL %d does not reach the router", tt.group, hops)
				}
				send(t, out, index, tt.group, b)
			}
			if got, ok := next(t, far, 200*time.Millisecond); ok {
				t.Errorf("%v with TTL %d was forwarded: %x", tt.group, hops, got.Data)
			}
		}
		var second int // what is beyond would have heard it, as it hears this
		router.Do(func() {
			eth1, err := net.InterfaceByName("eth1")
			if err != nil {
				t.Fatal(err)
			}
			second = eth1.Index
		})
		heard := false
		for end := far.Now() + 5*time.Second; !heard; _, heard = next(t, far, 20*time.Millisecond) {
			if far.Now() > end {
				t.Fatal("what is beyond hears nothing at all")
			}
			send(t, near, second, tt.group, packet(tt.from, tt.group, 7, 2))
		}
	}
}
