package vrrp_test

import (
	"errors"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/hareconcile/hareconcile/internal/vrrp"
	"github.com/hareconcile/hareconcile/reconcile/resource"
)

func TestNewLetterRefuses(t *testing.T) {
	type args struct {
		a        vrrp.Advert
		from, to netip.Addr
		auth     *vrrp.Auth
		password *[8]byte
	}
	for name, change := range map[string]func(*args){
		"version 1":                           func(x *args) { x.a.Version = 1 },
		"virtual router id 0":                 func(x *args) { x.a.VRID = 0 },
		"interval 0":                          func(x *args) { x.a.Interval = 0 },
		"an interval beyond twelve bits":      func(x *args) { x.a.Interval = 41 * time.Second },
		"a centisecond and a half":            func(x *args) { x.a.Interval = 15 * time.Millisecond },
		"half a second in version 2":          func(x *args) { x.a.Version, x.a.Interval = 2, 1500*time.Millisecond },
		"256 seconds in version 2":            func(x *args) { x.a.Version, x.a.Interval = 2, 256*time.Second },
		"no address":                          func(x *args) { x.a.Addresses = nil },
		"256 addresses":                       func(x *args) { x.a.Addresses = slices.Repeat(x.a.Addresses[:1], 256) },
		"an address of the other family":      func(x *args) { x.a.Addresses = ips("fe80::1") },
		"an address that is none":             func(x *args) { x.a.Addresses = []netip.Addr{{}} },
		"no source":                           func(x *args) { x.from = netip.Addr{} },
		"source 0.0.0.0":                      func(x *args) { x.from = netip.IPv4Unspecified() },
		"a group as source":                   func(x *args) { x.from = vrrp.Multicast4 },
		"no destination":                      func(x *args) { x.to = netip.Addr{} },
		"a destination of the other family":   func(x *args) { x.to = vrrp.Multicast6 },
		"a password in version 3":             func(x *args) { x.password = new([8]byte) },
		"a password and a signature":          func(x *args) { x.a.Version, x.password, x.auth = 2, new([8]byte), newAuth(t, resource.AuthReceiveOnly) },
		"version 2 over IPv6":                 func(x *args) { x.a.Version, x.from, x.to, x.a.Addresses = 2, six1, six2, ips("fe80::1") },
		"an IPv4 address mapped into IPv6":    func(x *args) { x.a.Addresses = ips("::ffff:10.0.0.1") },
		"the longest interval and a bit more": func(x *args) { x.a.Interval = vrrp.MaxInterval + 1 },
	} {
		x := args{a: advert4, from: node1, to: vrrp.Multicast4}
		change(&x)
		if _, err := vrrp.NewLetter(&x.a, x.from, x.to, vrrp.FormPseudo, x.auth, x.password); !errors.Is(err, vrrp.ErrAdvert) {
			t.Errorf("%s: NewLetter = %v, want ErrAdvert", name, err)
		}
	}
}

func TestLetterHeaderIsWhole(t *testing.T) {
	b := letter(t, advert4, node1, node2)
	if b[0] != 0x45 || b[1] != 0xc0 || int(b[2])<<8|int(b[3]) != len(b) || b[8] != 255 || b[9] != 112 {
		t.Errorf("IPv4 header = %x", b[:20])
	}
	var sum uint32
	for i := 0; i < 20; i += 2 {
		sum += uint32(b[i])<<8 | uint32(b[i+1])
	}
	if sum = sum&0xffff + sum>>16; sum != 0xffff {
		t.Errorf("IPv4 header sums to %x, want ffff", sum)
	}
	b = letter(t, advert6, six1, vrrp.Multicast6)
	if b[0] != 0x6c || b[1] != 0 || int(b[4])<<8|int(b[5]) != len(b)-40 || b[6] != 112 || b[7] != 255 {
		t.Errorf("IPv6 header = %x", b[:40])
	}
}

func TestLinkLocalGoesFirst(t *testing.T) {
	a := advert6
	a.Addresses = ips("2001:db8::1", "2001:db8::2", "fe80::7", "fe80::8")
	var got vrrp.Advert
	if _, _, reject := vrrp.Open(letter(t, a, six1, vrrp.Multicast6), &got); reject != vrrp.Admitted {
		t.Fatal(reject)
	}
	if want := ips("fe80::7", "2001:db8::1", "2001:db8::2", "fe80::8"); !slices.Equal(got.Addresses, want) {
		t.Errorf("addresses = %v, want %v", got.Addresses, want)
	}
	if a.Addresses[0] != netip.MustParseAddr("2001:db8::1") {
		t.Error("NewLetter changed the caller's list")
	}
}

// TestEveryPriority opens letters of each priority: the checksum follows.
func TestEveryPriority(t *testing.T) {
	for _, tt := range []struct {
		a        vrrp.Advert
		from, to netip.Addr
		mode     string
	}{{advert4, node1, vrrp.Multicast4, ""}, {advert6, six1, vrrp.Multicast6, ""}, {advert4, node1, node2, resource.AuthEnforce}, {advert6, six1, six2, resource.AuthEnforce}} {
		var auth *vrrp.Auth
		if tt.mode != "" {
			auth = newAuth(t, tt.mode)
		}
		l, err := vrrp.NewLetter(&tt.a, tt.from, tt.to, vrrp.FormPseudo, auth, nil)
		if err != nil {
			t.Fatal(err)
		}
		for p := range 256 {
			var a vrrp.Advert
			_, form, reject := vrrp.Open(l.Packet(uint8(p), draftTime), &a)
			if form != vrrp.FormPseudo || reject != vrrp.Admitted || int(a.Priority) != p || a.Signed() != (auth != nil) {
				t.Fatalf("from %v, priority %d: Open = %v, %v, %+v", tt.from, p, form, reject, a)
			}
		}
	}
}

func TestMaxAddressesFor(t *testing.T) {
	for _, tt := range []struct {
		version      int
		ipv6, signed bool
		mtu, want    int
	}{
		{3, false, false, 1500, 255}, {2, false, false, 1500, 255}, {3, false, true, 1500, 255},
		{3, true, false, 1500, 90}, {3, true, true, 1500, 89}, {3, true, false, 9000, 255},
		{3, false, false, 576, 137}, {2, false, false, 576, 135}, {3, false, true, 576, 130}, {3, false, false, 0, 0},
	} {
		got := vrrp.MaxAddressesFor(tt.version, tt.ipv6, tt.signed, tt.mtu)
		if got != tt.want {
			t.Errorf("MaxAddressesFor(%d, %v, %v, %d) = %d, want %d", tt.version, tt.ipv6, tt.signed, tt.mtu, got, tt.want)
		}
		if got == 0 {
			continue
		}
		a, from, to := vrrp.Advert{Version: uint8(tt.version), VRID: 1, Interval: time.Second}, node1, vrrp.Multicast4
		a.Addresses = slices.Repeat(ips("10.0.0.1"), got)
		if tt.ipv6 {
			from, to, a.Addresses = six1, vrrp.Multicast6, slices.Repeat(ips("fe80::1"), got)
		}
		var auth *vrrp.Auth
		if tt.signed {
			auth = newAuth(t, resource.AuthEnforce)
		}
		l, err := vrrp.NewLetter(&a, from, to, vrrp.FormNone, auth, nil)
		if err != nil {
			t.Fatal(err)
		}
		if size := len(l.Packet(1, draftTime)); size > tt.mtu || got < vrrp.MaxAddresses && size+16 <= tt.mtu {
			t.Errorf("%d addresses make %d bytes of %d", got, size, tt.mtu)
		}
	}
}
