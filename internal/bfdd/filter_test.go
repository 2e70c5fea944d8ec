package bfdd

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/hareconcile/hareconcile/internal/bfd"
	"github.com/hareconcile/hareconcile/internal/nstest"
	"github.com/hareconcile/hareconcile/internal/vrrpd/wait"
)

// say sends a datagram to BFD's port of this host.
func say(t *testing.T, from netip.Addr, ttl int, text string) {
	t.Helper()
	domain, level, option := unix.AF_INET, unix.IPPROTO_IP, unix.IP_TTL
	var source, target unix.Sockaddr
	if from.Is6() {
		domain, level, option = unix.AF_INET6, unix.IPPROTO_IPV6, unix.IPV6_UNICAST_HOPS
		source, target = &unix.SockaddrInet6{Addr: from.As16()}, &unix.SockaddrInet6{Addr: netip.IPv6Loopback().As16(), Port: bfd.Port}
	} else {
		source, target = &unix.SockaddrInet4{Addr: from.As4()}, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}, Port: bfd.Port}
	}
	fd, err := unix.Socket(domain, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	if err := unix.SetsockoptInt(fd, level, option, ttl); err != nil {
		t.Fatal(err)
	}
	if err := unix.Bind(fd, source); err != nil {
		t.Fatal(err)
	}
	if err := unix.Sendto(fd, []byte(text), 0, target); err != nil {
		t.Fatal(err)
	}
}

// TestTheKernelHearsPeersOnly sends over lo, where a datagram is queued when sendto returns.
func TestTheKernelHearsPeersOnly(t *testing.T) {
	nstest.Need(t, "nsenter", "ip")
	ns := nstest.New(t)
	var hosts []netip.Addr
	for i := range 5 {
		hosts = append(hosts, netip.AddrFrom4([4]byte{127, 0, 9, byte(i)}), netip.MustParseAddr(fmt.Sprintf("fd00::%d:%d", i, 7-i)))
		ns.Run("ip", "addr", "add", hosts[2*i+1].String()+"/128", "dev", "lo", "nodad")
	}
	ns.Do(func() {
		k, err := openKernel()
		if err != nil {
			t.Fatal(err)
		}
		defer k.close()
		for _, peers := range [][]netip.Addr{hosts[2:8], hosts[:2], hosts[8:], hosts} {
			for i, family := range [2]bool{false, true} {
				if err := k.listen(family, slices.DeleteFunc(slices.Clone(peers), func(a netip.Addr) bool { return a.Is6() != family })); err != nil {
					t.Fatalf("family %d: %v", i, err)
				}
			}
			for _, h := range hosts {
				say(t, h, 254, "too far")
				say(t, h, 255, h.String())
			}
			if err := k.wait(wait.Now() + 5*time.Second); err != nil {
				t.Fatal(err)
			}
			var got []netip.Addr
			var d datagram
			for ok, _ := k.next(&d); ok; ok, _ = k.next(&d) {
				if string(d.data) != d.from.String() || d.ttl != 255 || d.device != 1 {
					t.Errorf("heard %q from %v, TTL %d, on device %d", d.data, d.from, d.ttl, d.device)
				}
				got = append(got, d.from)
			}
			slices.SortFunc(got, netip.Addr.Compare)
			want := slices.SortedFunc(slices.Values(peers), netip.Addr.Compare)
			if !slices.Equal(got, want) {
				t.Errorf("heard %v, want %v", got, want)
			}
		}
		if err := k.listen(false, nil); err != nil || k.ears[0] >= 0 {
			t.Errorf("nobody to hear: %v, %d", err, k.ears[0])
		}
		var many []netip.Addr
		for i := range 3000 {
			many = append(many, netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}))
		}
		if err := k.listen(false, many); err != nil { // more than a filter can name
			t.Fatal(err)
		}
		say(t, hosts[0], 255, "anybody")
		var d datagram
		if ok, _ := k.next(&d); !ok || d.from != hosts[0] {
			t.Errorf("heard %v from %v, want all to be left to the loop", ok, d.from)
		}
	})
}

func TestEverySessionHasAPortOfItsOwn(t *testing.T) {
	ns := nstest.New(t)
	ns.Do(func() {
		k, err := openKernel()
		if err != nil {
			t.Fatal(err)
		}
		defer k.close()
		seen := map[uint16]bool{}
		p := path{target: netip.MustParseAddr("127.0.0.1"), source: netip.MustParseAddr("127.0.0.1")}
		for i := range 20 {
			p.target = netip.AddrFrom4([4]byte{127, 0, 0, byte(i)})
			p.source = netip.AddrFrom4([4]byte{127, 0, 1, byte(i + 1)}) // where ports would not collide
			w, err := k.open(p, sourcePorts-1)
			if err != nil {
				t.Fatal(err)
			}
			defer w.close()
			port := w.(*mouth).port
			if seen[port] || port < bfd.FirstSource {
				t.Errorf("port %d", port)
			}
			seen[port] = true
		}
	})
}
