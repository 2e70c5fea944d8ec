package faults

import (
	"errors"
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/hareconcile/hareconcile/internal/nstest"
	"github.com/hareconcile/hareconcile/internal/vrrpd/vrrpdtest"
)

// overrunLimit is how long vrrpd may take to be right again after the kernel dropped events.
const overrunLimit = time.Second

// TestOverrun lets somebody change more than the event socket holds while vrrpd does not
// run, so that the kernel drops events: the deletion of the virtual address among them.
func TestOverrun(t *testing.T) {
	// The event socket has room for 10,000 addresses. Few at a time are quick to make: the
	// kernel's list of a device's addresses is a list.
	const storm, rounds = 500, 30
	l := elected(t, time.Second)
	l.a.NS.Run("ip", "link", "add", "other", "up", "type", "veth", "peer", "name", "nowhere") // there may be no dummy
	var lines strings.Builder
	for range rounds {
		for i := range storm {
			fmt.Fprintf(&lines, "addr add 10.100.%d.%d/32 dev other\n", i/250, 1+i%250)
		}
		lines.WriteString("addr flush dev other\n")
	}
	fmt.Fprintf(&lines, "addr del %s dev eth0\n", vrrpdtest.VIP)
	trials := nstest.Trials(2, 20)
	var away []time.Duration
	note := fair(t, trials, func() error {
		l.settle(t)
		before, lost := l.transitions(), status(l.a).Overruns
		l.a.Signal(syscall.SIGSTOP)
		batch := l.a.NS.Cmd("ip", "-batch", "-")
		batch.Stdin = strings.NewReader(lines.String())
		if out, err := batch.CombinedOutput(); err != nil {
			t.Fatalf("storm: %v\n%s", err, out)
		}
		l.a.Signal(syscall.SIGCONT)
		// A watcher of addresses would be overrun, too.
		took := l.a.Eventually("the address to be back", 10*time.Second, l.a.HasVIP)
		if status(l.a).Overruns == lost {
			t.Error("no overrun was counted")
		}
		err := l.unmoved(before) // a storm that took seconds is a pause that the peer notices
		if took > overrunLimit {
			err = errors.Join(err, fmt.Errorf("right again after %v, want at most %v", took, overrunLimit))
		}
		if err == nil {
			away = append(away, took)
		}
		return err
	})
	median, most := spread(away)
	figure(t, "%d storms of %d addresses that came and went: right again after %v, at most %v%s", trials, storm*rounds, median, most, note)
}
