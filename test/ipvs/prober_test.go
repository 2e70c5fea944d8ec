package ipvs

import (
	"encoding/binary"
	"errors"
	"maps"
	"net"
	"net/netip"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/hareconcile/hareconcile/internal/nstest"
)

// A prober asks on a link layer who has some addresses, and counts what a server gives away.
type prober struct {
	fd            int
	index         int
	mac, peer     [6]byte
	own4, own6    netip.Addr // the prober's
	peer4, peer6  netip.Addr // the server's, for which it always answers
	virtual       []netip.Addr
	rounds        int
	betrayed      claims
	barrier       chan chan claims // asks for one round from now on; end closes it to end run
	end           func()
	done          chan struct{} // closed by run
	failed        error         // of run; valid after done
	frame, answer []byte
}

// claims counts a server's frames by which it says that it has an address.
type claims map[netip.Addr]int

// newProber opens a socket in the client's namespace. run is started by the caller.
func newProber(t *testing.T, client, server *nstest.NS, p prober) *prober {
	t.Helper()
	mac := func(ns *nstest.NS) (m [6]byte, index int) {
		ns.Do(func() {
			i, err := net.InterfaceByName("eth0")
			if err != nil {
				t.Fatal(err)
			}
			copy(m[:], i.HardwareAddr)
			index = i.Index
		})
		return m, index
	}
	p.mac, p.index = mac(client)
	p.peer, _ = mac(server)
	client.Do(func() {
		var err error
		p.fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, int(htons(unix.ETH_P_ALL)))
		if err == nil {
			err = unix.Bind(p.fd, &unix.SockaddrLinklayer{Protocol: htons(unix.ETH_P_ALL), Ifindex: p.index})
		}
		if err == nil {
			err = unix.SetsockoptTimeval(p.fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Sec: 2})
		}
		if err != nil {
			t.Fatal(err)
		}
	})
	p.betrayed, p.barrier, p.done = claims{}, make(chan chan claims), make(chan struct{})
	p.answer = make([]byte, 2048)
	p.end = sync.OnceFunc(func() { close(p.barrier) })
	t.Cleanup(p.end)
	return &p
}

func htons(v uint16) uint16 { return v<<8 | v>>8 }

// run asks every millisecond, and when it is told to, until barrier is closed.
func (p *prober) run() {
	defer close(p.done)
	defer unix.Close(p.fd)
	if p.failed = oneCPU(); p.failed != nil {
		return
	}
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for p.failed == nil {
		select {
		case <-tick.C:
			p.failed = p.round()
		case reply, ok := <-p.barrier:
			if !ok {
				return
			}
			p.failed = p.round()
			reply <- maps.Clone(p.betrayed)
		}
	}
}

// now waits for a whole round that begins after the call, and returns the claims so far.
func (p *prober) now(t *testing.T) claims {
	t.Helper()
	reply := make(chan claims, 1) // run does not wait for us
	select {
	case p.barrier <- reply:
		return <-reply
	case <-p.done:
		t.Fatal(p.failed)
		return nil
	}
}

// stop ends run and returns all claims.
func (p *prober) stop(t *testing.T) claims {
	t.Helper()
	p.end()
	<-p.done
	if p.failed != nil {
		t.Fatal(p.failed)
	}
	t.Logf("%d rounds, given away: %v", p.rounds, p.betrayed)
	return p.betrayed
}

// oneCPU keeps this goroutine on one CPU, and frames with it: a veth hands them to the other
// side on the CPU that sent them. The thread ends with the goroutine.
func oneCPU() error {
	runtime.LockOSThread()
	var all, one unix.CPUSet
	if err := unix.SchedGetaffinity(0, &all); err != nil {
		return err
	}
	for cpu := 0; one.Count() == 0; cpu++ {
		if all.IsSet(cpu) {
			one.Set(cpu)
		}
	}
	return unix.SchedSetaffinity(0, &one)
}

