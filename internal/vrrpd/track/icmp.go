package track

import (
	"errors"
	"fmt"
	"net/netip"
	"unsafe"

	"golang.org/x/sys/unix"
)

// readShare bounds what one socket may deliver in a round.
const readShare = 1024

// An icmp is the raw socket of one family, which hears only replies to one id.
type icmp struct {
	fd   int
	ipv6 bool
	buf  [2048]byte
	out  []byte
}

func openICMP(ipv6 bool, id uint16) (*icmp, error) {
	s := &icmp{ipv6: ipv6}
	family, protocol := unix.AF_INET, unix.IPPROTO_ICMP
	if ipv6 {
		family, protocol = unix.AF_INET6, unix.IPPROTO_ICMPV6
	}
	fd, err := unix.Socket(family, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, protocol)
	if err != nil {
		return nil, fmt.Errorf("open ICMP socket: %w", err)
	}
	s.fd = fd
	if err := unix.SetsockoptSockFprog(fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, replies(ipv6, id)); err != nil {
		s.close()
		return nil, fmt.Errorf("filter ICMP socket: %w", err)
	}
	return s, nil
}

func (s *icmp) close() { _ = unix.Close(s.fd) }

// replies is a filter (linux/filter.h) that keeps echo replies to id. It saves wake-ups:
// what counts is judged again by the reader.
func replies(ipv6 bool, id uint16) *unix.SockFprog {
	const keep, drop = 0xffff, 0
	code := []unix.SockFilter{
		{Code: unix.BPF_LDX | unix.BPF_B | unix.BPF_MSH, K: 0}, // X = length of the IPv4 header
		{Code: unix.BPF_LD | unix.BPF_B | unix.BPF_IND, K: 0},
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, Jf: 3, K: echoReply4},
		{Code: unix.BPF_LD | unix.BPF_H | unix.BPF_IND, K: 4},
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, Jf: 1, K: uint32(id)},
		{Code: unix.BPF_RET | unix.BPF_K, K: keep},
		{Code: unix.BPF_RET | unix.BPF_K, K: drop},
	}
	if ipv6 { // an IPv6 raw socket sees the message alone
		code = code[1:]
		code[0] = unix.SockFilter{Code: unix.BPF_LD | unix.BPF_B | unix.BPF_ABS, K: 0}
		code[1].K = echoReply6
		code[2] = unix.SockFilter{Code: unix.BPF_LD | unix.BPF_H | unix.BPF_ABS, K: 4}
	}
	return &unix.SockFprog{Len: uint16(len(code)), Filter: unsafe.SliceData(code)}
}

// send sends a request, out of a device and from an address if those are given.
func (s *icmp) send(e *echo, to, source netip.Addr, device int) error {
	s.out = e.appendRequest(s.out[:0], s.ipv6)
	var oob []byte
	var sa unix.Sockaddr
	if s.ipv6 {
		sa = &unix.SockaddrInet6{Addr: to.As16(), ZoneId: uint32(device)}
		if device != 0 || source.IsValid() {
			info := &unix.Inet6Pktinfo{Ifindex: uint32(device)}
			if source.IsValid() {
				info.Addr = source.As16()
			}
			oob = unix.PktInfo6(info)
		}
	} else {
		sa = &unix.SockaddrInet4{Addr: to.As4()}
		if device != 0 || source.IsValid() {
			info := &unix.Inet4Pktinfo{Ifindex: int32(device)}
			if source.IsValid() {
				info.Spec_dst = source.As4()
			}
			oob = unix.PktInfo4(info)
		}
	}
	return unix.Sendmsg(s.fd, s.out, oob, sa, unix.MSG_DONTWAIT)
}

// drain calls f for every reply that is queued; false if there may be more.
func (s *icmp) drain(f func(e echo, from netip.Addr)) bool {
	for range readShare {
		n, sa, err := unix.Recvfrom(s.fd, s.buf[:], unix.MSG_DONTWAIT)
		if errors.Is(err, unix.EAGAIN) {
			return true
		}
		if err != nil {
			continue // an interrupt, or an error that the read has cleared
		}
		if !s.ipv6 {
			if e, from, ok := parseReply4(s.buf[:n]); ok {
				f(e, from)
			}
			continue
		}
		e, ok := parseReply6(s.buf[:n])
		if sa6, is6 := sa.(*unix.SockaddrInet6); ok && is6 {
			f(e, netip.AddrFrom16(sa6.Addr))
		}
	}
	return false
}

// indexOf returns the index of a device, over any socket.
func indexOf(fd int, device string) (int, error) {
	req, err := unix.NewIfreq(device)
	if err == nil {
		err = unix.IoctlIfreq(fd, unix.SIOCGIFINDEX, req)
	}
	if err != nil {
		return 0, fmt.Errorf("find device %s: %w", device, err)
	}
	return int(req.Uint32()), nil
}
