package vrrp_test

import (
	"encoding/json"
	"net/netip"
	"testing"
	"time"

	"github.com/hareconcile/hareconcile/internal/vrrp"
	"github.com/hareconcile/hareconcile/reconcile/resource"
)

func TestReplays(t *testing.T) {
	n1, n2 := pair(t, resource.AuthEnforce, resource.AuthEnforce)
	first, second := n1.send(), n1.send() // the clock stands still: the counter tells them apart
	n2.clock = n2.clock.Add(time.Second)
	if got := n2.hear(second); got != vrrp.Admitted {
		t.Fatalf("second: %v", got)
	}
	if got := n2.hear(first); got != vrrp.RejectReplay {
		t.Errorf("first after second: %v, want %v", got, vrrp.RejectReplay)
	}
	if got := n2.hear(second); got != vrrp.RejectReplay {
		t.Errorf("second again: %v, want %v", got, vrrp.RejectReplay)
	}
	if got := n2.hear(n1.send()); got != vrrp.Admitted {
		t.Errorf("third: %v", got)
	}
	n2.clock = n2.clock.Add(5 * time.Second)
	if got := n2.hear(second); got != vrrp.RejectStale {
		t.Errorf("second when it is too old: %v, want %v", got, vrrp.RejectStale)
	}
}

func TestWhatFailsMovesNoMark(t *testing.T) {
	n1, n2 := pair(t, resource.AuthEnforce, resource.AuthEnforce)
	b := n1.send()
	n2.guard.Interval = time.Minute
	if got := n2.hear(b); got != vrrp.RejectBounds {
		t.Fatal(got)
	}
	n2.guard.Interval = time.Second
	forged := n1.send()
	forged[len(forged)-1]++
	if got := n2.hear(forged); got != vrrp.RejectHMAC {
		t.Fatal(got)
	}
	if got := n2.hear(b); got != vrrp.Admitted {
		t.Errorf("after packets that failed: %v, want it admitted", got)
	}
}

// TestClockSteps moves one node's clock by an hour and back: the pair hears each other as
// soon as the clocks agree again.
func TestClockSteps(t *testing.T) {
	for _, step := range []time.Duration{time.Hour, -time.Hour, 4 * time.Second, -4 * time.Second} {
		n1, n2 := pair(t, resource.AuthEnforce, resource.AuthEnforce)
		both := func(want vrrp.Reject) {
			t.Helper()
			n1.clock, n2.clock = n1.clock.Add(time.Second), n2.clock.Add(time.Second)
			if r1, r2 := n2.hear(n1.send()), n1.hear(n2.send()); r1 != want || r2 != want {
				t.Errorf("a step of %v: %v, %v, want %v", step, r1, r2, want)
			}
		}
		both(vrrp.Admitted)
		n1.clock = n1.clock.Add(step)
		if step.Abs() < 5*time.Second {
			both(vrrp.Admitted)
		} else {
			both(vrrp.RejectStale)
		}
		n1.clock = n1.clock.Add(-step)
		both(vrrp.Admitted)
	}
}

// TestBothClocksStep is the case that stranded keepalived until 2.4.3: both ends hear each
// other in the future, and the clocks are set right one after the other.
func TestBothClocksStep(t *testing.T) {
	n1, n2 := pair(t, resource.AuthEnforce, resource.AuthEnforce)
	n1.clock, n2.clock = n1.clock.Add(time.Hour), n2.clock.Add(time.Hour)
	if got := n2.hear(n1.send()); got != vrrp.Admitted {
		t.Fatal(got)
	}
	n1.clock = n1.clock.Add(-time.Hour)
	if got := n2.hear(n1.send()); got != vrrp.RejectStale {
		t.Errorf("while the clocks differ: %v, want %v", got, vrrp.RejectStale)
	}
	n2.clock = n2.clock.Add(-time.Hour)
	for range 3 {
		if got := n2.hear(n1.send()); got != vrrp.Admitted {
			t.Errorf("once the clocks agree: %v", got)
		}
	}
}

