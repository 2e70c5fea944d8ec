package faults

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/hareconcile/hareconcile/internal/nstest"
	"github.com/hareconcile/hareconcile/internal/vrrp"
)

const lanInterval = 100 * time.Millisecond

// longest is the longest interval that a version 3 advert can claim.
const longest = 4095 * 10 * time.Millisecond

// hostile are packets that would win, end or damage an election.
func hostile(from string) map[string]forgery {
	with := func(change func(*forgery)) forgery {
		f := genuine(from, 254, lanInterval)
		change(&f)
		return f
	}
	damaged := func(damage func([]byte) []byte) forgery {
		return with(func(f *forgery) { f.damage = damage })
	}
	return map[string]forgery{
		"better priority":      genuine(from, 254, lanInterval),
		"owner":                genuine(from, 255, lanInterval),
		"resignation":          genuine(from, 0, lanInterval),
		"longest interval":     genuine(from, 254, longest),
		"interval 0":           genuine(from, 254, 0),
		"version 2":            with(func(f *forgery) { f.version, f.interval = 2, 1 }),
		"version 4":            with(func(f *forgery) { f.version = 4 }),
		"no advert":            with(func(f *forgery) { f.kind = 2 }),
		"from beyond a router": with(func(f *forgery) { f.ttl = 254 }),
		"no addresses":         with(func(f *forgery) { f.vips = nil }),
		"more claimed":         with(func(f *forgery) { f.count = 255 }),
		"wrong checksum":       damaged(func(ip []byte) []byte { ip[26] ^= 1; return ip }),
		"cut short":            damaged(func(ip []byte) []byte { return ip[:25] }),
		"without a message":    damaged(func(ip []byte) []byte { return ip[:20] }),
		"longer":               damaged(func(ip []byte) []byte { return append(ip, 1, 2, 3) }),
		"IP options": damaged(func(ip []byte) []byte {
			out := append(append([]byte{}, ip[:20]...), 1, 1, 1, 1)
			out[0]++
			return append(out, ip[20:]...)
		}),
		"a fragment": damaged(func(ip []byte) []byte { ip[6] = 0x20; return ip }),
	}
}

// TestStrangersHaveNoEffect sends every hostile packet from an address that is nobody's
// peer, and those that no peer would send from a peer's.
func TestStrangersHaveNoEffect(t *testing.T) {
	t.Parallel()
	l := elected(t, lanInterval)
	mine, theirs := l.a.WatchVIP(), l.b.WatchVIP()
	s := newSender(t, l.stranger, "eth0")
	packets := 0
	rounds := nstest.Trials(3, 50)
	note := fair(t, rounds, func() error {
		l.settle(t)
		before := l.transitions()
		removals(mine)
		removals(theirs)
		for _, f := range hostile(strangerAddr) {
			s.send(f)
			packets++
			wait(t, 5*time.Millisecond)
		}
		for _, peer := range []string{l.a.Addr, l.b.Addr} {
			for name, f := range hostile(peer) {
				if name == "better priority" || name == "owner" || name == "resignation" || name == "IP options" {
					continue // a peer may send these
				}
				s.send(f)
				packets++
				wait(t, 5*time.Millisecond)
			}
		}
		wait(t, vrrp.DownInterval(lanInterval, heir)*5/4)
		err := l.unmoved(before)
		if moves := len(mine) + len(theirs); moves > 0 {
			err = errors.Join(err, fmt.Errorf("the address changed %d times, want it untouched", moves))
		}
		return err
	})
	figure(t, "%d forged packets: no effect%s", packets, note)
	counted := uint64(0)
	for reason, n := range l.a.Instance().Adverts {
		if reason != "sent" && reason != vrrp.Admitted.String() {
			counted += n
		}
	}
	if counted == 0 {
		t.Error("no packet was counted as having no effect")
	}
}

// TestForgedPeerCostsOneMasterDown: without signatures, one packet in a peer's name can end
// a mastership, but not for longer than the node's own patience. The address is counted as
// away from its removal until either node has it.
func TestForgedPeerCostsOneMasterDown(t *testing.T) {
	t.Parallel()
	for name, forge := range map[string]func(from string) forgery{
		"a better one":                      func(from string) forgery { return genuine(from, 254, lanInterval) },
		"one with the longest of intervals": func(from string) forgery { return genuine(from, 254, 4*lanInterval) },
		"the owner":                         func(from string) forgery { return genuine(from, 255, lanInterval) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := elected(t, lanInterval)
			mine, theirs := l.a.WatchVIP(), l.b.WatchVIP()
			s := newSender(t, l.stranger, "eth0")
			var away []time.Duration
			limit := vrrp.DownInterval(lanInterval, heir)
			note := fair(t, nstest.Trials(2, 50), func() error {
				l.settle(t)
				wait(t, lanInterval+phase(lanInterval))
				removals(mine)
				removals(theirs)
				s.send(forge(l.b.Addr))
				gone, back := next(t, mine), next(t, mine, theirs)
				took := back.At.Sub(gone.At)
				if gone.Added || !back.Added {
					return fmt.Errorf("the address was added %v, then added %v, want it to go and come back", gone.Added, back.Added)
				}
				if took > limit+10*time.Millisecond {
					return fmt.Errorf("the address was away for %v, want at most %v", took, limit)
				}
				away = append(away, took)
				return nil
			})
			median, most := spread(away)
			figure(t, "%d packets: address away for %v, at most %v; a master-down is %v%s", len(away), median, most, limit, note)
		})
	}
}
