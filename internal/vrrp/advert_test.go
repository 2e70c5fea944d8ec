package vrrp_test

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hareconcile/hareconcile/internal/vrrp"
)

func bytesOf(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func addrs(ss ...string) []netip.Addr {
	var out []netip.Addr
	for _, s := range ss {
		out = append(out, netip.MustParseAddr(s))
	}
	return out
}

// vectors are messages of others.
var vectors = []struct {
	name, from, hex string
	form            vrrp.Form
	reject          vrrp.Reject
	want            vrrp.Advert
}{
	{
		"MikroTik, two addresses (tcpdump tests/vrrp.pcap)", "10.0.0.91", "312cbf0203e8b3c60a042c640a042cc8", vrrp.FormPseudo, 0,
		vrrp.Advert{VRID: 44, Priority: 191, Interval: 10 * s, Addresses: addrs("10.4.44.100", "10.4.44.200")},
	},
	{
		"one centisecond (PcapPlusPlus VRRP-V3-IPv4.dat)", "192.168.0.30", "310164020001484dc0a80001c0a80002", vrrp.FormPseudo, 0,
		vrrp.Advert{VRID: 1, Priority: 100, Interval: 10 * ms, Addresses: addrs("192.168.0.1", "192.168.0.2")},
	},
	{
		"priority 254 (scapy vrrp.uts)", "20.0.0.3", "3102fe020001b25e1400010214000103", vrrp.FormPseudo, 0,
		vrrp.Advert{VRID: 2, Priority: 254, Interval: 10 * ms, Addresses: addrs("20.0.1.2", "20.0.1.3")},
	},
	{
		"RFC 9568's checksum", "192.168.200.1", "313364010064e1adc0a8c810", vrrp.FormMessage, 0,
		vrrp.Advert{VRID: 51, Priority: 100, Interval: s, Addresses: addrs("192.168.200.16")},
	},
	{
		"the same with the pseudo-header", "192.168.200.1", "3133640100647874c0a8c810", vrrp.FormPseudo, 0,
		vrrp.Advert{VRID: 51, Priority: 100, Interval: s, Addresses: addrs("192.168.200.16")},
	},
	{
		"draft-cassen-vrrp-auth-hmac without its trailer", "198.51.100.10", "3133c80100644402c0000264", vrrp.FormMessage, 0,
		vrrp.Advert{VRID: 51, Priority: 200, Interval: s, Addresses: addrs("192.0.2.100")},
	},
	{name: "with its trailer", from: "198.51.100.10", hex: "3133c80100644402c00002640101000068000000800000001b84bc4e8e43892dc6d98448f8ee2265", reject: vrrp.RejectLength},
	{name: "version 2 with authentication (BSD)", from: "10.0.0.91", hex: "212abf03010af11f0a042a010a042a020a042a036162636465666768", reject: vrrp.RejectVersion},
	{name: "version 2 (gopacket)", from: "192.168.0.30", hex: "210164010001ba52c0a800010000000000000000", reject: vrrp.RejectVersion},
	{name: "version 2 without authentication data (PcapPlusPlus)", from: "192.168.0.30", hex: "21016403000138fac0a80001c0a80002c0a80003", reject: vrrp.RejectVersion},
	{name: "version 3 over IPv6", from: "10.0.0.91", hex: "312dbf0203e8cfa0fe8000000000000002005efffe00022d200100000000000000000000abcd000a", reject: vrrp.RejectLength},
	{name: "nothing", from: "10.0.0.91", hex: "", reject: vrrp.RejectShort},
	{name: "seven bytes", from: "10.0.0.91", hex: "31336401006478", reject: vrrp.RejectShort},
	{name: "type 2", from: "192.168.200.1", hex: "323364010064e0adc0a8c810", reject: vrrp.RejectType},
	{name: "virtual router id 0", from: "192.168.200.1", hex: "310064010064e1e0c0a8c810", reject: vrrp.RejectVRID},
	{name: "no address", from: "192.168.200.1", hex: "3133640000646b68", reject: vrrp.RejectCount},
	{name: "a count of two over one address", from: "192.168.200.1", hex: "313364020064e1acc0a8c810", reject: vrrp.RejectLength},
	{name: "a count of one over two addresses", from: "192.168.200.1", hex: "313364010064e1adc0a8c810c0a8c811", reject: vrrp.RejectLength},
	{name: "interval 0", from: "192.168.200.1", hex: "313364010000e211c0a8c810", reject: vrrp.RejectInterval},
	{name: "interval 0 beside reserved bits", from: "192.168.200.1", hex: "31336401f000f210c0a8c810", reject: vrrp.RejectInterval},
	{name: "a wrong checksum", from: "192.168.200.1", hex: "313364010064e1aec0a8c810", reject: vrrp.RejectChecksum},
	{name: "the pseudo-header of another source", from: "192.168.200.2", hex: "3133640100647874c0a8c810", reject: vrrp.RejectChecksum},
}

func TestParseVectors(t *testing.T) {
	for _, tt := range vectors {
		t.Run(tt.name, func(t *testing.T) {
			var a vrrp.Advert
			form, reject := a.Parse(bytesOf(t, tt.hex), netip.MustParseAddr(tt.from), vrrp.Multicast4)
			if form != tt.form || reject != tt.reject {
				t.Fatalf("Parse = form %v, %v, want form %v, %v", form, reject, tt.form, tt.reject)
			}
			if reject != vrrp.Admitted {
				return
			}
			if d := cmp.Diff(tt.want, a, cmp.Comparer(func(x, y netip.Addr) bool { return x == y })); d != "" {
				t.Errorf("advert (-want +got):\n%s", d)
			}
			out, err := a.Append(nil, netip.MustParseAddr(tt.from), vrrp.Multicast4)
			if err != nil {
				t.Fatal(err)
			}
			if same := bytes.Equal(out, bytesOf(t, tt.hex)); same != (form == vrrp.FormPseudo) {
				t.Errorf("Append = %x, read from %s", out, tt.hex)
			}
		})
	}
}

func TestAppendRefuses(t *testing.T) {
	good := vrrp.Advert{VRID: 1, Priority: 1, Interval: s, Addresses: addrs("10.0.0.1")}
	for name, change := range map[string]func(*vrrp.Advert){
		"virtual router id 0":            func(a *vrrp.Advert) { a.VRID = 0 },
		"interval 0":                     func(a *vrrp.Advert) { a.Interval = 0 },
		"an interval beyond twelve bits": func(a *vrrp.Advert) { a.Interval = 41 * s },
		"no address":                     func(a *vrrp.Advert) { a.Addresses = nil },
		"256 addresses":                  func(a *vrrp.Advert) { a.Addresses = make([]netip.Addr, 256) },
		"an IPv6 address":                func(a *vrrp.Advert) { a.Addresses = addrs("fe80::1") },
	} {
		a := good
		change(&a)
		if b, err := a.AppendPacket([]byte("x"), own); !errors.Is(err, vrrp.ErrAdvert) || string(b) != "x" {
			t.Errorf("%s: AppendPacket = %q, %v, want ErrAdvert", name, b, err)
		}
	}
	if _, err := good.AppendPacket(nil, netip.MustParseAddr("fe80::1")); !errors.Is(err, vrrp.ErrAdvert) {
		t.Errorf("an IPv6 source: AppendPacket = %v, want ErrAdvert", err)
	}
}

func packet(t testing.TB) []byte {
	t.Helper()
	a := vrrp.Advert{VRID: 7, Priority: 100, Interval: s, Addresses: addrs("10.0.0.100", "10.0.0.101")}
	b, err := a.AppendPacket(nil, own)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestReceive(t *testing.T) {
	tests := []struct {
		name   string
		change func([]byte) []byte
		want   vrrp.Reject
	}{
		{"what we send", func(b []byte) []byte { return b }, vrrp.Admitted},
		{"with Ethernet padding behind it", func(b []byte) []byte { return append(b, 0, 0, 0) }, vrrp.Admitted},
		{"with IP options", func(b []byte) []byte {
			b = slices.Insert(b, 20, 1, 1, 1, 1)
			b[0] = 0x46
			binary.BigEndian.PutUint16(b[2:], uint16(len(b)))
			return b
		}, vrrp.Admitted},
		{"TTL 254 has crossed a router", func(b []byte) []byte { b[8] = 254; return b }, vrrp.RejectTTL},
		{"another destination", func(b []byte) []byte { b[19] = 19; return b }, vrrp.RejectDestination},
		{"a fragment", func(b []byte) []byte { b[6] = 0x20; return b }, vrrp.RejectFragment},
		{"a later fragment", func(b []byte) []byte { b[7] = 1; return b }, vrrp.RejectFragment},
		{"another protocol", func(b []byte) []byte { b[9] = 17; return b }, vrrp.RejectHeader},
		{"IPv6", func(b []byte) []byte { b[0] = 0x65; return b }, vrrp.RejectHeader},
		{"a header length below the least", func(b []byte) []byte { b[0] = 0x44; return b }, vrrp.RejectHeader},
		{"a header longer than the packet", func(b []byte) []byte { b[0] = 0x4f; b[3] = 40; return b[:40] }, vrrp.RejectHeader},
		{"a total length beyond the bytes", func(b []byte) []byte { b[2] = 1; return b }, vrrp.RejectHeader},
		{"cut within the message", func(b []byte) []byte { b[3] = 32; return b[:32] }, vrrp.RejectLength},
		{"a header alone", func(b []byte) []byte { b[3] = 20; return b[:20] }, vrrp.RejectShort},
		{"nothing", func([]byte) []byte { return nil }, vrrp.RejectHeader},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var a vrrp.Advert
			from, form, reject := vrrp.Receive(tt.change(packet(t)), &a)
			if reject != tt.want {
				t.Fatalf("Receive = %v, want %v", reject, tt.want)
			}
			if reject == vrrp.Admitted && (from != own || form != vrrp.FormPseudo || a.VRID != 7 || len(a.Addresses) != 2) {
				t.Errorf("Receive = %v, %v, %+v", from, form, a)
			}
		})
	}
}

