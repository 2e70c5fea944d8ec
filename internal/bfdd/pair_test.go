package bfdd_test

import (
	"encoding/binary"
	"net"
	"net/netip"
	"os"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/hareconcile/hareconcile/internal/bfd"
	"github.com/hareconcile/hareconcile/internal/bfdd"
	"github.com/hareconcile/hareconcile/internal/nstest"
	"github.com/hareconcile/hareconcile/reconcile/resource"
)

// both is sessions from one host with another over both families. The kernel would not
// choose the link-local source that the other expects: it has made one of its own, too.
func both(from, to string) []resource.VRRPTracker {
	out := []resource.VRRPTracker{tracker("10.9.0."+to, ""), tracker("fd09::"+to, "eth0"), tracker("fe80::"+to+"%eth0", "")}
	out[2].Source = netip.MustParseAddr("fe80::" + from)
	return out
}

func TestTwoDaemons(t *testing.T) {
	hosts, bridge := segment(t, 2)
	a, b := run(t, hosts[0]), run(t, hosts[1])
	a.Set(both("1", "2"))
	b.Set(both("2", "1"))
	for _, c := range both("1", "2") {
		a.wait(c.Key(), bfdd.Up)
	}
	for _, c := range both("2", "1") {
		b.wait(c.Key(), bfdd.Up)
	}

	key := "bfd/10.9.0.2"
	for range 5 { // away, whether the loop sees it or not, and reported again
		before := len(a.of(key))
		a.Set(nil)
		a.Set(both("1", "2"))
		for len(a.of(key)) == before {
			<-a.news
		}
		a.wait(key, bfdd.Up)
	}
	b.wait("bfd/10.9.0.1", bfdd.Up)
	bridge.Run("ip", "link", "set", "p1", "down")
	detected(t, "the peer's cable", a.wait("bfd/10.9.0.2", bfdd.Down))
	for _, c := range both("1", "2") {
		a.wait(c.Key(), bfdd.Down)
	}
	bridge.Run("ip", "link", "set", "p1", "up")
	for _, c := range both("1", "2") {
		a.wait(c.Key(), bfdd.Up)
	}
	for _, c := range both("2", "1") {
		b.wait(c.Key(), bfdd.Up)
	}

	before := len(b.of("bfd/10.9.0.1"))
	a.Set(both("1", "2")[:1]) // the others are removed on purpose
	for _, key := range []string{"bfd/fd09::1", "bfd/fe80::1%eth0"} {
		waitMessage(t, b.ledger, key, "the peer took the session down on purpose")
	}
	a.stop()
	waitMessage(t, b.ledger, "bfd/10.9.0.1", "the peer took the session down on purpose")
	if got := b.of("bfd/10.9.0.1")[before:]; len(got) != 1 || got[0].State != bfdd.Up {
		t.Errorf("an end on purpose was reported as %v", got)
	}
}

func waitMessage(t *testing.T, l *ledger, key, message string) {
	t.Helper()
	limit := time.After(20 * time.Second)
	for {
		if all := l.of(key); len(all) > 0 && all[len(all)-1].Message == message {
			return
		}
		select {
		case <-l.news:
		case <-limit:
			t.Fatalf("%s does not say %q: %v", key, message, l.of(key))
		}
	}
}

// forge sends BFD packets in the name of 10.9.0.FROM, which say that the session is down.
func forge(t *testing.T, ns *nstest.NS, from byte, ttl byte, count int) {
	t.Helper()
	ns.Do(func() {
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.IPPROTO_RAW)
		if err != nil {
			t.Fatal(err)
		}
		defer unix.Close(fd)
		down := bfd.Packet{State: bfd.Down, Multiplier: 3, My: 99, DesiredMinTx: time.Second, RequiredMinRx: time.Second}
		b := []byte{0x45, 0, 0, 28 + bfd.PacketLen, 0, 0, 0, 0, ttl, unix.IPPROTO_UDP, 0, 0, 10, 9, 0, from, 10, 9, 0, 1}
		b = binary.BigEndian.AppendUint16(b, 50000)
		b = binary.BigEndian.AppendUint16(b, bfd.Port)
		b = append(b, 0, 8+bfd.PacketLen, 0, 0)
		b = down.Append(b)
		for range count {
			if err := unix.Sendto(fd, b, 0, &unix.SockaddrInet4{Addr: [4]byte{10, 9, 0, 1}}); err != nil {
				t.Fatal(err)
			}
		}
	})
}

