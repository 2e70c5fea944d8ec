package faults

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/hareconcile/hareconcile/internal/vrrpd/vrrpdtest"
)

// repairLimit is how long a virtual address may be away after somebody removed it.
const repairLimit = 100 * time.Millisecond

func TestDeletedAddressComesBack(t *testing.T) {
	t.Parallel()
	l := elected(t, time.Second)
	changes := l.a.WatchVIP()
	trials := vrrpdtest.Trials(10, 200)
	fair(t, func() (string, error) {
		l.settle(t)
		removals(changes)
		before, repairs := l.transitions(), status(l.a).Repairs
		var away []time.Duration
		for range trials {
			start := time.Now() // the command's: both changes may be told at once
			l.a.NS.Run("ip", "addr", "del", vrrpdtest.VIP, "dev", "eth0")
			gone, back := next(t, changes), next(t, changes)
			if gone.Added || !back.Added {
				t.Fatalf("the address was added %v, then added %v, want it to go and come back", gone.Added, back.Added)
			}
			away = append(away, back.At.Sub(start))
		}
		median, most := spread(away)
		text := fmt.Sprintf("%d deletions: back %v after ip(8) was started, at most %v", trials, median, most)
		err := l.unmoved(before)
		if most > repairLimit {
			err = errors.Join(err, fmt.Errorf("the address was away for up to %v, want at most %v", most, repairLimit))
		}
		if n := status(l.a).Repairs - repairs; n != uint64(trials) {
			err = errors.Join(err, fmt.Errorf("%d repairs were counted, want %d", n, trials))
		}
		return text, err
	})
}
