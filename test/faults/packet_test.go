package faults

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/hareconcile/hareconcile/internal/nstest"
	"github.com/hareconcile/hareconcile/internal/vrrpd/vrrpdtest"
)

// A forgery is a version 3 or 2 advert, made by hand: nothing here is vrrpd's own code.
type forgery struct {
	from     string
	ttl      byte
	version  byte
	kind     byte // 1 is an advert
	vrid     byte
	priority byte
	count    byte   // of addresses, as claimed; 0 claims what is there
	interval uint16 // centiseconds; seconds in version 2
	vips     []string
	damage   func(ip []byte) []byte // the last thing done to the packet
}

// genuine is what a router of the lan could have sent.
func genuine(from string, priority byte, interval time.Duration) forgery {
	vip := netip.MustParsePrefix(vrrpdtest.VIP).Addr().String()
	return forgery{
		from: from, ttl: 255, version: 3, kind: 1, vrid: 7, priority: priority,
		interval: uint16(interval / (10 * time.Millisecond)), vips: []string{vip},
	}
}

// frame is the Ethernet frame.
func (f forgery) frame() []byte {
	from, group := netip.MustParseAddr(f.from).As4(), [4]byte{224, 0, 0, 18}
	count := f.count
	if count == 0 {
		count = byte(len(f.vips))
	}
	pdu := []byte{f.version<<4 | f.kind, f.vrid, f.priority, count, byte(f.interval >> 8), byte(f.interval), 0, 0}
	if f.version == 2 {
		pdu[4], pdu[5] = 0, byte(f.interval) // no authentication
	}
	for _, a := range f.vips {
		v4 := netip.MustParseAddr(a).As4()
		pdu = append(pdu, v4[:]...)
	}
	sum := pdu
	if f.version == 2 {
		pdu = append(pdu, make([]byte, 8)...)
		sum = pdu
	} else {
		sum = slices.Concat(pdu, from[:], group[:], []byte{0, 112, byte(len(pdu) >> 8), byte(len(pdu))})
	}
	binary.BigEndian.PutUint16(pdu[6:], onesSum(sum))
	ip := make([]byte, 20, 20+len(pdu))
	ip[0], ip[8], ip[9] = 0x45, f.ttl, 112
	copy(ip[12:], from[:])
	copy(ip[16:], group[:])
	ip = append(ip, pdu...)
	if f.damage != nil {
		ip = f.damage(ip)
	}
	head := int(ip[0]&15) * 4
	binary.BigEndian.PutUint16(ip[2:], uint16(len(ip)))
	binary.BigEndian.PutUint16(ip[10:], 0)
	binary.BigEndian.PutUint16(ip[10:], onesSum(ip[:head]))
	return append([]byte{0x01, 0, 0x5e, 0, 0, 18, 2, 0, 0, 0, 0, 0x66, 8, 0}, ip...)
}

// onesSum is the Internet checksum (RFC 1071).
func onesSum(b []byte) uint16 {
	var sum uint32
	for i := 0; i < len(b); i += 2 {
		sum += uint32(b[i]) << 8
		if i+1 < len(b) {
			sum += uint32(b[i+1])
		}
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	return ^uint16(sum)
}

// A sender puts frames on a device.
type sender struct {
	t  *testing.T
	fd int
}

func newSender(t *testing.T, ns *nstest.NS, device string) *sender {
	t.Helper()
	s := &sender{t: t, fd: -1}
	ns.Do(func() {
		i, err := net.InterfaceByName(device)
		if err == nil {
			s.fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
		}
		if err == nil {
			err = errors.Join(
				unix.SetsockoptInt(s.fd, unix.SOL_PACKET, unix.PACKET_QDISC_BYPASS, 1),
				unix.Bind(s.fd, &unix.SockaddrLinklayer{Ifindex: i.Index}),
			)
		}
		if err != nil {
			t.Fatalf("open packet socket: %v", err)
		}
	})
	t.Cleanup(func() { _ = unix.Close(s.fd) })
	return s
}

func (s *sender) send(f forgery) {
	s.t.Helper()
	if _, err := unix.Write(s.fd, f.frame()); err != nil {
		s.t.Fatalf("send: %v", err)
	}
}

// An mmsghdr is struct mmsghdr of sendmmsg(2).
type mmsghdr struct {
	hdr  unix.Msghdr
	sent uint32
	_    [4]byte
}

// flood sends the frames in turn, so many a second for so long, and returns how many went.
func (s *sender) flood(frames [][]byte, rate int, d time.Duration) (sent int, err error) {
	const each = 5 * time.Millisecond
	batch := rate / int(time.Second/each)
	vectors, messages := make([]unix.Iovec, batch), make([]mmsghdr, batch)
	for i := range messages {
		f := frames[i%len(frames)]
		vectors[i].Base = &f[0]
		vectors[i].SetLen(len(f))
		messages[i].hdr.Iov = &vectors[i]
		messages[i].hdr.SetIovlen(1)
	}
	tick := time.NewTicker(each)
	defer tick.Stop()
	for start := time.Now(); time.Since(start) < d; <-tick.C {
		for sent < int(float64(rate)*time.Since(start).Seconds()) && time.Since(start) < d {
			n, _, errno := unix.Syscall6(unix.SYS_SENDMMSG, uintptr(s.fd), uintptr(unsafe.Pointer(&messages[0])), uintptr(batch), 0, 0, 0)
			switch errno {
			case 0:
				sent += int(n)
			case unix.EINTR, unix.ENOBUFS:
			default:
				return sent, fmt.Errorf("sendmmsg: %w", errno)
			}
		}
	}
	return sent, nil
}
