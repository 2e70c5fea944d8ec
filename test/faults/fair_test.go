package faults

import (
	"fmt"
	"net"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"

	"github.com/hareconcile/hareconcile/internal/nstest"
)

const (
	// stall is how late a timer of this process may be, and how long the kernel may take to
	// add an address, before the machine counts as busy: others on it, not vrrpd, then make
	// the figures. A kernel has one lock for the addresses of all its network namespaces,
	// and holds it for long while it takes one apart.
	stall = 8 * time.Millisecond
	// spare is how many trials a busy machine may spoil, beyond one for each that counts.
	spare = 3
)

// fair runs so many trials. One that goes wrong while the machine stands still does not
// count and is run again; any other one that goes wrong fails the test. What it returns says
// so behind a figure.
func fair(t *testing.T, trials int, trial func() error) (note string) {
	t.Helper()
	host := nstest.New(t)
	spoilt := 0
	for good := 0; good < trials; {
		late := lateness(t, host)
		err := trial()
		worst := late().Round(time.Millisecond)
		if err != nil && worst > stall && spoilt < trials+spare {
			spoilt++
			t.Logf("does not count, since the machine stood still for %v: %v", worst, err)
			continue
		}
		if good++; err != nil {
			t.Errorf("%v (the machine stood still for at most %v)", err, worst)
		}
	}
	if spoilt > 0 {
		note = fmt.Sprintf(" (%d more spoilt by a busy machine)", spoilt)
	}
	return note
}

// lateness watches how late a timer of this process and the addresses of a host are; what
// it returns ends that and says the worst.
func lateness(t *testing.T, host *nstest.NS) (worst func() time.Duration) {
	t.Helper()
	ns, err := netns.GetFromPath(host.Path())
	if err != nil {
		t.Fatal(err)
	}
	defer ns.Close()
	kernel, err := netlink.NewHandleAt(ns, unix.NETLINK_ROUTE)
	if err != nil {
		t.Fatal(err)
	}
	stop, result := make(chan struct{}), make(chan time.Duration)
	watch := func(period time.Duration, work func()) { // ends with the call of worst
		tick := time.NewTicker(period)
		defer tick.Stop()
		var most time.Duration
		for last := time.Now(); ; {
			select {
			case <-tick.C:
				work()
				now := time.Now()
				most, last = max(most, now.Sub(last)-period), now
			case <-stop:
				result <- most
				return
			}
		}
	}
	go watch(2*time.Millisecond, func() {})
	go watch(5*time.Millisecond, func() {
		lo := &netlink.Device{LinkAttrs: netlink.LinkAttrs{Index: 1}}
		address := &netlink.Addr{IPNet: &net.IPNet{IP: net.IPv4(127, 0, 0, 2), Mask: net.CIDRMask(32, 32)}}
		_ = kernel.AddrAdd(lo, address) // what matters is when, not whether
		_ = kernel.AddrDel(lo, address)
	})
	return func() time.Duration {
		close(stop)
		most := max(<-result, <-result)
		kernel.Close()
		return most
	}
}

// unmoved is the error of a state that has changed since.
func (l *lan) unmoved(since [2]uint64) error {
	now := l.transitions()
	if now == since {
		return nil
	}
	return fmt.Errorf("%d transitions of the master (now %s) and %d of the backup (now %s), want none",
		now[0]-since[0], l.a.Instance().Reason, now[1]-since[1], l.b.Instance().Reason)
}
