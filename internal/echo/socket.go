package echo

import (
	"errors"
	"fmt"
	"net/netip"
	"unsafe"

	"golang.org/x/sys/unix"
)

// readShare bounds what one socket may deliver in a round.
const readShare = 1024

// A Socket is of one family. It never blocks.
type Socket struct {
	FD int
	// ID is what requests have to have for their replies to be heard.
	ID   uint16
	ipv6 bool
	ping bool // the kernel makes and takes away headers
	buf  [2048]byte
	out  []byte
}

// Open returns a raw socket that hears only replies to one id.
func Open(ipv6 bool, id uint16) (*Socket, error) {
	s := &Socket{ID: id, ipv6: ipv6}
	if err := s.open(unix.SOCK_RAW); err != nil {
		return nil, err
	}
	if err := unix.SetsockoptSockFprog(s.FD, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, replies(ipv6, id)); err != nil {
		s.Close()
		return nil, fmt.Errorf("filter ICMP socket: %w", err)
	}
	return s, nil
}

// OpenPing returns a socket for those without CAP_NET_RAW, where the sysctl
// net.ipv4.ping_group_range lets them (icmp(7)). The kernel chooses its id.
func OpenPing(ipv6 bool) (*Socket, error) {
	s := &Socket{ipv6: ipv6, ping: true}
	if err := s.open(unix.SOCK_DGRAM); err != nil {
		return nil, err
	}
	var any unix.Sockaddr = &unix.SockaddrInet4{}
	if ipv6 {
		any = &unix.SockaddrInet6{}
	}
	err := unix.Bind(s.FD, any)
	if err == nil {
		any, err = unix.Getsockname(s.FD)
	}
	if err != nil {
		s.Close()
		return nil, fmt.Errorf("bind ICMP socket: %w", err)
	}
	switch a := any.(type) {
	case *unix.SockaddrInet4:
		s.ID = uint16(a.Port)
	case *unix.SockaddrInet6:
		s.ID = uint16(a.Port)
	}
	return s, nil
}

func (s *Socket) open(kind int) (err error) {
	family, protocol := unix.AF_INET, unix.IPPROTO_ICMP
	if s.ipv6 {
		family, protocol = unix.AF_INET6, unix.IPPROTO_ICMPV6
	}
	if s.FD, err = unix.Socket(family, kind|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, protocol); err != nil {
		return fmt.Errorf("open ICMP socket: %w", err)
	}
	return nil
}

// Close closes the socket.
func (s *Socket) Close() { _ = unix.Close(s.FD) }

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

// Send sends a request, out of a device and from an address if those are given.
func (s *Socket) Send(m *Message, to, source netip.Addr, device int) error {
	s.out = m.AppendRequest(s.out[:0], s.ipv6)
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
	return unix.Sendmsg(s.FD, s.out, oob, sa, unix.MSG_DONTWAIT)
}

// Drain calls f for every reply that is queued; false if there may be more.
func (s *Socket) Drain(f func(m Message, from netip.Addr)) bool {
	for range readShare {
		n, sa, err := unix.Recvfrom(s.FD, s.buf[:], unix.MSG_DONTWAIT)
		if errors.Is(err, unix.EAGAIN) {
			return true
		}
		if err != nil {
			continue // an interrupt, or an error that the read has cleared
		}
		if m, from, ok := s.parse(s.buf[:n], sa); ok {
			f(m, from)
		}
	}
	return false
}

func (s *Socket) parse(b []byte, sa unix.Sockaddr) (m Message, from netip.Addr, ok bool) {
	switch a := sa.(type) {
	case *unix.SockaddrInet6:
		ok = m.parse(b, echoReply6) // the kernel has verified the checksum
		return m, netip.AddrFrom16(a.Addr), ok
	case *unix.SockaddrInet4:
		if !s.ping {
			return parseReply4(b)
		}
		ok = m.parse(b, echoReply4)
		return m, netip.AddrFrom4(a.Addr), ok
	}
	return m, from, false
}

// IndexOf returns the index of a device.
func (s *Socket) IndexOf(device string) (int, error) {
	req, err := unix.NewIfreq(device)
	if err == nil {
		err = unix.IoctlIfreq(s.FD, unix.SIOCGIFINDEX, req)
	}
	if err != nil {
		return 0, fmt.Errorf("find device %s: %w", device, err)
	}
	return int(req.Uint32()), nil
}