func TestGuard(t *testing.T) {
	g := vrrp.Guard{Self: own, Peers: []netip.Addr{higher}, Interval: s, Addresses: addrs("10.0.0.100", "10.0.0.101")}
	tests := []struct {
		name     string
		from     netip.Addr
		interval time.Duration
		want     vrrp.Reject
	}{
		{"a peer", higher, s, vrrp.Admitted},
		{"a peer at four times our interval", higher, 4 * s, vrrp.Admitted},
		{"a peer at a quarter of it", higher, 250 * ms, vrrp.Admitted},
		{"a peer above four times", higher, 4*s + 10*ms, vrrp.RejectBounds},
		{"a peer below a quarter", higher, 240 * ms, vrrp.RejectBounds},
		{"a peer with the longest interval that fits", higher, vrrp.MaxInterval, vrrp.RejectBounds},
		{"a stranger", lower, s, vrrp.RejectStranger},
		{"ourselves, looped back", own, s, vrrp.RejectOwn},
	}
	for _, tt := range tests {
		if got := g.Admit(&vrrp.Advert{Interval: tt.interval}, tt.from); got != tt.want {
			t.Errorf("%s: Admit = %v, want %v", tt.name, got, tt.want)
		}
	}
	if !g.SameAddresses(&vrrp.Advert{Addresses: addrs("10.0.0.101", "10.0.0.100")}) {
		t.Error("the same addresses in another order count as others")
	}
	if g.SameAddresses(&vrrp.Advert{Addresses: addrs("10.0.0.101", "10.0.0.102")}) || g.SameAddresses(&vrrp.Advert{}) {
		t.Error("other addresses count as the same")
	}
}