func TestDrift(t *testing.T) {
	n1, n2 := pair(t, resource.AuthEnforce, resource.AuthEnforce)
	for _, tt := range []struct {
		behind time.Duration
		far    bool
	}{{0, false}, {2 * time.Second, false}, {2750 * time.Millisecond, true}, {-2 * time.Second, false}, {-2750 * time.Millisecond, true}} {
		n1.clock = n1.clock.Add(10 * time.Second)
		n2.clock = n1.clock.Add(tt.behind)
		if got := n2.hear(n1.send()); got != vrrp.Admitted {
			t.Fatal(got)
		}
		behind, far := n2.auth.Drift()
		if (behind-tt.behind).Abs() > 20*time.Microsecond || far != tt.far {
			t.Errorf("Drift() = %v, %v, want %v, %v", behind, far, tt.behind, tt.far)
		}
	}
}

// TestSequenceWraps goes over the end of 32 bits of seconds (in 2106).
func TestSequenceWraps(t *testing.T) {
	n1, n2 := pair(t, resource.AuthEnforce, resource.AuthEnforce)
	n1.clock = time.Unix(1<<32-2, 0)
	for range 6 {
		n2.clock = n1.clock.Add(100 * time.Millisecond)
		if got := n2.hear(n1.send()); got != vrrp.Admitted {
			t.Errorf("at %d s: %v", n1.clock.Unix(), got)
		}
		n1.clock = n1.clock.Add(time.Second)
	}
}

func TestManySendersAreBounded(t *testing.T) {
	n := newSignedNode(t, node1, node2, newAuth(t, resource.AuthEnforce))
	n.guard.Open = true
	var firsts [][]byte
	for i := range 40 {
		from := netip.AddrFrom4([4]byte{10, 0, 1, byte(i)})
		b := newSignedNode(t, from, node1, newAuth(t, resource.AuthEnforce)).send()
		if got := n.hear(b); got != vrrp.Admitted {
			t.Fatalf("sender %d: %v", i, got)
		}
		firsts = append(firsts, b)
	}
	if got := n.hear(firsts[39]); got != vrrp.RejectReplay {
		t.Errorf("the last sender again: %v, want %v", got, vrrp.RejectReplay)
	}
	if heard := len(n.auth.State().Heard); heard > 16 {
		t.Errorf("%d senders are remembered", heard)
	}
}

// TestStateOutlivesTheProcess hands an Auth's memory over as JSON, as an upgrade does.
func TestStateOutlivesTheProcess(t *testing.T) {
	n1, n2 := pair(t, resource.AuthEnforce, resource.AuthEnforce)
	old := n1.send()
	if got := n2.hear(old); got != vrrp.Admitted {
		t.Fatal(got)
	}
	for _, n := range []*signedNode{n1, n2} {
		text, err := json.Marshal(n.auth.State())
		if err != nil {
			t.Fatal(err)
		}
		var state vrrp.AuthState
		if err := json.Unmarshal(text, &state); err != nil {
			t.Fatal(err)
		}
		self, peer := n.guard.Self, n.guard.Peers[0]
		*n = *newSignedNode(t, self, peer, newAuth(t, resource.AuthEnforce))
		n.auth.Restore(state)
	}
	if got := n2.hear(old); got != vrrp.RejectReplay {
		t.Errorf("an old packet after the restart: %v, want %v", got, vrrp.RejectReplay)
	}
	n1.clock = n1.clock.Add(-time.Second) // the clock was set back meanwhile
	if got := n2.hear(n1.send()); got != vrrp.Admitted {
		t.Errorf("a new packet after the restart: %v", got)
	}
}

// TestManySendersForgetTheOldest: there is room for sixteen, and the seventeenth takes the
// place of who was silent for longest.
func TestManySendersForgetTheOldest(t *testing.T) {
	listener := newSignedNode(t, node2, node1, newAuth(t, resource.AuthEnforce))
	listener.guard.Open = true
	from := netip.MustParseAddr("192.0.2.100")
	var packets [][]byte
	for range 17 {
		from = from.Next()
		b := newSignedNode(t, from, node2, newAuth(t, resource.AuthEnforce)).send()
		if got := listener.hear(b); got != vrrp.Admitted {
			t.Fatalf("from %v: %v", from, got)
		}
		packets = append(packets, b)
	}
	for n, b := range packets[1:] {
		if got := listener.hear(b); got != vrrp.RejectReplay {
			t.Errorf("packet %d again: %v, want %v", n+1, got, vrrp.RejectReplay)
		}
	}
	if n := len(listener.auth.State().Heard); n != 16 {
		t.Errorf("%d senders are remembered, want 16", n)
	}
}
