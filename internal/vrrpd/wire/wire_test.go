package wire

import (
	"net/netip"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/hareconcile/hareconcile/internal/nstest"
)

// A lan is two hosts on a link: a listens, b talks.
type lan struct {
	a, b   *Wire
	nsA    *nstest.NS
	ia, ib int // index of eth0
}

var (
	addrA4, addrB4, strange4 = netip.MustParseAddr("10.9.0.1"), netip.MustParseAddr("10.9.0.2"), netip.MustParseAddr("10.9.0.66")
	addrA6, addrB6, strange6 = netip.MustParseAddr("fe80::a"), netip.MustParseAddr("fe80::b"), netip.MustParseAddr("fe80::66")
)

func newLan(t testing.TB) *lan {
	t.Helper()
	nstest.Need(t, "root", "netns", "nsenter", "ip")
	l := &lan{nsA: nstest.New(t)}
	nsB := nstest.New(t)
	for _, n := range []*nstest.NS{l.nsA, nsB} {
		n.Run("sh", "-c", "echo 0 > /proc/sys/net/ipv6/conf/all/accept_dad; echo 0 > /proc/sys/net/ipv6/conf/default/accept_dad")
	}
	nstest.Bridge(t,
		nstest.Host{NS: l.nsA, Device: "eth0", Addresses: []string{"10.9.0.1/24", "fe80::a/64"}},
		nstest.Host{NS: nsB, Device: "eth0", Addresses: []string{"10.9.0.2/24", "10.9.0.66/24", "fe80::b/64"}},
	)
	l.a, l.ia = openIn(t, l.nsA)
	l.b, l.ib = openIn(t, nsB)
	l.wait(t)
	return l
}

// wait waits until the link works in both IP versions, which takes a new one a moment.
func (l *lan) wait(t testing.TB) {
	t.Helper()
	for _, tt := range []struct{ from, self, group netip.Addr }{{addrB4, addrA4, group4}, {addrB6, addrA6, group6}} {
		p := l.listen(t, tt.from.Is6())
		heard := false
		for end := l.a.Now() + 10*time.Second; !heard; _, heard = next(t, l.a, 10*time.Millisecond) {
			if l.a.Now() > end {
				t.Fatalf("the link does not carry packets from %v", tt.from)
			}
			_ = l.b.Send(l.ib, tt.group, packet(tt.from, tt.group, 7, 0))
			_ = l.a.Send(l.ia, tt.group, packet(tt.self, tt.group, 7, 0))
		}
		for heard { // what is still on its way
			_, heard = next(t, l.a, 10*time.Millisecond)
		}
		l.a.Leave(p)
	}
}

func openIn(t testing.TB, ns *nstest.NS) (w *Wire, index int) {
	t.Helper()
	ns.Do(func() {
		var err error
		if w, err = Open(); err != nil {
			t.Fatal(err)
		}
		index = deviceIndex(t)
	})
	t.Cleanup(w.Close)
	return w, index
}

// deviceIndex is the index of eth0 in this thread's namespace.
func deviceIndex(t testing.TB) int {
	t.Helper()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	req, err := unix.NewIfreq("eth0")
	if err == nil {
		err = unix.IoctlIfreq(fd, unix.SIOCGIFINDEX, req)
	}
	if err != nil {
		t.Fatal(err)
	}
	return int(req.Uint32())
}

// listen makes a hear VRID 7 of b.
func (l *lan) listen(t testing.TB, ipv6 bool) Port {
	t.Helper()
	p := Port{l.ia, ipv6}
	l.nsA.Do(func() {
		if err := l.a.Join(p, "eth0"); err != nil {
			t.Fatal(err)
		}
	})
	if err := l.a.Filter(p, []Known{{VRID: 7, Peers: []netip.Addr{addrB4, addrB6}}}); err != nil {
		t.Fatal(err)
	}
	return p
}

// packet is an advert's beginning with an IP header.
func packet(from, to netip.Addr, vrid, mark uint8) []byte {
	message := []byte{0x31, vrid, mark, 0, 0, 100, 0, 0}
	if from.Is6() {
		h := make([]byte, header6)
		h[0], h[1], h[3], h[5], h[6], h[hopLimit] = 0x6c, 0x05, 0x21, 8, protocol, 255
		copy(h[8:], from.AsSlice())
		copy(h[24:], to.AsSlice())
		return append(h, message...)
	}
	h := make([]byte, 20)
	h[0], h[1], h[3], h[8], h[9] = 0x45, 0xc0, 28, 255, protocol
	copy(h[12:], from.AsSlice())
	copy(h[16:], to.AsSlice())
	return append(h, message...)
}

