package vrrp_test

import (
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/hareconcile/hareconcile/internal/vrrp"
	"github.com/hareconcile/hareconcile/reconcile/resource"
)

// TestJudge starts from an advert that is admitted and changes one thing.
func TestJudge(t *testing.T) {
	type hearing struct {
		g        vrrp.Guard
		a        vrrp.Advert
		from, to netip.Addr
		ttl      uint8
		password *[8]byte
	}
	interval := func(d time.Duration) func(*hearing) { return func(h *hearing) { h.a.Interval = d } }
	v2 := func(h *hearing) { h.g.Version, h.a.Version = 2, 2 }
	secret := &[8]byte{'s', 'e', 'c', 'r', 'e', 't'}
	unicast := func(h *hearing) { h.g.Unicast, h.to = true, h.g.Self }
	tests := []struct {
		name   string
		change func(*hearing)
		want   vrrp.Reject
	}{
		{"a peer", func(*hearing) {}, vrrp.Admitted},
		{"a peer at four times our interval", interval(4 * time.Second), vrrp.Admitted},
		{"a peer at a quarter of it", interval(250 * time.Millisecond), vrrp.Admitted},
		{"a peer above four times", interval(4010 * time.Millisecond), vrrp.RejectBounds},
		{"a peer below a quarter", interval(240 * time.Millisecond), vrrp.RejectBounds},
		{"a peer with the longest interval that fits", interval(vrrp.MaxInterval), vrrp.RejectBounds},
		{"priority 0", func(h *hearing) { h.a.Priority = 0 }, vrrp.Admitted},
		{"other addresses are no reason", func(h *hearing) { h.a.Addresses = ips("10.9.9.9") }, vrrp.Admitted},
		{"a stranger", func(h *hearing) { h.from = node3 }, vrrp.RejectStranger},
		{"a stranger, where all are admitted", func(h *hearing) { h.from, h.g.Open = node3, true }, vrrp.Admitted},
		{"a stranger's interval is bound, too", func(h *hearing) { h.from, h.g.Open, h.a.Interval = node3, true, vrrp.MaxInterval }, vrrp.RejectBounds},
		{"ourselves, looped back", func(h *hearing) { h.from = node1 }, vrrp.RejectOwn},
		{"ourselves, where all are admitted", func(h *hearing) { h.from, h.g.Open = node1, true }, vrrp.RejectOwn},
		{"TTL 254 has crossed a router", func(h *hearing) { h.ttl = 254 }, vrrp.RejectTTL},
		{"another group", func(h *hearing) { h.to = netip.MustParseAddr("224.0.0.19") }, vrrp.RejectDestination},
		{"unicast to a multicast router", func(h *hearing) { h.to = node1 }, vrrp.RejectDestination},
		{"unicast to a unicast router", unicast, vrrp.Admitted},
		{"multicast to a unicast router", func(h *hearing) { h.g.Unicast = true }, vrrp.RejectDestination},
		{"unicast that has crossed a router", func(h *hearing) { unicast(h); h.ttl = 254 }, vrrp.RejectTTL},
		{"unicast that may cross one", func(h *hearing) { unicast(h); h.ttl, h.g.MinTTL = 254, 254 }, vrrp.Admitted},
		{"unicast that has crossed two", func(h *hearing) { unicast(h); h.ttl, h.g.MinTTL = 253, 254 }, vrrp.RejectTTL},
		{"multicast never crosses one", func(h *hearing) { h.ttl, h.g.MinTTL = 254, 1 }, vrrp.RejectTTL},
		{"version 2 to version 3", func(h *hearing) { h.a.Version = 2 }, vrrp.RejectOtherVersion},
		{"version 3 to version 2", func(h *hearing) { h.g.Version = 2 }, vrrp.RejectOtherVersion},
		{"IPv6 to IPv4", func(h *hearing) { h.a, h.from, h.to = advert6, six2, vrrp.Multicast6 }, vrrp.RejectFamily},
		{"version 2", v2, vrrp.Admitted},
		{"version 2 at another interval", func(h *hearing) { v2(h); h.a.Interval = 2 * time.Second }, vrrp.RejectMismatch},
		{"version 2 with a password", func(h *hearing) { v2(h); h.password = secret; h.g.Password, h.g.HasPassword = *secret, true }, vrrp.Admitted},
		{"version 2 with another", func(h *hearing) { v2(h); h.password = secret; h.g.HasPassword = true }, vrrp.RejectPassword},
		{"version 2 with one that we have not", func(h *hearing) { v2(h); h.password = secret }, vrrp.RejectAuthType},
		{"version 2 without one", func(h *hearing) { v2(h); h.g.HasPassword = true }, vrrp.RejectAuthType},
		{"no signature where there must be one", func(h *hearing) { h.g.Auth = newAuth(t, resource.AuthEnforce) }, vrrp.RejectUnsigned},
		{"no signature where there may be one", func(h *hearing) { h.g.Auth = newAuth(t, resource.AuthPermissive) }, vrrp.Admitted},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			h := hearing{
				g: vrrp.Guard{Self: node1, Peers: []netip.Addr{node2}, Interval: time.Second}, a: advert4, from: node2, to: vrrp.Multicast4, ttl: 255,
			}
			tt.change(&h)
			l, err := vrrp.NewLetter(&h.a, h.from, h.to, vrrp.FormNone, nil, h.password)
			if err != nil {
				t.Fatal(err)
			}
			packet := l.Packet(h.a.Priority, time.Time{})
			if h.from.Is4() {
				packet[8] = h.ttl
			} else {
				packet[7] = h.ttl
			}
			var a vrrp.Advert
			e, form, reject := vrrp.Open(packet, &a)
			if reject != vrrp.Admitted {
				t.Fatalf("Open = %v", reject)
			}
			if got := h.g.Judge(&a, e, form, draftTime); got != tt.want {
				t.Errorf("Judge = %v, want %v", got, tt.want)
			}
			if got := h.g.Judge(&a, e, vrrp.FormNone, draftTime); got != vrrp.RejectChecksum {
				t.Errorf("Judge of a wrong checksum = %v, want %v", got, vrrp.RejectChecksum)
			}
		})
	}
}

