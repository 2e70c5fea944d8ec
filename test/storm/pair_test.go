package storm

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/hareconcile/hareconcile/internal/vrrpd/vrrpdtest"
)

// interval is that of the pair's adverts.
const interval = 100 * time.Millisecond

// A pair is two vrrpds that nothing happens to, watched from the bridge between them.
type pair struct {
	t      *testing.T
	a, b   *vrrpdtest.Node
	before [2]uint64
	fd     int
	stop   chan struct{}
	over   sync.WaitGroup
	gaps   []time.Duration // of the watcher until over
	begun  usage
}

func newPair(t *testing.T) *pair {
	t.Helper()
	p := &pair{t: t, fd: -1, stop: make(chan struct{})}
	a, b, bridge := vrrpdtest.Pair(t)
	p.a, p.b = a, b
	a.Program, b.Program = vrrpd(t), vrrpd(t)
	a.Start()
	b.Start()
	a.Configure(200, interval, b.Addr)
	b.Configure(100, interval, a.Addr)
	a.WaitState("MASTER")
	b.WaitState("BACKUP")
	bridge.Do(func() { p.listen() })
	p.before, p.begun = p.transitions(), used(t)
	from := netip.MustParseAddr(a.Addr).As4()
	p.over.Go(func() { p.watch(from) })
	t.Cleanup(func() {
		p.end()
		_ = unix.Close(p.fd)
	})
	return p
}

func (p *pair) transitions() [2]uint64 {
	return [2]uint64{p.a.Instance().Transitions, p.b.Instance().Transitions}
}

// listen opens a packet socket on the bridge. The kernel stamps what comes, so that it does
// not matter when this process gets to read it.
func (p *pair) listen() {
	const protocolIP = unix.ETH_P_IP<<8&0xff00 | unix.ETH_P_IP>>8 // in network byte order
	i, err := net.InterfaceByName("br0")
	if err == nil {
		p.fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	}
	if err == nil {
		err = errors.Join(
			unix.SetsockoptInt(p.fd, unix.SOL_SOCKET, unix.SO_TIMESTAMPNS, 1),
			unix.SetsockoptTimeval(p.fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Usec: 50_000}),
			unix.Bind(p.fd, &unix.SockaddrLinklayer{Protocol: protocolIP, Ifindex: i.Index}),
		)
	}
	if err != nil {
		p.t.Fatalf("listen on the bridge: %v", err)
	}
}

// watch measures the gaps between the master's adverts.
func (p *pair) watch(from [4]byte) {
	buf, oob := make([]byte, 256), make([]byte, 128)
	var last time.Time
	for {
		select {
		case <-p.stop:
			return
		default:
		}
		n, oobn, _, _, err := unix.Recvmsg(p.fd, buf, oob, 0)
		if err != nil || n < 20 || buf[9] != 112 || [4]byte(buf[12:16]) != from {
			continue // the time limit, or another packet
		}
		at := stamp(oob[:oobn])
		if !last.IsZero() && at.Sub(last) > time.Millisecond { // br0 shows a packet once for each port
			p.gaps = append(p.gaps, at.Sub(last))
		}
		last = at
	}
}

// stamp is the kernel's time of a packet, from its control messages.
func stamp(oob []byte) time.Time {
	const head = unix.SizeofCmsghdr
	if len(oob) < head+16 {
		return time.Time{}
	}
	return time.Unix(int64(binary.NativeEndian.Uint64(oob[head:])), int64(binary.NativeEndian.Uint64(oob[head+8:])))
}

// end stops watching.
func (p *pair) end() {
	select {
	case <-p.stop:
	default:
		close(p.stop)
		p.over.Wait()
	}
}

// unmoved fails the test if the pair noticed what went on beside it. storm is the processor
// time of the checker.
func (p *pair) unmoved(storm time.Duration) {
	p.t.Helper()
	p.end()
	if now := p.transitions(); now != p.before {
		p.t.Errorf("transitions of master and backup beside the storm: %v, then %v, want none", p.before, now)
	}
	var most time.Duration
	late := 0
	for _, g := range p.gaps {
		most = max(most, g)
		if g > 2*interval {
			late++
		}
	}
	others := used(p.t).others(p.begun, storm)
	note := ""
	if others > spoilt {
		note = fmt.Sprintf(" (spoilt by others on this machine, who used %.0f %% of a processor)", 100*others)
	}
	figure(p.t, "vrrpd beside it: %d adverts each %v, the longest gap %v, %d late%s", len(p.gaps), interval, most.Round(100*time.Microsecond), late, note)
	if late > 0 && note == "" || len(p.gaps) < 10 {
		p.t.Errorf("%d of %d adverts came more than an interval late", late, len(p.gaps))
	}
}

// spoilt is the share of a processor that others may use while adverts have to be in time.
const spoilt = 0.3

// A usage is processor time so far.
type usage struct {
	at        time.Time
	all, ours time.Duration
}

// used is what this machine has used, and this process.
func used(t *testing.T) usage {
	t.Helper()
	b, err := os.ReadFile("/proc/stat")
	if err != nil {
		t.Fatal(err)
	}
	var v [8]int64 // user, nice, system, idle, iowait, irq, softirq, steal: proc(5), in hundredths of a second
	if _, err := fmt.Sscanf(string(b), "cpu %d %d %d %d %d %d %d %d", &v[0], &v[1], &v[2], &v[3], &v[4], &v[5], &v[6], &v[7]); err != nil {
		t.Fatalf("/proc/stat: %v", err)
	}
	return usage{time.Now(), time.Duration(v[0]+v[1]+v[2]+v[5]+v[6]+v[7]) * 10 * time.Millisecond, cpu(t, os.Getpid())}
}

// others is the share of a processor that neither this process nor the checker has used.
func (u usage) others(before usage, checker time.Duration) float64 {
	return float64(u.all-before.all-(u.ours-before.ours)-checker) / float64(u.at.Sub(before.at))
}

// cpu is the processor time of a process.
func cpu(t *testing.T, pid int) time.Duration {
	t.Helper()
	const cpuClockSched = 2 // linux/posix-timers_types.h
	var ts unix.Timespec
	if err := unix.ClockGettime(int32(^pid<<3|cpuClockSched), &ts); err != nil {
		t.Fatalf("read processor time: %v", err)
	}
	return time.Duration(ts.Nano())
}
