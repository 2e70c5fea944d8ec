package vrrp_test

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/hareconcile/hareconcile/internal/vrrp"
	"github.com/hareconcile/hareconcile/reconcile/resource"
)

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func ips(list ...string) []netip.Addr {
	var out []netip.Addr
	for _, s := range list {
		out = append(out, netip.MustParseAddr(s))
	}
	return out
}

// wrap puts a message in an IP packet.
func wrap(from, to netip.Addr, msg []byte) []byte {
	f, t := from.AsSlice(), to.AsSlice()
	b := []byte{0x45, 0xc0, 0, 0, 0, 0, 0, 0, 255, 112, 0, 0}
	binary.BigEndian.PutUint16(b[2:], uint16(20+len(msg)))
	if from.Is6() {
		b = []byte{0x6c, 0, 0, 0, 0, 0, 112, 255}
		binary.BigEndian.PutUint16(b[4:], uint16(len(msg)))
	}
	return slices.Concat(b, f, t, msg)
}

// unwrapped is the message of a packet.
func unwrapped(packet []byte) []byte {
	if packet[0]>>4 == 6 {
		return packet[40:]
	}
	return packet[20:]
}

// A vector is a message of somebody else.
type vector struct {
	name, from, to, hex string
	form                vrrp.Form
	reject              vrrp.Reject
	want                vrrp.Advert
	password            string
	signed              bool
}

var draftKey = []byte{
	0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31,
}

// draftTime is the instant of sequence 0x6800000080000000.
var draftTime = time.Unix(0x68000000, 5e8)

const (
	all4 = "224.0.0.18"
	all6 = "ff02::12"
)