func TestJudgeIPv6(t *testing.T) {
	g := vrrp.Guard{Self: six1, Peers: []netip.Addr{six2}, Interval: time.Second}
	for _, tt := range []struct {
		from, to netip.Addr
		unicast  bool
		want     vrrp.Reject
	}{
		{six2, vrrp.Multicast6, false, vrrp.Admitted},
		{six2, six1, true, vrrp.Admitted},
		{six2, six1, false, vrrp.RejectDestination},
		{netip.MustParseAddr("fe80::3"), vrrp.Multicast6, false, vrrp.RejectStranger},
		{six1, vrrp.Multicast6, false, vrrp.RejectOwn},
	} {
		g.Unicast = tt.unicast
		var a vrrp.Advert
		e, form, _ := vrrp.Open(letter(t, advert6, tt.from, tt.to), &a)
		if got := g.Judge(&a, e, form, draftTime); got != tt.want {
			t.Errorf("from %v to %v: Judge = %v, want %v", tt.from, tt.to, got, tt.want)
		}
	}
	var a vrrp.Advert
	e, form, _ := vrrp.Open(letter(t, advert4, node1, vrrp.Multicast4), &a)
	if got := g.Judge(&a, e, form, draftTime); got != vrrp.RejectFamily {
		t.Errorf("IPv4: Judge = %v, want %v", got, vrrp.RejectFamily)
	}
}

// TestUnknownAuthType is RFC 2338's IP authentication header, and what never was a type.
func TestUnknownAuthType(t *testing.T) {
	for _, auth := range []byte{2, 255} {
		b := letter(t, vrrp.Advert{Version: 2, VRID: 7, Priority: 1, Interval: time.Second, Addresses: ips("10.0.0.100")}, node2, vrrp.Multicast4)
		b[24] = auth
		sum := int(b[26])<<8 | int(b[27])
		if sum -= int(auth) << 8; sum < 0 {
			sum += 0xffff
		}
		b[26], b[27] = byte(sum>>8), byte(sum)
		var a vrrp.Advert
		e, form, reject := vrrp.Open(b, &a)
		if reject != vrrp.Admitted {
			t.Fatalf("Open = %v", reject)
		}
		for _, has := range []bool{false, true} {
			g := vrrp.Guard{Version: 2, Self: node1, Peers: []netip.Addr{node2}, Interval: time.Second, HasPassword: has}
			if got := g.Judge(&a, e, form, draftTime); got != vrrp.RejectAuthType {
				t.Errorf("authentication type %d: Judge = %v, want %v", auth, got, vrrp.RejectAuthType)
			}
		}
	}
}