func send(t testing.TB, w *Wire, index int, to netip.Addr, p []byte) {
	t.Helper()
	if err := w.Send(index, to, p); err != nil {
		t.Fatalf("send to %v: %v", to, err)
	}
}

// next is the next packet that w gets within a while, as bytes of its own.
func next(t testing.TB, w *Wire, within time.Duration) (Packet, bool) {
	t.Helper()
	for until := w.Now() + within; ; {
		var p Packet
		ok, more := w.Next(&p)
		if ok {
			p.Data = append([]byte(nil), p.Data...)
			return p, true
		}
		if !more {
			if w.Now() >= until {
				return Packet{}, false
			}
			if err := w.Wait(until, nil); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func TestHearsGroupAndSelf(t *testing.T) {
	l := newLan(t)
	for _, tt := range []struct {
		name     string
		from, to netip.Addr
		via      netip.Addr
	}{
		{"IPv4 to the group", addrB4, group4, group4},
		{"IPv4 to one host", addrB4, addrA4, addrA4},
		{"IPv6 to the group", addrB6, group6, group6},
		{"IPv6 to one host", addrB6, addrA6, addrA6},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := l.listen(t, tt.to.Is6())
			sent := packet(tt.from, tt.to, 7, 200)
			send(t, l.b, l.ib, tt.via, sent)
			got, ok := next(t, l.a, time.Second)
			if !ok {
				t.Fatal("nothing was heard")
			}
			if tt.to.Is4() {
				copy(sent[4:12], got.Data[4:12]) // the kernel fills in id and checksum
			}
			if got.Port != p || string(got.Data) != string(sent) {
				t.Errorf("heard %x on %v, want %x on %v", got.Data, got.Port, sent, p)
			}
		})
	}
}

func TestDoesNotHearItselfOrOthersVRIDs(t *testing.T) {
	l := newLan(t)
	for _, tt := range []struct{ from, self, group netip.Addr }{{addrB4, addrA4, group4}, {addrB6, addrA6, group6}} {
		p := l.listen(t, tt.from.Is6())
		known := []Known{{VRID: 7, Open: true}}
		if err := l.a.Filter(p, known); err != nil {
			t.Fatal(err)
		}
		send(t, l.a, l.ia, tt.group, packet(tt.self, tt.group, 7, 1))
		send(t, l.b, l.ib, tt.group, packet(tt.from, tt.group, 8, 2))
		send(t, l.b, l.ib, tt.group, packet(tt.from, tt.group, 7, 3))
		mark := len(packet(tt.from, tt.group, 7, 3)) - 6
		got, ok := next(t, l.a, time.Second)
		if !ok || got.Data[mark] != 3 {
			t.Errorf("heard %x, want the third packet only", got.Data)
		}
	}
}

func TestStrangersAreReadSlowly(t *testing.T) {
	l := newLan(t)
	for _, tt := range []struct{ from, stranger, group netip.Addr }{{addrB4, strange4, group4}, {addrB6, strange6, group6}} {
		p := l.listen(t, tt.from.Is6())
		const flood = 3 * strangersShare
		for range flood {
			send(t, l.b, l.ib, tt.group, packet(tt.stranger, tt.group, 7, 1))
		}
		send(t, l.b, l.ib, tt.group, packet(tt.from, tt.group, 7, 2))
		mark := len(packet(tt.from, tt.group, 7, 3)) - 6
		first, ok := next(t, l.a, time.Second)
		if !ok || first.Data[mark] != 2 {
			t.Fatalf("heard %x first, want the peer's", first.Data)
		}
		start, heard := l.a.Now(), 0
		for {
			if _, ok := next(t, l.a, 4*strangersPause); !ok {
				break
			}
			heard++
		}
		if took := l.a.Now() - start - 4*strangersPause; heard > strangersShare && took < strangersPause {
			t.Errorf("%d packets of strangers in %v", heard, took)
		}
		_, dropped := l.a.Dropped(p)
		// Kernels that look at the room before they look at the filter drop the peer's, too.
		if sum := heard + int(dropped); sum != flood && sum != flood+1 || heard == 0 {
			t.Errorf("%d read and %d dropped, want %d altogether", heard, dropped, flood)
		}
	}
}

func TestManyRoutersAndPeers(t *testing.T) {
	l := newLan(t)
	for _, ipv6 := range []bool{false, true} {
		p := l.listen(t, ipv6)
		from, group := addrB4, group4
		if ipv6 {
			from, group = addrB6, group6
		}
		for _, peers := range []int{3, 400, 3000} { // the last does not fit a program
			known := many(peers, ipv6)
			known[41].Peers = append(known[41].Peers, from)
			if err := l.a.Filter(p, known); err != nil {
				t.Fatalf("filter for %d peers: %v", peers, err)
			}
			for vrid := 1; vrid <= 255; vrid++ {
				send(t, l.b, l.ib, group, packet(from, group, uint8(vrid), 1))
				if _, ok := next(t, l.a, time.Second); !ok {
					t.Fatalf("with %d peers VRID %d is not heard", peers, vrid)
				}
			}
		}
	}
}

func TestInterfaceThatComesBack(t *testing.T) {
	l := newLan(t)
	p := l.listen(t, false)
	ports := func(present string) {
		t.Helper()
		if got := len(l.a.Ports()); (got == 1) != (present == "one") {
			t.Errorf("%d ports, want %s", got, present)
		}
	}
	ports("one")
	l.nsA.Run("ip", "link", "del", "eth0")
	if err := l.a.Send(l.ia, group4, packet(addrA4, group4, 7, 1)); err == nil {
		t.Error("sending out of an interface that is gone succeeded")
	}
	if _, ok := next(t, l.a, time.Millisecond); ok {
		t.Error("heard something on an interface that is gone")
	}
	l.a.Leave(p)
	ports("none")
	if err := l.a.Filter(p, nil); err == nil {
		t.Error("a port that was left has a filter")
	}
	l.nsA.Run("ip", "link", "add", "eth0", "type", "veth", "peer", "name", "far0")
	l.nsA.Run("ip", "link", "set", "eth0", "up")
	l.nsA.Run("ip", "link", "set", "far0", "up")
	var far int
	l.nsA.Do(func() { l.ia = deviceIndex(t) })
	far = l.ia - 1
	l.listen(t, false)
	send(t, l.a, far, group4, packet(addrB4, group4, 7, 9))
	if got, ok := next(t, l.a, time.Second); !ok || got.Port.Index != l.ia {
		t.Errorf("heard %v on the interface that came back", got)
	}
}

func TestSocketsAreHandedOver(t *testing.T) {
	l := newLan(t)
	l.listen(t, false)
	l.listen(t, true)
	send(t, l.b, l.ib, group4, packet(addrB4, group4, 7, 4))
	send(t, l.b, l.ib, group6, packet(addrB6, group6, 7, 6))
	handed := l.a.Files()
	copied := func(fd *int) {
		var err error
		if *fd, err = unix.Dup(*fd); err != nil {
			t.Fatal(err)
		}
	}
	copied(&handed.Frames)
	for i := range handed.Ears {
		copied(&handed.Ears[i].Peers)
		copied(&handed.Ears[i].Others)
	}
	l.a.Close()
	var second *Wire
	inherit := func(h Handed) error {
		t.Helper()
		var err, lost error
		l.nsA.Do(func() { second, err, lost = Inherit(h) })
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(second.Close)
		return lost
	}
	if lost := inherit(handed); lost != nil {
		t.Fatal(lost)
	}
	if err := second.Join(Port{l.ia, false}, "eth0"); err != nil {
		t.Errorf("join what was inherited: %v", err)
	}
	send(t, l.b, l.ib, group4, packet(addrB4, group4, 7, 4))
	heard := 0
	for {
		if _, ok := next(t, second, 50*time.Millisecond); !ok {
			break
		}
		heard++
	}
	if heard != 3 {
		t.Errorf("the successor heard %d packets, want two that were queued and a new one", heard)
	}
	if lost := inherit(Handed{Frames: -1, Ears: []Ears{{Port{1, false}, "lo", 0, 1}}}); lost == nil {
		t.Error("inherited files that are no sockets")
	}
	if len(second.Ports()) != 0 {
		t.Errorf("ports = %v of no sockets", second.Ports())
	}
}