var vectors = []vector{
	{
		name: "version 2 with a password (BSD, tcpdump tests/vrrp.pcap)", from: "10.0.0.91", to: all4, hex: "212abf03010af11f0a042a010a042a020a042a036162636465666768",
		form: vrrp.FormMessage, password: "abcdefgh",
		want: vrrp.Advert{Version: 2, VRID: 42, Priority: 191, Interval: 10 * time.Second, Addresses: ips("10.4.42.1", "10.4.42.2", "10.4.42.3")},
	},
	{
		name: "version 2 (the same)", from: "10.0.0.91", to: all4, hex: "212bbf01000aea2e0a042b960000000000000000", form: vrrp.FormMessage,
		want: vrrp.Advert{Version: 2, VRID: 43, Priority: 191, Interval: 10 * time.Second, Addresses: ips("10.4.43.150")},
	},
	{
		name: "version 2 (gopacket)", from: "192.168.0.30", to: all4, hex: "210164010001ba52c0a800010000000000000000", form: vrrp.FormMessage,
		want: vrrp.Advert{Version: 2, VRID: 1, Priority: 100, Interval: time.Second, Addresses: ips("192.168.0.1")},
	},
	{
		name: "version 2 (holo)", from: "10.0.1.1", to: all4, hex: "21331e010001b5c50a0001050000000000000000", form: vrrp.FormMessage,
		want: vrrp.Advert{Version: 2, VRID: 51, Priority: 30, Interval: time.Second, Addresses: ips("10.0.1.5")},
	},
	{
		name: "version 2, by hand", from: "192.168.200.1", to: all4, hex: "213364010001f210c0a8c8100000000000000000", form: vrrp.FormMessage,
		want: vrrp.Advert{Version: 2, VRID: 51, Priority: 100, Interval: time.Second, Addresses: ips("192.168.200.16")},
	},
	{
		name: "version 2 with a short password", from: "192.168.200.1", to: all4, hex: "2133640101018eaec0a8c8103131313100000000", form: vrrp.FormMessage, password: "1111",
		want: vrrp.Advert{Version: 2, VRID: 51, Priority: 100, Interval: time.Second, Addresses: ips("192.168.200.16")},
	},
	{
		name: "version 2 of priority 0", from: "192.168.200.1", to: all4, hex: "2133000100015611c0a8c8100000000000000000", form: vrrp.FormMessage,
		want: vrrp.Advert{Version: 2, VRID: 51, Interval: time.Second, Addresses: ips("192.168.200.16")},
	},
	{
		name: "version 3 (MikroTik, tcpdump tests/vrrp.pcap)", from: "10.0.0.91", to: all4, hex: "312cbf0203e8b3c60a042c640a042cc8", form: vrrp.FormPseudo,
		want: vrrp.Advert{Version: 3, VRID: 44, Priority: 191, Interval: 10 * time.Second, Addresses: ips("10.4.44.100", "10.4.44.200")},
	},
	{
		name: "one centisecond (PcapPlusPlus VRRP-V3-IPv4.dat)", from: "192.168.0.30", to: all4, hex: "310164020001484dc0a80001c0a80002", form: vrrp.FormPseudo,
		want: vrrp.Advert{Version: 3, VRID: 1, Priority: 100, Interval: 10 * time.Millisecond, Addresses: ips("192.168.0.1", "192.168.0.2")},
	},
	{
		name: "priority 254 (scapy vrrp.uts)", from: "20.0.0.3", to: all4, hex: "3102fe020001b25e1400010214000103", form: vrrp.FormPseudo,
		want: vrrp.Advert{Version: 3, VRID: 2, Priority: 254, Interval: 10 * time.Millisecond, Addresses: ips("20.0.1.2", "20.0.1.3")},
	},
	{
		name: "version 3 as RFC 9568 sums it", from: "192.168.200.1", to: all4, hex: "313364010064e1adc0a8c810", form: vrrp.FormMessage,
		want: vrrp.Advert{Version: 3, VRID: 51, Priority: 100, Interval: time.Second, Addresses: ips("192.168.200.16")},
	},
	{
		name: "the same with the pseudo-header", from: "192.168.200.1", to: all4, hex: "3133640100647874c0a8c810", form: vrrp.FormPseudo,
		want: vrrp.Advert{Version: 3, VRID: 51, Priority: 100, Interval: time.Second, Addresses: ips("192.168.200.16")},
	},
	{
		name: "the same to a peer", from: "192.168.200.1", to: "192.168.200.2", hex: "313364010064cfdbc0a8c810", form: vrrp.FormPseudo,
		want: vrrp.Advert{Version: 3, VRID: 51, Priority: 100, Interval: time.Second, Addresses: ips("192.168.200.16")},
	},
	{
		name: "IPv6 (tcpdump tests/vrrp.pcap)", from: "fe80::d6ca:6dff:fe66:cf60", to: all6, form: vrrp.FormPseudo,
		hex:  "312dbf0203e8cfa0fe8000000000000002005efffe00022d200100000000000000000000abcd000a",
		want: vrrp.Advert{Version: 3, VRID: 45, Priority: 191, Interval: 10 * time.Second, Addresses: ips("fe80::200:5eff:fe00:22d", "2001::abcd:a")},
	},
	{
		name: "IPv6 (PcapPlusPlus VRRP-V3-IPv6.dat)", from: "fe80::1", to: all6, form: vrrp.FormPseudo,
		hex:  "3101640300011071fe80000000000000000000000000025420010db800000000000000000000000120010db8000000000000000000000002",
		want: vrrp.Advert{Version: 3, VRID: 1, Priority: 100, Interval: 10 * time.Millisecond, Addresses: ips("fe80::254", "2001:db8::1", "2001:db8::2")},
	},
	{
		name: "IPv6 of priority 254 (scapy vrrp.uts)", from: "2001:db8::1", to: all6, form: vrrp.FormPseudo,
		hex:  "3102fe020001481b20010db800000000000000000000000220010db8000000000000000000000003",
		want: vrrp.Advert{Version: 3, VRID: 2, Priority: 254, Interval: 10 * time.Millisecond, Addresses: ips("2001:db8::2", "2001:db8::3")},
	},
	{
		name: "IPv6, by hand", from: "fe80::1", to: all6, form: vrrp.FormPseudo,
		hex:  "3133640200643f9cfe80000000000000000000000000005120010db8000000000000000000000010",
		want: vrrp.Advert{Version: 3, VRID: 51, Priority: 100, Interval: time.Second, Addresses: ips("fe80::51", "2001:db8::10")},
	},
	{
		name: "signed (draft-cassen-vrrp-auth-hmac)", from: "198.51.100.10", to: "192.0.2.10", form: vrrp.FormMessage, signed: true,
		hex:  "3133c80100644402c0000264" + "010100006800000080000000" + "1b84bc4e8e43892dc6d98448f8ee2265",
		want: vrrp.Advert{Version: 3, VRID: 51, Priority: 200, Interval: time.Second, Addresses: ips("192.0.2.100")},
	},
	{
		name: "signed over IPv6 (the same)", from: "fe80::10", to: "fe80::20", form: vrrp.FormPseudo, signed: true,
		hex:  "3133c8010064a2e9fe800000000000000000000000000100" + "010100006800000080000000" + "c8c56146ebfd66ee10ec4d8186461b78",
		want: vrrp.Advert{Version: 3, VRID: 51, Priority: 200, Interval: time.Second, Addresses: ips("fe80::100")},
	},
	{name: "version 2 without authentication data (PcapPlusPlus)", from: "192.168.0.30", to: all4, hex: "21016403000138fac0a80001c0a80002c0a80003", reject: vrrp.RejectShort},
	{name: "version 2 with a wrong checksum", from: "192.168.0.30", to: all4, hex: "210164010001ba53c0a800010000000000000000", reject: vrrp.RejectChecksum},
	{name: "version 2 of interval 0", from: "192.168.0.30", to: all4, hex: "210164010000ba53c0a800010000000000000000", reject: vrrp.RejectInterval},
	{name: "version 2 over IPv6", from: "fe80::1", to: all6, hex: "210164010001ba52c0a800010000000000000000", reject: vrrp.RejectVersion},
	{name: "version 4", from: "192.168.0.30", to: all4, hex: "413364010064d1adc0a8c810", reject: vrrp.RejectVersion},
	{name: "an IPv6 message over IPv4", from: "10.0.0.91", to: all4, hex: "312dbf0203e8cfa0fe8000000000000002005efffe00022d200100000000000000000000abcd000a", reject: vrrp.RejectLength},
	{name: "an IPv4 message over IPv6", from: "fe80::1", to: all6, hex: "3133640100647874c0a8c810", reject: vrrp.RejectShort},
	{name: "IPv6 without a pseudo-header", from: "fe80::1", to: all6, hex: "3133640100646b95fe800000000000000000000000000051", reject: vrrp.RejectChecksum},
	{name: "nothing", from: "10.0.0.91", to: all4, hex: "", reject: vrrp.RejectShort},
	{name: "seven bytes", from: "10.0.0.91", to: all4, hex: "31336401006478", reject: vrrp.RejectShort},
	{name: "type 2", from: "192.168.200.1", to: all4, hex: "323364010064e0adc0a8c810", reject: vrrp.RejectType},
	{name: "virtual router id 0", from: "192.168.200.1", to: all4, hex: "310064010064e1e0c0a8c810", reject: vrrp.RejectVRID},
	{name: "no address", from: "192.168.200.1", to: all4, hex: "3133640000646b68", reject: vrrp.RejectCount},
	{name: "a count of two over one address", from: "192.168.200.1", to: all4, hex: "313364020064e1acc0a8c810", reject: vrrp.RejectShort},
	{name: "a count of one over two addresses", from: "192.168.200.1", to: all4, hex: "313364010064e1adc0a8c810c0a8c811", reject: vrrp.RejectLength},
	{name: "interval 0", from: "192.168.200.1", to: all4, hex: "313364010000e211c0a8c810", reject: vrrp.RejectInterval},
	{name: "interval 0 beside reserved bits", from: "192.168.200.1", to: all4, hex: "31336401f000f210c0a8c810", reject: vrrp.RejectInterval},
	{name: "a wrong checksum", from: "192.168.200.1", to: all4, hex: "313364010064e1aec0a8c810", reject: vrrp.RejectChecksum},
	{name: "the pseudo-header of another source", from: "192.168.200.2", to: all4, hex: "3133640100647874c0a8c810", reject: vrrp.RejectChecksum},
	{name: "the pseudo-header of another destination", from: "192.168.200.1", to: all4, hex: "313364010064cfdbc0a8c810", reject: vrrp.RejectChecksum},
}