// round asks for each virtual address, and then for the server's own. On one CPU frames keep
// their order: when both own addresses were answered for, so were the others.
func (p *prober) round() error {
	p.rounds++
	waiting := map[netip.Addr]int{}
	for _, a := range append(p.virtual, p.peer4, p.peer6) {
		frames := [][]byte{p.whoHas(a)}
		if a.Is6() {
			frames = [][]byte{p.solicit(a, solicitedNode(a)), p.solicit(a, a)}
		}
		for _, f := range frames {
			if _, err := unix.Write(p.fd, f); err != nil {
				return err
			}
		}
		waiting[a] = len(frames)
	}
	for waiting[p.peer4] > 0 || waiting[p.peer6] > 0 {
		n, err := unix.Read(p.fd, p.answer)
		if errors.Is(err, unix.EINTR) { // Go's own signals
			continue
		}
		if err != nil {
			return errors.Join(errors.New("the server does not answer for its own addresses"), err)
		}
		a, answer := p.claimed(p.answer[:n])
		if answer {
			waiting[a]--
		}
		if slices.Contains(p.virtual, a) {
			p.betrayed[a]++
		}
	}
	return nil
}

// claimed returns the address that the server says it has in a frame: the sender of ARP
// (RFC 826), in requests as in replies, or the target of a neighbour advertisement (RFC
// 4861); and whether the frame is an answer.
func (p *prober) claimed(f []byte) (a netip.Addr, answer bool) {
	if len(f) < 42 || [6]byte(f[6:12]) != p.peer {
		return netip.Addr{}, false
	}
	switch binary.BigEndian.Uint16(f[12:14]) {
	case unix.ETH_P_ARP:
		const reply = 2
		return netip.AddrFrom4([4]byte(f[28:32])), binary.BigEndian.Uint16(f[20:22]) == reply
	case unix.ETH_P_IPV6:
		const advertisement = 136
		if f[20] == unix.IPPROTO_ICMPV6 && len(f) >= 78 && f[54] == advertisement {
			return netip.AddrFrom16([16]byte(f[62:78])), true
		}
	}
	return netip.Addr{}, false
}

func (p *prober) whoHas(a netip.Addr) []byte {
	f := append(p.frame[:0], 0xff, 0xff, 0xff, 0xff, 0xff, 0xff)
	f = append(f, p.mac[:]...)
	f = append(f, 0x08, 0x06, 0, 1, 0x08, 0x00, 6, 4, 0, 1) // Ethernet, IPv4, request
	f = append(append(f, p.mac[:]...), p.own4.AsSlice()...)
	f = append(append(f, 0, 0, 0, 0, 0, 0), a.AsSlice()...)
	return f
}

func solicitedNode(a netip.Addr) netip.Addr {
	b := a.As16()
	return netip.AddrFrom16([16]byte{0xff, 0x02, 11: 1, 12: 0xff, 13: b[13], 14: b[14], 15: b[15]})
}

// solicit returns a neighbour solicitation for target, to its multicast group or to the
// server's own link layer address.
func (p *prober) solicit(target, to netip.Addr) []byte {
	src, dst := p.own6.As16(), to.As16()
	icmp := append([]byte{135, 0, 0, 0, 0, 0, 0, 0}, target.AsSlice()...)
	icmp = append(append(icmp, 1, 1), p.mac[:]...) // the source's link layer address
	sum := uint32(len(icmp)) + unix.IPPROTO_ICMPV6
	for _, part := range [][]byte{src[:], dst[:], icmp} {
		for i := 0; i < len(part); i += 2 {
			sum += uint32(binary.BigEndian.Uint16(part[i:]))
		}
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	binary.BigEndian.PutUint16(icmp[2:], ^uint16(sum))
	f := p.peer[:]
	if to.IsMulticast() {
		f = []byte{0x33, 0x33, dst[12], dst[13], dst[14], dst[15]}
	}
	f = append(append([]byte{}, f...), p.mac[:]...)
	f = append(f, 0x86, 0xdd, 0x60, 0, 0, 0, 0, byte(len(icmp)), unix.IPPROTO_ICMPV6, 255)
	f = append(append(f, src[:]...), dst[:]...)
	return append(f, icmp...)
}