func TestCodecAllocatesNothing(t *testing.T) {
	in := packet(t)
	g := vrrp.Guard{Self: lower, Peers: []netip.Addr{own}, Interval: s, Addresses: addrs("10.0.0.100", "10.0.0.101")}
	buf := make([]byte, 0, len(in))
	a := vrrp.Advert{Addresses: make([]netip.Addr, 0, 2)}
	n := testing.AllocsPerRun(1000, func() {
		from, _, reject := vrrp.Receive(in, &a)
		if reject != vrrp.Admitted || g.Admit(&a, from) != vrrp.Admitted || !g.SameAddresses(&a) {
			t.Fatal("the packet was refused")
		}
		if _, err := a.AppendPacket(buf, own); err != nil {
			t.Fatal(err)
		}
	})
	if n != 0 {
		t.Errorf("%v allocations for a packet, want 0", n)
	}
}

// FuzzReceive holds that Receive is total, and that what it lets through is written as it
// was read.
func FuzzReceive(f *testing.F) {
	for _, v := range vectors {
		f.Add(fuzzPacket(f, v.from, bytesOf(f, v.hex)))
	}
	f.Add(packet(f))
	f.Add([]byte{0x4f, 0, 0, 60})
	f.Fuzz(func(t *testing.T, b []byte) {
		var a vrrp.Advert
		from, form, reject := vrrp.Receive(b, &a)
		if (reject == vrrp.Admitted) != (form != vrrp.FormNone) || reject >= vrrp.NumRejects {
			t.Fatalf("Receive = form %v, %v", form, reject)
		}
		if reject != vrrp.Admitted {
			return
		}
		out, err := a.AppendPacket(nil, from)
		if err != nil {
			t.Fatalf("what was read cannot be written: %v", err)
		}
		var again vrrp.Advert
		f2, form2, reject := vrrp.Receive(out, &again)
		if reject != vrrp.Admitted || form2 != vrrp.FormPseudo || f2 != from || again.VRID != a.VRID || again.Priority != a.Priority ||
			again.Interval != a.Interval || !slices.Equal(again.Addresses, a.Addresses) {
			t.Fatalf("written %+v, read back %+v (%v)", a, again, reject)
		}
	})
}

// fuzzPacket puts an IPv4 header before a message.
func fuzzPacket(t testing.TB, from string, msg []byte) []byte {
	t.Helper()
	b := slices.Clone(packet(t)[:20])
	v4 := netip.MustParseAddr(from).As4()
	copy(b[12:], v4[:])
	binary.BigEndian.PutUint16(b[2:], uint16(20+len(msg)))
	return append(b, msg...)
}
