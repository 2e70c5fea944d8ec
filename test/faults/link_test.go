package faults

import (
	"fmt"
	"testing"
	"time"

	"github.com/hareconcile/hareconcile/internal/nstest"
	"github.com/hareconcile/hareconcile/internal/vrrp"
)

// TestInterfaceComesAndGoes deletes, recreates and renames the master's interface.
func TestInterfaceComesAndGoes(t *testing.T) {
	t.Parallel()
	for name, f := range map[string]struct{ away, back func(*testing.T, *lan) }{
		"deleted and made again": {
			func(_ *testing.T, l *lan) { l.bridge.Run("ip", "link", "del", "p0") },
			func(t *testing.T, l *lan) {
				path := l.a.NS.Path()
				l.bridge.Run("ip", "link", "add", "p0", "up", "master", "br0", "type", "veth", "peer", "name", "eth0", "netns", path)
				l.a.NS.Run("ip", "addr", "add", l.a.Addr+"/24", "dev", "eth0")
				l.a.NS.Run("ip", "link", "set", "eth0", "up")
			},
		},
		"renamed and named back": {
			func(_ *testing.T, l *lan) { rename(l.a.NS, "eth0", "eth9") },
			func(_ *testing.T, l *lan) { rename(l.a.NS, "eth9", "eth0") },
		},
		"set down and up": {
			func(_ *testing.T, l *lan) { l.a.NS.Run("ip", "link", "set", "eth0", "down") },
			func(_ *testing.T, l *lan) { l.a.NS.Run("ip", "link", "set", "eth0", "up") },
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := elected(t, lanInterval)
			var fault, taken, back []time.Duration
			for range nstest.Trials(2, 50) {
				start := time.Now()
				f.away(t, l)
				l.a.WaitState("FAULT")
				fault = append(fault, time.Since(start))
				l.b.WaitState("MASTER")
				taken = append(taken, time.Since(start))
				start = time.Now()
				f.back(t, l)
				l.settle(t)
				back = append(back, time.Since(start))
			}
			figure(t, "%d times: FAULT after %v, taken over after %v, back after %v", len(back), median(fault), median(taken), median(back))
		})
	}
}

func median(all []time.Duration) time.Duration {
	m, _ := spread(all)
	return m.Round(time.Millisecond)
}

// rename changes a device's name while it is down, as every kernel allows.
func rename(ns *nstest.NS, from, to string) {
	ns.Run("ip", "link", "set", from, "down")
	ns.Run("ip", "link", "set", from, "name", to)
	ns.Run("ip", "link", "set", to, "up")
}

// TestCarrierFlap takes the carrier away ten times a second. A router that waits for its
// whole master-down interval before it rules again makes one move of it, and one back.
func TestCarrierFlap(t *testing.T) {
	t.Parallel()
	const interval = 200 * time.Millisecond
	l := elected(t, interval)
	mine, theirs := l.a.WatchVIP(), l.b.WatchVIP()
	flaps := nstest.Trials(20, 300)
	text := ""
	note := fair(t, 1, func() error {
		l.settle(t)
		removals(mine)
		removals(theirs)
		before := l.transitions()
		tick := time.NewTicker(50 * time.Millisecond)
		defer tick.Stop()
		for range flaps {
			for _, state := range []string{"down", "up"} {
				l.bridge.Run("ip", "link", "set", "p0", state)
				<-tick.C
			}
		}
		start := time.Now()
		l.settle(t)
		back := time.Since(start)
		wait(t, vrrp.DownInterval(interval, heir))
		moves := [2]int{removals(mine), removals(theirs)}
		text = fmt.Sprintf("%d flaps: the address left the master %d times and the backup %d times, %d transitions; back %v after the last",
			flaps, moves[0], moves[1], l.transitions()[0]-before[0], back.Round(time.Millisecond))
		if moves != [2]int{1, 1} {
			return fmt.Errorf("the address left the nodes %v times, want one move away and one back", moves)
		}
		return nil
	})
	figure(t, "%s%s", text, note)
}
