package vrrp_test

import (
	"bytes"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/hareconcile/hareconcile/internal/vrrp"
	"github.com/hareconcile/hareconcile/reconcile/resource"
)

// FuzzOpen holds that Open and Judge are total, and that what they let through is written
// as it was read. A packet that only its checksum stops is looked at with a right one, too.
func FuzzOpen(f *testing.F) {
	for _, v := range vectors {
		f.Add(v.packet(f))
	}
	f.Add([]byte{0x4f, 0, 0, 60})
	f.Fuzz(func(t *testing.T, b []byte) {
		var a vrrp.Advert
		if e, reject := openAny(t, b, &a); reject == vrrp.RejectChecksum {
			b = bytes.Clone(b)
			repair(b, &e)
			if _, reject := openAny(t, b, &a); reject != vrrp.Admitted {
				t.Fatalf("with a right checksum: %v", reject)
			}
		}
	})
}

// openAny opens a packet and holds what is to be held of it.
func openAny(t *testing.T, b []byte, a *vrrp.Advert) (vrrp.Envelope, vrrp.Reject) {
	before := bytes.Clone(b)
	e, form, reject := vrrp.Open(b, a)
	if !bytes.Equal(b, before) {
		t.Fatal("Open changed the packet")
	}
	if (reject == vrrp.Admitted) != (form != vrrp.FormNone) || reject >= vrrp.NumRejects {
		t.Fatalf("Open = form %v, %v", form, reject)
	}
	g := vrrp.Guard{Version: a.Version, Self: node1, Open: true, Interval: time.Second, Auth: newAuth(t, resource.AuthReceiveOnly)}
	if got := g.Judge(a, e, form, draftTime); got >= vrrp.NumRejects || got == vrrp.Admitted && reject != vrrp.Admitted {
		t.Fatalf("Judge = %v of a packet that is %v", got, reject)
	}
	if reject != vrrp.Admitted {
		return e, reject
	}
	if a.VRID == 0 || a.Interval <= 0 || len(a.Addresses) == 0 || a.Version != 2 && a.Version != 3 {
		t.Fatalf("Open admits %+v", a)
	}
	if !e.From.IsMulticast() && !e.From.IsUnspecified() { // nobody may send from there
		roundTrip(t, a, e, form)
	}
	return e, reject
}

// roundTrip writes what was read and reads it again.
func roundTrip(t *testing.T, a *vrrp.Advert, e vrrp.Envelope, form vrrp.Form) {
	l, err := vrrp.NewLetter(a, e.From, e.To, form, nil, nil)
	if err != nil {
		t.Fatalf("what was read cannot be written: %v", err)
	}
	var again vrrp.Advert
	e2, form2, reject := vrrp.Open(l.Packet(a.Priority, time.Time{}), &again)
	if reject != vrrp.Admitted || e2.From != e.From || e2.To != e.To || form2 == vrrp.FormNone {
		t.Fatalf("written %+v, read back %+v, form %v (%v)", e, e2, form2, reject)
	}
	slices.SortFunc(a.Addresses, netip.Addr.Compare) // a link-local address was put first
	slices.SortFunc(again.Addresses, netip.Addr.Compare)
	if !equalAdverts(a, &again) {
		t.Fatalf("written %+v, read back %+v", a, again)
	}
}

// repair computes the checksum of a packet that is right but for it.
func repair(b []byte, e *vrrp.Envelope) {
	if e.IPv6 {
		sumUp(b[40:40+(int(b[4])<<8|int(b[5]))], e.From, e.To)
		return
	}
	msg := b[int(b[0]&15)*4:]
	size := 8 + 4*int(msg[3])
	if msg[0]>>4 == 2 {
		size += 8
	}
	sumUp(msg[:size], e.From, e.To)
}

// FuzzAuth holds that no bytes but those of the key's owner are taken for a signature: it
// puts any trailer behind any message.
func FuzzAuth(f *testing.F) {
	for _, v := range vectors {
		if b := unhex(f, v.hex); v.signed {
			f.Add(b[:len(b)-28], b[len(b)-28:], uint64(draftTime.Unix()), v.from == "fe80::10")
		}
	}
	f.Add([]byte{0x21, 1, 1, 1, 0, 1, 0, 0, 10, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0}, make([]byte, 28), uint64(0), false)
	f.Fuzz(func(t *testing.T, msg, trailer []byte, now uint64, ipv6 bool) {
		if len(msg) < 8 || len(trailer) != 28 || len(msg) > 5000 {
			return
		}
		from, to := netip.MustParseAddr("198.51.100.10"), netip.MustParseAddr("192.0.2.10")
		if ipv6 {
			from, to = netip.MustParseAddr("fe80::10"), netip.MustParseAddr("fe80::20")
		}
		msg = slices.Concat(msg, trailer)
		mend(msg, 0, from, to)
		packet := wrap(from, to, msg)
		var a vrrp.Advert
		e, form, reject := vrrp.Open(packet, &a)
		if reject != vrrp.Admitted || !a.Signed() {
			return
		}
		wall := time.Unix(int64(now%(1<<40)), 0)
		g := vrrp.Guard{Version: a.Version, Self: to, Open: true, Unicast: true, Interval: a.Interval, Auth: newAuth(t, resource.AuthEnforce)}
		if g.Judge(&a, e, form, wall) != vrrp.Admitted {
			return
		}
		if g.Judge(&a, e, form, wall) == vrrp.Admitted {
			t.Fatal("the same packet twice")
		}
		signed := append([]byte(nil), draftMessage(ipv6)...)
		if got := slices.Clone(msg[:len(msg)-28]); !bytes.Equal(blank(got), blank(signed)) {
			t.Fatalf("nobody signed %x with %x", got, trailer)
		}
	})
}

// draftMessage is the draft's message, the only one that the fuzzer has a signature of.
func draftMessage(ipv6 bool) []byte {
	if ipv6 {
		return []byte{0x31, 51, 200, 1, 0, 100, 0, 0, 0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0}
	}
	return []byte{0x31, 51, 200, 1, 0, 100, 0, 0, 192, 0, 2, 100}
}

// blank takes the checksum out of a message.
func blank(msg []byte) []byte {
	msg[6], msg[7] = 0, 0
	return msg
}