func TestForgedPacketsHaveNoEffect(t *testing.T) {
	hosts, _ := segment(t, 3)
	a, b := run(t, hosts[0]), run(t, hosts[1])
	a.Set(both("1", "2"))
	b.Set(both("2", "1"))
	a.wait("bfd/10.9.0.2", bfdd.Up)
	b.wait("bfd/10.9.0.1", bfdd.Up)
	forge(t, hosts[2], 2, 254, 100)
	forge(t, hosts[2], 3, 255, 20000) // a flood of a stranger's
	tick := time.NewTicker(10 * ms)
	defer tick.Stop()
	for range 100 {
		forge(t, hosts[2], 2, 254, 1)
		forge(t, hosts[2], 3, 255, 1)
		<-tick.C
	}
	if got := a.of("bfd/10.9.0.2"); len(got) != 1 {
		t.Fatalf("reported %v", got)
	}
	forge(t, hosts[2], 2, 255, 1) // what the test sends does arrive: this is the peer's, as far as one can tell
	a.wait("bfd/10.9.0.2", bfdd.Down)
	a.wait("bfd/10.9.0.2", bfdd.Up)
}

// TestADeviceThatIsReplaced: another device of the name has another index.
func TestADeviceThatIsReplaced(t *testing.T) {
	hosts, bridge := segment(t, 2)
	a, b := run(t, hosts[0]), run(t, hosts[1])
	cfgs := []resource.VRRPTracker{tracker("10.9.0.2", "eth0"), tracker("fe80::2", "eth0")}
	cfgs[1].Source = netip.MustParseAddr("fe80::1")
	a.Set(cfgs)
	b.Set(both("2", "1"))
	for _, c := range cfgs {
		a.wait(c.Key(), bfdd.Up)
	}
	bridge.Run("ip", "link", "del", "p0")
	for _, c := range cfgs {
		a.wait(c.Key(), bfdd.Down)
	}
	bridge.Do(func() {
		master, err := netlink.LinkByName("br0")
		if err != nil {
			t.Fatal(err)
		}
		ns, err := os.Open(hosts[0].Path())
		if err != nil {
			t.Fatal(err)
		}
		defer ns.Close()
		port := &netlink.Veth{
			LinkAttrs: netlink.LinkAttrs{Name: "p0", MasterIndex: master.Attrs().Index, Flags: net.FlagUp, Index: 77},
			PeerName:  "eth0", PeerNamespace: netlink.NsFd(ns.Fd()),
		}
		if err := netlink.LinkAdd(port); err != nil {
			t.Fatal(err)
		}
	})
	hosts[0].Run("ip", "addr", "add", "10.9.0.1/24", "dev", "eth0")
	hosts[0].Run("ip", "addr", "add", "fe80::1/64", "dev", "eth0")
	hosts[0].Run("ip", "link", "set", "eth0", "up")
	for _, c := range cfgs {
		a.wait(c.Key(), bfdd.Up)
	}
}

func TestThePortIsTaken(t *testing.T) {
	hosts, _ := segment(t, 2)
	a, b := run(t, hosts[0]), run(t, hosts[1])
	var fd int
	hosts[0].Do(func() {
		var err error
		if fd, err = unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0); err != nil {
			t.Fatal(err)
		}
		if err := unix.Bind(fd, &unix.SockaddrInet4{Port: bfd.Port}); err != nil {
			t.Fatal(err)
		}
	})
	a.Set(both("1", "2"))
	b.Set(both("2", "1"))
	a.wait("bfd/fd09::2", bfdd.Up)
	waitMessage(t, a.ledger, "bfd/10.9.0.2", "listen on UDP port 3784: address already in use")
	if err := unix.Close(fd); err != nil {
		t.Fatal(err)
	}
	a.wait("bfd/10.9.0.2", bfdd.Up)
}