func TestSameAddresses(t *testing.T) {
	g := vrrp.Guard{Addresses: ips("10.0.0.100", "10.0.0.101")}
	for _, tt := range []struct {
		heard []netip.Addr
		want  bool
	}{
		{ips("10.0.0.100", "10.0.0.101"), true}, {ips("10.0.0.101", "10.0.0.100"), true}, {ips("10.0.0.101", "10.0.0.102"), false},
		{ips("10.0.0.100", "10.0.0.100"), false}, {ips("10.0.0.100"), false}, {nil, false},
	} {
		if got := g.SameAddresses(&vrrp.Advert{Addresses: tt.heard}); got != tt.want {
			t.Errorf("SameAddresses(%v) = %v, want %v", tt.heard, got, tt.want)
		}
	}
}

// TestSameAddressesOfAMaster has packets, of which a guard remembers what it found.
func TestSameAddressesOfAMaster(t *testing.T) {
	heard := func(list ...string) *vrrp.Advert {
		a := advert6
		a.Addresses = ips(list...)
		var in vrrp.Advert
		if _, _, reject := vrrp.Open(letter(t, a, six1, vrrp.Multicast6), &in); reject != vrrp.Admitted {
			t.Fatal(reject)
		}
		return &in
	}
	ours, others := ips("2001:db8::1", "2001:db8::2", "fe80::7"), ips("2001:db8::1", "2001:db8::3", "fe80::7")
	g := vrrp.Guard{Addresses: ours}
	same, other := heard("fe80::7", "2001:db8::1", "2001:db8::2"), heard("fe80::7", "2001:db8::1", "2001:db8::3")
	for range 3 {
		for _, tt := range []struct {
			ours []netip.Addr
			a    *vrrp.Advert
			want bool
		}{{ours, same, true}, {ours, same, true}, {ours, other, false}, {ours, other, false}, {others, other, true}, {others, same, false}} {
			g.Addresses = tt.ours
			if got := g.SameAddresses(tt.a); got != tt.want {
				t.Errorf("SameAddresses(%v) = %v where we have %v", tt.a.Addresses, got, tt.ours)
			}
		}
	}
}

// BenchmarkAdvert is a signed advert of 90 addresses from its key to its verdict.
func BenchmarkAdvert(b *testing.B) {
	a := advert6
	a.Addresses = slices.Repeat(ips("2001:db8::1"), 90)
	l, err := vrrp.NewLetter(&a, six1, six2, vrrp.FormPseudo, newAuth(b, resource.AuthEnforce), nil)
	if err != nil {
		b.Fatal(err)
	}
	g := vrrp.Guard{Self: six2, Peers: []netip.Addr{six1}, Unicast: true, Interval: time.Second, Auth: newAuth(b, resource.AuthEnforce)}
	var in vrrp.Advert
	clock := draftTime
	b.ReportAllocs()
	for b.Loop() {
		clock = clock.Add(time.Millisecond)
		e, form, _ := vrrp.Open(l.Packet(100, clock), &in)
		if g.Judge(&in, e, form, clock) != vrrp.Admitted {
			b.Fatal("refused")
		}
	}
}

func TestCodecAllocatesNothing(t *testing.T) {
	for _, from := range []netip.Addr{node1, six1} {
		for _, mode := range []string{"", resource.AuthEnforce} {
			a, to := advert4, node2
			if from.Is6() {
				a, to = advert6, six2
			}
			g := vrrp.Guard{Self: to, Peers: []netip.Addr{from}, Unicast: true, Interval: time.Second, Addresses: a.Addresses}
			var sender *vrrp.Auth
			if mode != "" {
				g.Auth, sender = newAuth(t, mode), newAuth(t, mode)
			}
			l, err := vrrp.NewLetter(&a, from, to, vrrp.FormPseudo, sender, nil)
			if err != nil {
				t.Fatal(err)
			}
			in, clock := vrrp.Advert{Addresses: make([]netip.Addr, 0, 2)}, draftTime
			n := testing.AllocsPerRun(1000, func() {
				clock = clock.Add(time.Millisecond)
				e, form, _ := vrrp.Open(l.Packet(100, clock), &in)
				if g.Judge(&in, e, form, clock) != vrrp.Admitted || !g.SameAddresses(&in) {
					t.Fatal("the packet was refused")
				}
			})
			if n != 0 {
				t.Errorf("from %v, signatures %q: %v allocations for a packet, want 0", from, mode, n)
			}
			if !slices.Equal(in.Addresses, a.Addresses) {
				t.Errorf("addresses = %v", in.Addresses)
			}
		}
	}
}