func (v *vector) packet(t testing.TB) []byte {
	t.Helper()
	return wrap(netip.MustParseAddr(v.from), netip.MustParseAddr(v.to), unhex(t, v.hex))
}

func equalAdverts(a, b *vrrp.Advert) bool {
	return a.Version == b.Version && a.VRID == b.VRID && a.Priority == b.Priority && a.Interval == b.Interval && slices.Equal(a.Addresses, b.Addresses)
}

func TestOpenVectors(t *testing.T) {
	for _, v := range vectors {
		t.Run(v.name, func(t *testing.T) {
			var a vrrp.Advert
			e, form, reject := vrrp.Open(v.packet(t), &a)
			if form != v.form || reject != v.reject {
				t.Fatalf("Open = form %v, %v, want form %v, %v", form, reject, v.form, v.reject)
			}
			if e.From.String() != v.from || e.To.String() != v.to || e.TTL != 255 {
				t.Errorf("envelope = %+v, want from %s to %s", e, v.from, v.to)
			}
			if reject != vrrp.Admitted {
				return
			}
			if !equalAdverts(&a, &v.want) || a.Signed() != v.signed {
				t.Errorf("advert = %+v, want %+v", a, v.want)
			}
		})
	}
}

func TestLettersAreTheVectors(t *testing.T) {
	for _, v := range vectors {
		if v.reject != vrrp.Admitted {
			continue
		}
		t.Run(v.name, func(t *testing.T) {
			var password *[8]byte
			if v.password != "" {
				password = new([8]byte)
				copy(password[:], v.password)
			}
			var auth *vrrp.Auth
			if v.signed {
				auth = newAuth(t, resource.AuthEnforce)
			}
			from, to := netip.MustParseAddr(v.from), netip.MustParseAddr(v.to)
			l, err := vrrp.NewLetter(&v.want, from, to, v.form, auth, password)
			if err != nil {
				t.Fatal(err)
			}
			l.Packet(v.want.Priority^0xff, draftTime.Add(-time.Second)) // must leave nothing behind
			packet := l.Packet(v.want.Priority, draftTime)
			if got, want := unwrapped(packet), unhex(t, v.hex); !bytes.Equal(got, want) {
				t.Errorf("message = %x, want %x", got, want)
			}
			if head := len(packet) - len(unwrapped(packet)); !from.Is4() && !bytes.Equal(packet[:head], v.packet(t)[:head]) {
				t.Errorf("header = %x, want %x", packet[:head], v.packet(t)[:head])
			}
			if l.To() != to {
				t.Errorf("To() = %v, want %v", l.To(), to)
			}
		})
	}
}
