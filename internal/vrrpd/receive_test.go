package vrrpd

import (
	"testing"
	"time"

	"github.com/hareconcile/hareconcile/internal/channel"
	"github.com/hareconcile/hareconcile/internal/vrrp"
	"github.com/hareconcile/hareconcile/reconcile/resource"
)

// TestWhoeverIsLetInIsCountedAndNoAlarm: a pair over IPv6 without sources hears each other
// for as long as it lives.
func TestWhoeverIsLetInIsCountedAndNoAlarm(t *testing.T) {
	k := newFake()
	l := boot(t, k, t.TempDir())
	i := instance(100)
	i.Peers, i.OpenPeers = "", true
	configure(t, l, k, channel.Config{Instances: []resource.VRRPInstance{i}})
	k.queue = append(k.queue, advertFrom(t, peer, 150))
	round(t, l)
	r := l.routers[0]
	if got := r.alerts(l.t); r.m.Master() != peer || len(got) != 0 || r.rejects[vrrp.RejectStranger] != 1 {
		t.Errorf("master %v, alerts %q, %d counted; want %v, none and one", r.m.Master(), got, r.rejects[vrrp.RejectStranger], peer)
	}
}

func TestStrangersAreCountedAndHaveNoEffect(t *testing.T) {
	l, k := started(t, 100)
	roundsFor(t, l, k, 4*time.Second)
	stranger := peer.Next()
	k.queue = append(k.queue, advertFrom(t, stranger, 255))
	round(t, l)
	wantState(t, l, vrrp.Master)
	i := ask(t, l, k, channel.Request{Query: &channel.Query{}}).Status.Instances[0]
	if i.Adverts["unknown_peer"] != 1 || i.Adverts["received"] != 0 {
		t.Errorf("counters = %v", i.Adverts)
	}
}

func TestAdvertAllocatesNothing(t *testing.T) {
	l, k := started(t, 100)
	in := advertFrom(t, peer, 200)
	k.queue = append(k.queue, in)
	round(t, l)
	if n := testing.AllocsPerRun(1000, func() { l.received(&in) }); n != 0 {
		t.Errorf("%v allocations to hear an advert, want 0", n)
	}
	roundsFor(t, l, k, 5*time.Second)
	wantState(t, l, vrrp.Master)
	k.quiet = true
	r := l.routers[0]
	if n := testing.AllocsPerRun(1000, func() { l.fire(r, vrrp.Deadline) }); n != 0 {
		t.Errorf("%v allocations to send an advert, want 0", n)
	}
	if n := testing.AllocsPerRun(1000, func() {
		if err := l.round(); err != nil {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Errorf("%v allocations for a round, want 0", n)
	}
}

// TestHostilePacketsAllocateNothing hears each of them again and again, as in a flood.
func TestHostilePacketsAllocateNothing(t *testing.T) {
	l, k := ruling(t)
	k.quiet = true
	hostile := map[string]input{
		"a stranger": advertFrom(t, peer.Next(), 250), "our own address": advertFrom(t, self, 250), "another master": advertFrom(t, peer, 100),
		"half a packet": advertFrom(t, peer, 250), "a wrong checksum": advertFrom(t, peer, 250), "no header": advertFrom(t, peer, 250),
	}
	cut := hostile["half a packet"]
	cut.packet = cut.packet[:30]
	hostile["half a packet"] = cut
	hostile["a wrong checksum"].packet[26]++
	hostile["no header"].packet[0] = 0
	before := l.routers[0].transitions
	for name, in := range hostile {
		l.received(&in)
		l.changed = false
		if n := testing.AllocsPerRun(1000, func() { l.received(&in) }); n != 0 || l.changed {
			t.Errorf("%s: %v allocations, published anew %v, want neither", name, n, l.changed)
		}
	}
	if wantState(t, l, vrrp.Master); l.routers[0].transitions != before {
		t.Error("they had an effect")
	}
}
