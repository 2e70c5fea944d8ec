package interop

import (
	"encoding/binary"
	"net/netip"
	"os"
	"sync"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/hareconcile/hareconcile/internal/nstest"
)

// A frame is one packet as it went over the segment: what the listener, which shares no
// code with any of the programs, could read from it.
type frame struct {
	at   time.Time // the kernel's
	port int       // of the bridge; whose frame it is
	out  bool      // it leaves the bridge by that port
	mac  [6]byte   // of the sender
	from netip.Addr
	to   netip.Addr
	// Of an advert.
	advert   bool
	version  int
	vrid     uint8
	priority uint8
	interval time.Duration
	count    int
	trailer  int // bytes after the addresses
	// announced is the address of a gratuitous ARP or an unsolicited neighbour advertisement.
	announced netip.Addr
}

// A wire hears everything that hosts send to a bridge.
type wire struct {
	t     testing.TB
	ports map[int]int // by interface index

	mu     sync.Mutex
	frames []frame
}

const allFrames = 0x0300 // ETH_P_ALL in network byte order

// listen hears a bridge with that many ports until the test ends.
func listen(t testing.TB, bridge *nstest.NS, ports int) *wire {
	t.Helper()
	w := &wire{t: t, ports: map[int]int{}}
	var fd int
	bridge.Do(func() {
		links, err := netlink.LinkList()
		if err != nil {
			t.Fatal(err)
		}
		for _, l := range links {
			if n := l.Attrs().Name; len(n) == 2 && n[0] == 'p' && int(n[1]-'0') < ports {
				w.ports[l.Attrs().Index] = int(n[1] - '0')
			}
		}
		fd, err = syscall.Socket(syscall.AF_PACKET, syscall.SOCK_RAW|syscall.SOCK_CLOEXEC|syscall.SOCK_NONBLOCK, allFrames)
		if err != nil {
			t.Fatalf("open packet socket: %v", err)
		}
	})
	for _, o := range []struct{ level, name, value int }{
		{unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, 32 << 20}, // 255 routers announce themselves at once
		{unix.SOL_SOCKET, unix.SO_TIMESTAMPNS, 1},
	} {
		if err := syscall.SetsockoptInt(fd, o.level, o.name, o.value); err != nil {
			t.Fatal(err)
		}
	}
	f := os.NewFile(uintptr(fd), "segment")
	conn, err := f.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var done sync.WaitGroup
	done.Go(func() {
		buf, oob := make([]byte, 2048), make([]byte, 128)
		_ = conn.Read(func(fd uintptr) bool { // ends when f is closed
			for {
				n, oobn, _, from, err := syscall.Recvmsg(int(fd), buf, oob, 0)
				if err != nil {
					return err != syscall.EAGAIN && err != syscall.EINTR
				}
				w.hear(buf[:n], oob[:oobn], from)
			}
		})
	})
	t.Cleanup(func() {
		_ = f.Close()
		done.Wait()
	})
	return w
}

func (w *wire) hear(b, oob []byte, from syscall.Sockaddr) {
	ll, ok := from.(*syscall.SockaddrLinklayer)
	if !ok {
		return
	}
	port, ok := w.ports[ll.Ifindex]
	if !ok {
		return
	}
	f, ok := decode(b)
	if !ok {
		return
	}
	f.mac = [6]byte(b[6:12])
	f.port, f.at, f.out = port, time.Now(), ll.Pkttype == syscall.PACKET_OUTGOING
	if msgs, err := syscall.ParseSocketControlMessage(oob); err == nil {
		for _, m := range msgs {
			if m.Header.Level == syscall.SOL_SOCKET && m.Header.Type == syscall.SO_TIMESTAMPNS && len(m.Data) >= int(unsafe.Sizeof(syscall.Timespec{})) {
				f.at = time.Unix(int64(binary.NativeEndian.Uint64(m.Data)), int64(binary.NativeEndian.Uint64(m.Data[8:])))
			}
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.frames = append(w.frames, f)
}

// decode reads an Ethernet frame if it is of those that matter here.
func decode(b []byte) (frame, bool) {
	const ethernet, arp, ipv4, ipv6, na = 14, 28, 20, 40, 24
	if len(b) < ethernet {
		return frame{}, false
	}
	kind, body := binary.BigEndian.Uint16(b[12:]), b[ethernet:]
	switch {
	case kind == 0x0806 && len(body) >= arp:
		sender, target := netip.AddrFrom4([4]byte(body[14:18])), netip.AddrFrom4([4]byte(body[24:28]))
		return frame{announced: sender}, sender == target
	case kind == 0x0800 && len(body) >= ipv4+8 && body[9] == 112:
		head, total := int(body[0]&15)*4, int(binary.BigEndian.Uint16(body[2:]))
		if head < ipv4 || total < head+8 || total > len(body) {
			return frame{}, false
		}
		f := advert(body[head:total], 4)
		f.from, f.to = netip.AddrFrom4([4]byte(body[12:16])), netip.AddrFrom4([4]byte(body[16:20]))
		return f, true
	case kind == 0x86dd && len(body) >= ipv6+8:
		payload := body[ipv6:min(len(body), ipv6+int(binary.BigEndian.Uint16(body[4:])))]
		from, to := netip.AddrFrom16([16]byte(body[8:24])), netip.AddrFrom16([16]byte(body[24:40]))
		switch {
		case body[6] == 112 && len(payload) >= 8:
			f := advert(payload, 16)
			f.from, f.to = from, to
			return f, true
		case body[6] == 58 && len(payload) >= na && payload[0] == 136 && payload[4]&0x40 == 0: // not solicited
			return frame{from: from, to: to, announced: netip.AddrFrom16([16]byte(payload[8:24]))}, true
		}
	}
	return frame{}, false
}

// advert reads a VRRP message of at least eight bytes.
func advert(b []byte, size int) frame {
	f := frame{advert: true, version: int(b[0] >> 4), vrid: b[1], priority: b[2], count: int(b[3])}
	f.interval = time.Duration(binary.BigEndian.Uint16(b[4:])&0xfff) * 10 * time.Millisecond
	if f.version == 2 {
		f.interval = time.Duration(b[5]) * time.Second
	}
	f.trailer = len(b) - 8 - f.count*size
	return f
}

// since returns what was heard at that time or later, in order.
func (w *wire) since(at time.Time) []frame {
	w.mu.Lock()
	defer w.mu.Unlock()
	first := len(w.frames)
	for first > 0 && !w.frames[first-1].at.Before(at) {
		first--
	}
	return append([]frame(nil), w.frames[first:]...)
}

// adverts returns those of one router that came from a port since a time.
func (w *wire) adverts(port int, vrid uint8, since time.Time) []frame {
	return w.pick(port, vrid, since, false)
}

// delivered returns those that left by a port: a link that goes down may lose one between.
func (w *wire) delivered(port int, vrid uint8, since time.Time) []frame {
	return w.pick(port, vrid, since, true)
}

func (w *wire) pick(port int, vrid uint8, since time.Time, out bool) []frame {
	var picked []frame
	for _, f := range w.since(since) {
		if f.advert && f.port == port && f.vrid == vrid && f.out == out {
			picked = append(picked, f)
		}
	}
	return picked
}
