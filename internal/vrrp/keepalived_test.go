package vrrp_test

import (
	"bytes"
	"net/netip"
	"testing"
	"time"

	"github.com/hareconcile/hareconcile/internal/vrrp"
)

// TestKeepalived has whole packets that keepalived 2.2.7 sent: a guard that knows the
// sender admits them, and a letter for the same router has the same message.
func TestKeepalived(t *testing.T) {
	const half = 500 * time.Millisecond
	ka4, ka6, kaLocal := netip.MustParseAddr("10.9.0.1"), netip.MustParseAddr("2001:db8:9::1"), netip.MustParseAddr("fe80::e437:61ff:fe5f:1ffe")
	us4, us6, usLocal := netip.MustParseAddr("10.9.0.2"), netip.MustParseAddr("2001:db8:9::2"), netip.MustParseAddr("fe80::2")
	tests := []struct {
		name, packet string
		guard        vrrp.Guard
		want         vrrp.Advert
		form         vrrp.Form
		password     string
		reject       vrrp.Reject
	}{
		{
			name: "version 2 with a password", packet: "45c0002800010000ff70d0880a090001e0000012210164010101ddf80a0900656162636465666768",
			guard: vrrp.Guard{Version: 2, Self: us4, Peers: []netip.Addr{ka4}, Interval: time.Second},
			want:  vrrp.Advert{Version: 2, VRID: 1, Priority: 100, Interval: time.Second, Addresses: ips("10.9.0.101")}, form: vrrp.FormMessage, password: "abcdefgh",
		},
		{
			name: "version 2 that resigns", packet: "45c0002800060000ff70d0830a090001e000001221010001010141f90a0900656162636465666768",
			guard: vrrp.Guard{Version: 2, Self: us4, Peers: []netip.Addr{ka4}, Interval: time.Second},
			want:  vrrp.Advert{Version: 2, VRID: 1, Interval: time.Second, Addresses: ips("10.9.0.101")}, form: vrrp.FormMessage, password: "abcdefgh",
		},
		{
			name: "version 3", packet: "45c0002400010000ff70d08c0a090001e00000123102640200326b440a0900660a090070",
			guard: vrrp.Guard{Self: us4, Peers: []netip.Addr{ka4}, Interval: half},
			want:  vrrp.Advert{Version: 3, VRID: 2, Priority: 100, Interval: half, Addresses: ips("10.9.0.102", "10.9.0.112")}, form: vrrp.FormPseudo,
		},
		{
			name: "IPv6", packet: "6c0a950a002870fffe80000000000000e43761fffe5f1ffeff020000000000000000000000000012310464020032d9b8fe80000000000000000000000000010420010db8000900000000000000000104",
			guard: vrrp.Guard{Self: usLocal, Peers: []netip.Addr{kaLocal}, Interval: half},
			want:  vrrp.Advert{Version: 3, VRID: 4, Priority: 100, Interval: half, Addresses: ips("fe80::104", "2001:db8:9::104")}, form: vrrp.FormPseudo,
		},
		{
			name: "unicast", packet: "45c0002000010000ff70a6980a0900010a0900023105640100324bc40a090069",
			guard: vrrp.Guard{Self: us4, Peers: []netip.Addr{ka4}, Unicast: true, Interval: half},
			want:  vrrp.Advert{Version: 3, VRID: 5, Priority: 100, Interval: half, Addresses: ips("10.9.0.105")}, form: vrrp.FormPseudo,
		},
		{
			name: "unicast over IPv6", packet: "6c0236830018704020010db800090000000000000000000120010db8000900000000000000000002310664010032dfee20010db8000900000000000000000106",
			guard: vrrp.Guard{Self: us6, Peers: []netip.Addr{ka6}, Unicast: true, MinTTL: 64, Interval: half},
			want:  vrrp.Advert{Version: 3, VRID: 6, Priority: 100, Interval: half, Addresses: ips("2001:db8:9::106")}, form: vrrp.FormPseudo,
		},
		{
			name: "unicast over IPv6 has the kernel's hop limit", packet: "6c0236830018704020010db800090000000000000000000120010db8000900000000000000000002310664010032dfee20010db8000900000000000000000106",
			guard: vrrp.Guard{Self: us6, Peers: []netip.Addr{ka6}, Unicast: true, Interval: half},
			want:  vrrp.Advert{Version: 3, VRID: 6, Priority: 100, Interval: half, Addresses: ips("2001:db8:9::106")}, form: vrrp.FormPseudo, reject: vrrp.RejectTTL,
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var password *[8]byte
			if tt.password != "" {
				password = new([8]byte)
				copy(password[:], tt.password)
				tt.guard.Password, tt.guard.HasPassword = *password, true
			}
			packet := unhex(t, tt.packet)
			var a vrrp.Advert
			e, form, reject := vrrp.Open(packet, &a)
			if reject != vrrp.Admitted || form != tt.form || !equalAdverts(&a, &tt.want) {
				t.Fatalf("Open = form %v, %v, %+v", form, reject, a)
			}
			if got := tt.guard.Judge(&a, e, form, time.Time{}); got != tt.reject {
				t.Errorf("Judge = %v, want %v", got, tt.reject)
			}
			tt.guard.Addresses = tt.want.Addresses
			if !tt.guard.SameAddresses(&a) {
				t.Error("the same addresses count as others")
			}
			l, err := vrrp.NewLetter(&tt.want, e.From, e.To, tt.form, nil, password)
			if err != nil {
				t.Fatal(err)
			}
			if got := unwrapped(l.Packet(tt.want.Priority, time.Time{})); !bytes.Equal(got, unwrapped(packet)) {
				t.Errorf("our message = %x, keepalived's is %x", got, unwrapped(packet))
			}
		})
	}
}
