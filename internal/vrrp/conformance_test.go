package vrrp_test

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/hareconcile/hareconcile/internal/vrrp"
)

// resum makes the checksum of a version 2 or 3 message right again, over what its family
// has it cover. It is neither of the sums of the package.
func resum(packet []byte) []byte {
	msg, pseudo := unwrapped(packet), []byte(nil)
	if packet[0]>>4 == 6 {
		pseudo = slices.Concat(packet[8:40], []byte{0, 112, byte(len(msg) >> 8), byte(len(msg))})
	}
	msg[6], msg[7] = 0, 0
	var sum uint32
	for _, b := range [][]byte{msg, pseudo} {
		for i := 0; i+1 < len(b); i += 2 {
			sum += uint32(b[i])<<8 | uint32(b[i+1])
		}
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	binary.BigEndian.PutUint16(msg[6:], ^uint16(sum))
	return packet
}

// samples are what we send in each version and family.
func samples(t *testing.T) map[string][]byte {
	old := advert4
	old.Version = 2
	return map[string][]byte{
		"version 2":           letter(t, old, node1, vrrp.Multicast4),
		"version 3 over IPv4": letter(t, advert4, node1, vrrp.Multicast4),
		"version 3 over IPv6": letter(t, advert6, six1, vrrp.Multicast6),
	}
}

// TestVersionAndType opens each pair of nibbles: version 3 and, over IPv4, version 2, of
// type 1, are all that there is (RFC 9568, sections 5.2.1 and 5.2.2).
func TestVersionAndType(t *testing.T) {
	for name, packet := range samples(t) {
		for first := range 256 {
			b := slices.Clone(packet)
			unwrapped(b)[0] = byte(first)
			version, kind := first>>4, first&0xf
			want := vrrp.Admitted
			switch {
			case version != 3 && (version != 2 || b[0]>>4 == 6):
				want = vrrp.RejectVersion
			case kind != 1:
				want = vrrp.RejectType
			case name == "version 2" && version == 3:
				want = vrrp.RejectLength // it has eight bytes more
			case name != "version 2" && version == 2:
				want = vrrp.RejectShort
			}
			var a vrrp.Advert
			if _, _, got := vrrp.Open(resum(b), &a); got != want {
				t.Errorf("%s as version %d type %d: Open = %v, want %v", name, version, kind, got, want)
			}
		}
	}
}

// TestReserve has RFC 9568, section 5.2.6: zero as sent, ignored as received.
func TestReserve(t *testing.T) {
	for _, from := range []netip.Addr{node1, six1} {
		a, to := advert4, vrrp.Multicast4
		if from.Is6() {
			a, to = advert6, vrrp.Multicast6
		}
		for _, interval := range []time.Duration{vrrp.Tick, time.Second, vrrp.MaxInterval} {
			a.Interval = interval
			packet := letter(t, a, from, to)
			if got := unwrapped(packet)[4] >> 4; got != 0 {
				t.Errorf("at %v we send %#x in the reserve", interval, got)
			}
			for reserve := range byte(16) {
				b := slices.Clone(packet)
				unwrapped(b)[4] |= reserve << 4
				var in vrrp.Advert
				if _, _, reject := vrrp.Open(resum(b), &in); reject != vrrp.Admitted || in.Interval != interval {
					t.Errorf("reserve %#x: Open = %v, interval %v, want %v", reserve, reject, in.Interval, interval)
				}
			}
		}
	}
}

// TestWholePackets cuts and lengthens messages byte by byte: only what is as long as its
// count says is taken (RFC 9568, section 7.1; RFC 3768, section 7.1, with the
// authentication data).
func TestWholePackets(t *testing.T) {
	for name, packet := range samples(t) {
		header := len(packet) - len(unwrapped(packet))
		for n := range len(unwrapped(packet)) + 24 {
			b := slices.Concat(packet, make([]byte, 24))[:header+n]
			if b[0]>>4 == 6 {
				binary.BigEndian.PutUint16(b[4:], uint16(n))
			} else {
				binary.BigEndian.PutUint16(b[2:], uint16(header+n))
			}
			if n >= 8 {
				resum(b[:header+n&^1])
			}
			var a vrrp.Advert
			_, _, got := vrrp.Open(b, &a)
			if whole := header+n == len(packet); (got == vrrp.Admitted) != whole {
				t.Errorf("%s, %d bytes of %d: Open = %v", name, n, len(packet)-header, got)
			}
		}
	}
}

// TestChecksumsOfEveryWord changes each sixteen bits of a message by one, which no sum over
// all of it misses.
func TestChecksumsOfEveryWord(t *testing.T) {
	for name, packet := range samples(t) {
		header := len(packet) - len(unwrapped(packet))
		for at := header + 8; at < len(packet); at += 2 { // what is before is judged first
			b := slices.Clone(packet)
			binary.BigEndian.PutUint16(b[at:], binary.BigEndian.Uint16(b[at:])+1)
			var a vrrp.Advert
			if _, _, got := vrrp.Open(b, &a); got != vrrp.RejectChecksum {
				t.Errorf("%s, byte %d: Open = %v, want %v", name, at-header, got, vrrp.RejectChecksum)
			}
		}
	}
	b := samples(t)["version 3 over IPv6"] // its sum covers the addresses in the IP header
	b[23]++
	var a vrrp.Advert
	if _, _, got := vrrp.Open(b, &a); got != vrrp.RejectChecksum {
		t.Errorf("from another source: Open = %v, want %v", got, vrrp.RejectChecksum)
	}
}

// TestBothChecksumForms sends each over IPv4: RFC 5798 was read with a pseudo-header, RFC
// 9568, section 5.2.8, has none.
func TestBothChecksumForms(t *testing.T) {
	for _, form := range []vrrp.Form{vrrp.FormPseudo, vrrp.FormMessage} {
		l, err := vrrp.NewLetter(&advert4, node1, vrrp.Multicast4, form, nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		packet := slices.Clone(l.Packet(100, time.Time{}))
		var a vrrp.Advert
		if _, got, reject := vrrp.Open(packet, &a); got != form || reject != vrrp.Admitted {
			t.Errorf("form %v: Open = %v, %v", form, got, reject)
		}
		if plain := resum(slices.Clone(packet)); (string(plain) == string(packet)) != (form == vrrp.FormMessage) {
			t.Errorf("form %v has the message's sum: %v", form, form != vrrp.FormMessage)
		}
	}
}

// TestVersion2Election has a row for each sentence of RFC 3768, sections 6.4.1 to 6.4.3.
func TestVersion2Election(t *testing.T) {
	down, skew := timer(9*s+500*ms), timer(500*ms)
	own := func(c *vrrp.Config) { version2(c); c.Priority = 255 }
	never := func(c *vrrp.Config) { version2(c); c.Preempt = false }
	ours := func(priority uint8, from netip.Addr) vrrp.Received {
		return vrrp.Received{Priority: priority, Interval: 3 * s, Source: from}
	}
	outranked := []vrrp.Action{move(vrrp.Master, vrrp.Backup, vrrp.Outranked), down}
	runMachineTests(t, []machineTest{
		{
			name: "6.4.1: the owner sends, takes the addresses and sets the advert timer", adapt: own, events: backup, state: vrrp.Master,
			want: []vrrp.Action{advertise(255), move(vrrp.Init, vrrp.Master, vrrp.Owner), timer(3 * s)},
		},
		{
			name: "6.4.1: anybody else waits as BACKUP", adapt: version2, events: backup, state: vrrp.Backup,
			want: []vrrp.Action{move(vrrp.Init, vrrp.Backup, vrrp.Started), down},
		},
		{
			name: "6.4.2: a stop cancels the timer and says nothing", adapt: version2, events: after(backup, vrrp.Stop{}), state: vrrp.Init,
			want: []vrrp.Action{clearTimer, move(vrrp.Backup, vrrp.Init, vrrp.Stopped)},
		},
		{
			name: "6.4.2: silence makes it send and take the addresses", adapt: version2, events: master, state: vrrp.Master,
			want: []vrrp.Action{advertise(128), move(vrrp.Backup, vrrp.Master, vrrp.Silence), timer(3 * s)},
		},
		{name: "6.4.2: priority 0 shortens the wait to the skew", adapt: version2, events: after(backup, ours(200, higher), ours(0, higher)), state: vrrp.Backup, want: []vrrp.Action{skew}},
		{name: "6.4.2: a higher priority starts the wait again", adapt: version2, events: after(backup, ours(200, lower)), state: vrrp.Backup, want: []vrrp.Action{down}},
		{name: "6.4.2: an equal priority does, too", adapt: version2, events: after(backup, ours(128, lower)), state: vrrp.Backup, want: []vrrp.Action{down}},
		{name: "6.4.2: without preemption any does", adapt: never, events: after(backup, ours(1, lower)), state: vrrp.Backup, want: []vrrp.Action{down}},
		{name: "6.4.2: a lower priority is discarded", adapt: version2, events: after(backup, ours(127, higher)), state: vrrp.Backup},
		{
			name: "6.4.3: a stop sends priority 0 before it leaves", adapt: version2, events: after(master, vrrp.Stop{}), state: vrrp.Init,
			want: []vrrp.Action{advertise(0), clearTimer, move(vrrp.Master, vrrp.Init, vrrp.Stopped)},
		},
		{name: "6.4.3: the timer sends an advert and starts again", adapt: version2, events: after(master, vrrp.TimerFired{}), state: vrrp.Master, want: []vrrp.Action{advertise(128), timer(3 * s)}},
		{name: "6.4.3: priority 0 is answered and starts the timer again", adapt: version2, events: after(master, ours(0, higher)), state: vrrp.Master, want: []vrrp.Action{advertise(128), timer(3 * s)}},
		{name: "6.4.3: a higher priority makes it BACKUP", adapt: version2, events: after(master, ours(129, lower)), state: vrrp.Backup, want: outranked},
		{name: "6.4.3: an equal priority from a higher address does, too", adapt: version2, events: after(master, ours(128, higher)), state: vrrp.Backup, want: outranked},
		// What RFC 3768 discards in silence is answered, as RFC 9568 and keepalived have it.
		{name: "6.4.3: a lower priority leaves it MASTER", adapt: version2, events: after(master, ours(127, higher)), state: vrrp.Master, want: []vrrp.Action{advertise(128), announce}},
		{name: "6.4.3: an equal priority from a lower address does, too", adapt: version2, events: after(master, ours(128, lower)), state: vrrp.Master, want: []vrrp.Action{advertise(128), announce}},
	})
}

// TestListsOfOneFamily refuses to send what RFC 9568, section 5.2.9, forbids, and cannot
// read it either: the family is that of the IP header.
func TestListsOfOneFamily(t *testing.T) {
	for _, tt := range []struct {
		from, to netip.Addr
		list     []netip.Addr
		good     bool
	}{
		{node1, vrrp.Multicast4, ips("10.0.0.1", "10.0.0.2"), true}, {six1, vrrp.Multicast6, ips("fe80::1", "2001:db8::1"), true},
		{node1, vrrp.Multicast4, ips("10.0.0.1", "fe80::1"), false}, {six1, vrrp.Multicast6, ips("fe80::1", "10.0.0.1"), false},
		{node1, vrrp.Multicast4, ips("fe80::1"), false}, {six1, vrrp.Multicast6, ips("10.0.0.1"), false},
	} {
		a := advert4
		a.Addresses = tt.list
		l, err := vrrp.NewLetter(&a, tt.from, tt.to, vrrp.FormNone, nil, nil)
		if (err == nil) != tt.good {
			t.Errorf("%v from %v: NewLetter = %v", tt.list, tt.from, err)
		}
		if err != nil {
			continue
		}
		var in vrrp.Advert
		if _, _, reject := vrrp.Open(l.Packet(1, time.Time{}), &in); reject != vrrp.Admitted || fmt.Sprint(in.Addresses) != fmt.Sprint(tt.list) {
			t.Errorf("%v from %v: Open = %v, %v", tt.list, tt.from, reject, in.Addresses)
		}
	}
}

// TestTTL has every value that an IP header can have (RFC 9568, sections 5.1.1.3 and
// 5.1.2.3; RFC 3768, section 5.2.3): 255 is what we send, and all that has an effect.
func TestTTL(t *testing.T) {
	for name, packet := range samples(t) {
		at, g := 8, vrrp.Guard{Self: node2, Open: true, Interval: time.Second}
		if name == "version 2" {
			g.Version = 2
		}
		if packet[0]>>4 == 6 {
			at, g.Self = 7, six2
		}
		if packet[at] != 255 {
			t.Errorf("%s is sent with %d", name, packet[at])
		}
		for ttl := range 256 {
			b := slices.Clone(packet)
			b[at] = byte(ttl)
			var a vrrp.Advert
			e, form, reject := vrrp.Open(b, &a)
			if reject == vrrp.Admitted {
				reject = g.Judge(&a, e, form, draftTime)
			}
			if want := ttl == 255; (reject == vrrp.Admitted) != want || !want && reject != vrrp.RejectTTL {
				t.Errorf("%s with %d: %v", name, ttl, reject)
			}
		}
	}
}
