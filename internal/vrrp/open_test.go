package vrrp_test

import (
	"encoding/binary"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/hareconcile/hareconcile/internal/vrrp"
)

var (
	node1, node2, node3 = netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("10.0.0.2"), netip.MustParseAddr("10.0.0.3")
	six1, six2          = netip.MustParseAddr("fe80::1"), netip.MustParseAddr("fe80::2")
	advert4             = vrrp.Advert{VRID: 7, Priority: 100, Interval: time.Second, Addresses: ips("10.0.0.100", "10.0.0.101")}
	advert6             = vrrp.Advert{VRID: 7, Priority: 100, Interval: time.Second, Addresses: ips("fe80::100", "2001:db8::100")}
)

// letter returns a packet that we would send.
func letter(t testing.TB, a vrrp.Advert, from, to netip.Addr) []byte {
	t.Helper()
	l, err := vrrp.NewLetter(&a, from, to, vrrp.FormNone, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	return slices.Clone(l.Packet(a.Priority, time.Time{}))
}

func TestOpenHeaders(t *testing.T) {
	packet4, packet6 := letter(t, advert4, node1, vrrp.Multicast4), letter(t, advert6, six1, vrrp.Multicast6)
	tests := []struct {
		name   string
		packet []byte
		change func([]byte) []byte
		want   vrrp.Reject
	}{
		{"what we send", packet4, func(b []byte) []byte { return b }, vrrp.Admitted},
		{"with Ethernet padding behind it", packet4, func(b []byte) []byte { return append(b, make([]byte, 10)...) }, vrrp.Admitted},
		{"with padding as long as a signature", packet4, func(b []byte) []byte { return append(b, make([]byte, 28)...) }, vrrp.Admitted},
		{"with IP options", packet4, func(b []byte) []byte {
			b = slices.Insert(b, 20, 1, 1, 1, 1)
			b[0] = 0x46
			binary.BigEndian.PutUint16(b[2:], uint16(len(b)))
			return b
		}, vrrp.Admitted},
		{"TTL and destination are for the guard", packet4, func(b []byte) []byte { b[8] = 1; return b }, vrrp.Admitted},
		{"a fragment", packet4, func(b []byte) []byte { b[6] = 0x20; return b }, vrrp.RejectFragment},
		{"a later fragment", packet4, func(b []byte) []byte { b[7] = 1; return b }, vrrp.RejectFragment},
		{"another protocol", packet4, func(b []byte) []byte { b[9] = 17; return b }, vrrp.RejectHeader},
		{"IP version 5", packet4, func(b []byte) []byte { b[0] = 0x55; return b }, vrrp.RejectHeader},
		{"a header length below the least", packet4, func(b []byte) []byte { b[0] = 0x44; return b }, vrrp.RejectHeader},
		{"a header longer than the packet", packet4, func(b []byte) []byte { b[0] = 0x4f; b[3] = 36; return b[:36] }, vrrp.RejectHeader},
		{"a total length beyond the bytes", packet4, func(b []byte) []byte { b[2] = 1; return b }, vrrp.RejectHeader},
		{"cut within the message", packet4, func(b []byte) []byte { b[3] = 32; return b[:32] }, vrrp.RejectShort},
		{"a header alone", packet4, func(b []byte) []byte { b[3] = 20; return b[:20] }, vrrp.RejectShort},
		{"19 bytes", packet4, func(b []byte) []byte { return b[:19] }, vrrp.RejectHeader},
		{"nothing", packet4, func([]byte) []byte { return nil }, vrrp.RejectHeader},
		{"what we send over IPv6", packet6, func(b []byte) []byte { return b }, vrrp.Admitted},
		{"IPv6 with padding behind it", packet6, func(b []byte) []byte { return append(b, 0, 0, 0) }, vrrp.Admitted},
		{"IPv6 with an extension header", packet6, func(b []byte) []byte { b[6] = 0; return b }, vrrp.RejectHeader},
		{"an IPv6 payload beyond the bytes", packet6, func(b []byte) []byte { b[5]++; return b }, vrrp.RejectHeader},
		{"IPv6 cut within the message", packet6, func(b []byte) []byte { b[5] = 30; return b[:70] }, vrrp.RejectShort},
		{"39 bytes of IPv6", packet6, func(b []byte) []byte { return b[:39] }, vrrp.RejectHeader},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var a vrrp.Advert
			_, form, reject := vrrp.Open(tt.change(slices.Clone(tt.packet)), &a)
			if reject != tt.want || (form == vrrp.FormPseudo) != (tt.want == vrrp.Admitted) {
				t.Fatalf("Open = form %v, %v, want %v", form, reject, tt.want)
			}
			if reject == vrrp.Admitted && (a.VRID != 7 || len(a.Addresses) != 2) {
				t.Errorf("Open read %+v", a)
			}
		})
	}
}

// TestEveryBitCounts flips each bit of packets: nothing that differs is taken for what was
// sent, except where the bit is of no consequence to VRRP.
func TestEveryBitCounts(t *testing.T) {
	for _, packet := range [][]byte{letter(t, advert4, node1, vrrp.Multicast4), letter(t, advert6, six1, vrrp.Multicast6)} {
		header := len(packet) - len(unwrapped(packet))
		for bit := header * 8; bit < len(packet)*8; bit++ {
			b := slices.Clone(packet)
			b[bit/8] ^= 0x80 >> (bit % 8)
			var a vrrp.Advert
			if _, _, reject := vrrp.Open(b, &a); reject == vrrp.Admitted {
				t.Errorf("bit %d of the message flipped: Open admits %+v", bit-header*8, a)
			}
		}
	}
}

func TestRejectsHaveNames(t *testing.T) {
	seen := map[string]vrrp.Reject{}
	for r := range vrrp.NumRejects {
		name := r.String()
		if other, ok := seen[name]; ok || name == "" || name == "unknown" {
			t.Errorf("reject %d is called %q, as is %d", r, name, other)
		}
		seen[name] = r
	}
	if got := vrrp.NumRejects.String(); got != "unknown" {
		t.Errorf("NumRejects.String() = %q, want unknown", got)
	}
}

// TestShortPacketIsCountedWhereItBelongs: a router's counters tell of whatever names it.
func TestShortPacketIsCountedWhereItBelongs(t *testing.T) {
	packet := letter(t, advert4, node1, vrrp.Multicast4)
	for size, want := range map[int]uint8{0: 0, 1: 0, 2: advert4.VRID, 7: advert4.VRID} {
		b := slices.Clone(packet[:20+size])
		b[3] = uint8(len(b))
		a := vrrp.Advert{VRID: 99}
		if _, _, reject := vrrp.Open(b, &a); reject != vrrp.RejectShort || a.VRID != want {
			t.Errorf("%d bytes: %v, VRID %d, want %v, %d", size, reject, a.VRID, vrrp.RejectShort, want)
		}
	}
}
