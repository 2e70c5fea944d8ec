package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"

	"golang.org/x/sys/unix"
)

// herald is a master of the layout that does nothing but advertise, all routers in one go:
// both programs' backups hear the same from it, and miss the same when it is killed.
func herald(l layout) error {
	sockets := make([]int, l.devices())
	for d := range sockets {
		i, err := net.InterfaceByName(fmt.Sprintf("eth%d", d))
		if err != nil {
			return err
		}
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 112)
		if err != nil {
			return fmt.Errorf("open raw socket: %w", err)
		}
		err = errors.Join(
			unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_MULTICAST_TTL, 255),
			unix.SetsockoptIPMreqn(fd, unix.IPPROTO_IP, unix.IP_MULTICAST_IF, &unix.IPMreqn{Ifindex: int32(i.Index)}),
			unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_SNDBUFFORCE, 4<<20),
		)
		if err != nil {
			return fmt.Errorf("prepare socket for %s: %w", i.Name, err)
		}
		sockets[d] = fd
	}
	adverts := make([][]byte, l.routers)
	for n := range adverts {
		device, vrid := l.place(n)
		adverts[n] = advert(hostAddr(0, device), vrid, masterPriority, l.interval, l.vips(n))
	}
	group := &unix.SockaddrInet4{Addr: [4]byte{224, 0, 0, 18}}
	for tick := time.NewTicker(l.interval); ; <-tick.C {
		for n, a := range adverts {
			device, _ := l.place(n)
			if err := unix.Sendto(sockets[device], a, 0, group); err != nil {
				return fmt.Errorf("send: %w", err)
			}
		}
	}
}

// advert is a version 3 message (RFC 9568, section 5), summed with the pseudo-header.
func advert(from netip.Addr, vrid, priority byte, interval time.Duration, vips []netip.Addr) []byte {
	centiseconds := uint16(interval / (10 * time.Millisecond))
	b := []byte{0x31, vrid, priority, byte(len(vips)), byte(centiseconds >> 8), byte(centiseconds), 0, 0}
	for _, a := range vips {
		b = append(b, a.AsSlice()...)
	}
	pseudo := append(from.AsSlice(), 224, 0, 0, 18, 0, 112, byte(len(b)>>8), byte(len(b)))
	var sum uint32
	for _, part := range [][]byte{pseudo, b} { // both of even length
		for i := 0; i < len(part); i += 2 {
			sum += uint32(binary.BigEndian.Uint16(part[i:]))
		}
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	binary.BigEndian.PutUint16(b[6:], ^uint16(sum))
	return b
}
