package faults

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/hareconcile/hareconcile/internal/nstest"
	"github.com/hareconcile/hareconcile/internal/vrrpd/vrrpdtest"
)

const (
	noiseRate = 100_000 // packets a second to each node
	// leastRate is what a busy machine has to manage for the test to say anything.
	leastRate = noiseRate / 4
)

// TestNoise floods both nodes with VRRP of strangers for our virtual router, for others and
// for none. It sends on the bridge's ports: the bridge itself has not to bear it.
func TestNoise(t *testing.T) {
	for name, frames := range map[string][][]byte{
		"our VRID":    {genuine(strangerAddr, 254, lanInterval).frame(), genuine("10.9.0.77", 0, longest).frame()},
		"other VRIDs": others(),
		"garbage":     garbage(64),
	} {
		t.Run(name, func(t *testing.T) {
			l := elected(t, lanInterval)
			var text string
			note := fair(t, 1, func() (err error) {
				text, err = listen(t, l, frames)
				return err
			})
			figure(t, "%s%s", text, note)
		})
	}
}

// listen floods l's nodes and returns what that did to them.
func listen(t *testing.T, l *lan, frames [][]byte) (string, error) {
	t.Helper()
	l.settle(t)
	before := l.transitions()
	nodes := [2]*vrrpdtest.Node{l.a, l.b}
	var used [2]time.Duration
	var heard [2]uint64
	for i, n := range nodes {
		used[i], heard[i] = processorTime(t, n), received(t, n)
	}
	start := time.Now()
	d := time.Duration(nstest.Trials(2, 30)) * time.Second
	var senders sync.WaitGroup
	for _, port := range []string{"p0", "p1"} {
		s := newSender(t, l.bridge, port)
		senders.Go(func() {
			if _, err := s.flood(frames, noiseRate, d); err != nil {
				t.Error(err)
			}
		})
	}
	senders.Wait()
	took := time.Since(start)
	rate := func(i int) float64 { return float64(received(t, nodes[i])-heard[i]) / took.Seconds() }
	share := func(i int) float64 { return 100 * float64(processorTime(t, nodes[i])-used[i]) / float64(took) }
	text := fmt.Sprintf("packets a second and share of a processor: master %.0f, %.1f %%; backup %.0f, %.1f %%",
		rate(0), share(0), rate(1), share(1))
	err := l.unmoved(before)
	if least := min(rate(0), rate(1)); least < leastRate {
		err = errors.Join(err, fmt.Errorf("%.0f packets a second, want at least %d", least, leastRate))
	}
	return text, err
}

// received is how many packets have come to a node.
func received(t *testing.T, n *vrrpdtest.Node) (packets uint64) {
	t.Helper()
	n.NS.Do(func() {
		link, err := netlink.LinkByName("eth0")
		if err != nil {
			t.Fatal(err)
		}
		packets = link.Attrs().Statistics.RxPackets
	})
	return packets
}

// others are adverts of virtual routers that nobody here runs.
func others() [][]byte {
	var out [][]byte
	for vrid := range 64 {
		f := genuine(strangerAddr, 254, lanInterval)
		f.vrid = byte(100 + vrid)
		out = append(out, f.frame())
	}
	return out
}

// garbage are random messages that claim to be VRRP for our VRID.
func garbage(n int) [][]byte {
	r := rand.New(rand.NewPCG(1, 2))
	var out [][]byte
	for range n {
		f := genuine(fmt.Sprintf("10.9.0.%d", 1+r.IntN(254)), 254, lanInterval)
		f.damage = func(ip []byte) []byte {
			ip = ip[:20+r.IntN(len(ip)-19)]
			for i := 20; i < len(ip); i++ {
				if i != 21 {
					ip[i] = byte(r.Uint32())
				}
			}
			return ip
		}
		out = append(out, f.frame())
	}
	return out
}

// processorTime is what a node's vrrpd has used so far.
func processorTime(t *testing.T, n *vrrpdtest.Node) time.Duration {
	t.Helper()
	const cpuClockSched = 2 // linux/posix-timers_types.h
	var ts unix.Timespec
	if err := unix.ClockGettime(int32(^n.PID()<<3|cpuClockSched), &ts); err != nil {
		t.Fatalf("read processor time: %v", err)
	}
	return time.Duration(ts.Nano())
}
