package faults

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/hareconcile/hareconcile/internal/nstest"
	"github.com/hareconcile/hareconcile/internal/vrrpd/vrrpdtest"
)

// repairLimit is how long a virtual address may be away after somebody removed it.
const repairLimit = 100 * time.Millisecond

func TestDeletedAddressComesBack(t *testing.T) {
	t.Parallel()
	l := elected(t, time.Second)
	changes := l.a.WatchVIP()
	trials := nstest.Trials(10, 200)
	var away []time.Duration
	note := fair(t, trials, func() error {
		removals(changes)
		before, repairs := l.transitions(), status(l.a).Repairs
		start := time.Now() // the command's: both changes may be told at once
		l.a.NS.Run("ip", "addr", "del", vrrpdtest.VIP, "dev", "eth0")
		gone, back := next(t, changes), next(t, changes)
		took := back.At.Sub(gone.At)
		err := l.unmoved(before)
		if gone.Added || !back.Added {
			err = errors.Join(err, fmt.Errorf("the address was added %v, then added %v, want it to go and come back", gone.Added, back.Added))
		}
		if took > repairLimit {
			err = errors.Join(err, fmt.Errorf("the address was away for up to %v, want at most %v", took, repairLimit))
		}
		if n := status(l.a).Repairs - repairs; n != 1 {
			err = errors.Join(err, fmt.Errorf("%d repairs were counted, want 1", n))
		}
		if err == nil {
			away = append(away, back.At.Sub(start))
		}
		return err
	})
	median, most := spread(away)
	figure(t, "%d deletions: back %v after ip(8) was started, at most %v%s", trials, median, most, note)
}
