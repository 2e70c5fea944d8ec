package interop

import (
	"encoding/binary"
	"net"
	"net/netip"
	"os"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/hareconcile/hareconcile/internal/nstest"
)

// A client asks for an address by ARP all the time, as a neighbour that has forgotten it,
// and notes when it was answered.
type client struct {
	mu      sync.Mutex
	answers []time.Time
}

// asking is the time between two questions.
const asking = 10 * time.Millisecond

const arpFrames = 0x0608 // ETH_P_ARP in network byte order

// newClient asks from a host with that address on eth0 until the test ends.
func newClient(t testing.TB, ns *nstest.NS, own, wanted netip.Addr) *client {
	t.Helper()
	c := &client{}
	var fd int
	var device *net.Interface
	ns.Do(func() {
		var err error
		if device, err = net.InterfaceByName("eth0"); err != nil {
			t.Fatal(err)
		}
		fd, err = syscall.Socket(syscall.AF_PACKET, syscall.SOCK_RAW|syscall.SOCK_CLOEXEC|syscall.SOCK_NONBLOCK, arpFrames)
		if err == nil {
			err = syscall.Bind(fd, &syscall.SockaddrLinklayer{Protocol: arpFrames, Ifindex: device.Index})
		}
		if err != nil {
			t.Fatalf("open packet socket: %v", err)
		}
	})
	f := os.NewFile(uintptr(fd), "client")
	stop := make(chan struct{})
	var done sync.WaitGroup
	done.Go(func() {
		question := arpQuestion(device.HardwareAddr, own, wanted)
		tick := time.NewTicker(asking)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				_, _ = f.Write(question)
			case <-stop:
				return
			}
		}
	})
	done.Go(func() {
		buf := make([]byte, 256)
		for {
			n, err := f.Read(buf) // ends when f is closed
			if err != nil {
				return
			}
			if n >= 42 && binary.BigEndian.Uint16(buf[20:]) == 2 && netip.AddrFrom4([4]byte(buf[28:32])) == wanted {
				c.mu.Lock()
				c.answers = append(c.answers, time.Now())
				c.mu.Unlock()
			}
		}
	})
	t.Cleanup(func() {
		close(stop)
		_ = f.Close()
		done.Wait()
	})
	return c
}

// arpQuestion is an Ethernet frame (RFC 826).
func arpQuestion(mac net.HardwareAddr, own, wanted netip.Addr) []byte {
	b := append([]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, mac...)
	b = append(b, 8, 6, 0, 1, 8, 0, 6, 4, 0, 1)
	b = append(b, mac...)
	b = append(b, own.AsSlice()...)
	b = append(b, 0, 0, 0, 0, 0, 0)
	return append(b, wanted.AsSlice()...)
}

// gap is the longest time without an answer since then.
func (c *client) gap(since time.Time) time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	longest, last := time.Duration(0), since
	for _, at := range append(c.answers, time.Now()) {
		if at.After(since) {
			longest, last = max(longest, at.Sub(last)), at
		}
	}
	return longest
}

// answered are the times of all answers.
func (c *client) answered() []time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]time.Time(nil), c.answers...)
}
