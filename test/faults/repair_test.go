package faults

import (
	"testing"
	"time"

	"github.com/hareconcile/hareconcile/internal/vrrpd/vrrpdtest"
)

// repairLimit is how long a virtual address may be away after somebody removed it.
const repairLimit = 100 * time.Millisecond

func TestDeletedAddressComesBack(t *testing.T) {
	t.Parallel()
	l := elected(t, time.Second)
	before, repairs := l.transitions(), status(l.a).Repairs
	changes := l.a.WatchVIP()
	trials := vrrpdtest.Trials(10, 200)
	var away []time.Duration
	for range trials {
		start := time.Now() // the command's: both changes may be told at once
		l.a.NS.Run("ip", "addr", "del", vrrpdtest.VIP, "dev", "eth0")
		gone := next(t, changes)
		back := next(t, changes)
		if gone.Added || !back.Added {
			t.Fatalf("the address was added %v, then added %v, want it to go and come back", gone.Added, back.Added)
		}
		away = append(away, back.At.Sub(start))
	}
	median, most := spread(away)
	figure(t, "%d deletions: back %v after ip(8) was started, at most %v", trials, median, most)
	if most > repairLimit {
		t.Errorf("the address was away for up to %v, want at most %v", most, repairLimit)
	}
	l.unmoved(t, before)
	if n := status(l.a).Repairs - repairs; n != uint64(trials) {
		t.Errorf("%d repairs were counted, want %d", n, trials)
	}
}
