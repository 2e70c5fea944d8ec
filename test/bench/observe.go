package main

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"runtime"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// What can be seen from outside of a daemon.
const (
	sawAdvert   = "advert"   // on a bridge
	sawAnnounce = "announce" // a gratuitous ARP, on a bridge
	sawGap      = "gap"      // from the client's first probe without an answer to the next answer
	sawHeld     = "held"     // an address came to a host
	sawDropped  = "dropped"  // an address left a host
)

// A sighting is something that says who is master.
type sighting struct {
	What     string        `json:"what"`
	At       time.Time     `json:"at"`                 // the kernel's time stamp for packets; of a gap, its end
	Long     time.Duration `json:"long,omitempty"`     // a gap's length
	MAC      string        `json:"mac,omitempty"`      // a packet's sender
	From     netip.Addr    `json:"from,omitzero"`      // the address announced, held or dropped, or the advert's source
	VRID     uint8         `json:"vrid,omitempty"`     // of an advert
	Priority uint8         `json:"priority,omitempty"` // of an advert
}

// A printer prints sightings of several goroutines, one JSON object a line.
type printer struct {
	mu  sync.Mutex
	out *json.Encoder
}

func (p *printer) print(s sighting) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.out.Encode(s)
}

// protocolAll is ETH_P_ALL in network byte order.
const protocolAll = unix.ETH_P_ALL << 8

// observe prints what it sees on the bridges of its network namespace until nobody reads
// it. It is another process since only a thread that never comes back may enter a
// namespace.
func observe(w io.Writer, devices int, probe netip.Addr) error {
	p := &printer{out: json.NewEncoder(w)}
	ended := make(chan error, devices+1) // one from each goroutine
	for d := range devices {
		go func() { ended <- p.bridge(d, probe) }()
	}
	if probe.IsValid() {
		go func() { ended <- ping(probe) }()
	}
	return <-ended // the process ends with the first of them
}

// bridge prints what passes one bridge.
func (p *printer) bridge(device int, probe netip.Addr) error {
	i, err := net.InterfaceByName(bridgeName(device))
	if err != nil {
		return err
	}
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("open packet socket: %w", err)
	}
	err = errors.Join(
		unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, 16<<20),
		unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TIMESTAMPNS, 1),
		unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: protocolAll, Ifindex: i.Index}),
	)
	if err != nil {
		return fmt.Errorf("listen on %s: %w", i.Name, err)
	}
	buf, oob := make([]byte, 2048), make([]byte, 128)
	var waiting time.Time // since the oldest probe without an answer
	for {
		n, oobn, _, _, err := unix.Recvmsg(fd, buf, oob, 0)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return fmt.Errorf("read: %w", err)
		}
		at := stamp(oob[:oobn])
		s, ok := sight(buf[:n])
		switch echo(buf[:n], probe) {
		case echoRequest:
			if waiting.IsZero() {
				waiting = at
			}
		case echoReply:
			s = sighting{What: sawGap, Long: at.Sub(waiting)}
			ok = !waiting.IsZero() && s.Long > shortGap
			waiting = time.Time{}
		}
		if ok {
			s.At = at
			if p.print(s) != nil {
				return nil // the bench is gone
			}
		}
	}
}

// stamp is the kernel's time of a packet, from its control messages.
func stamp(oob []byte) time.Time {
	const head = unix.SizeofCmsghdr
	if len(oob) >= head+16 {
		sec := binary.NativeEndian.Uint64(oob[head:])
		nsec := binary.NativeEndian.Uint64(oob[head+8:])
		return time.Unix(int64(sec), int64(nsec))
	}
	return time.Now()
}

const (
	ethernetHead = 14
	ipHead       = 20
)

// sight reads an Ethernet frame.
func sight(b []byte) (s sighting, ok bool) {
	const arp = 28
	if len(b) < ethernetHead {
		return s, false
	}
	kind, body := binary.BigEndian.Uint16(b[12:]), b[ethernetHead:]
	switch {
	case kind == unix.ETH_P_ARP && len(body) >= arp && [4]byte(body[14:18]) == [4]byte(body[24:28]):
		s = sighting{What: sawAnnounce, From: netip.AddrFrom4([4]byte(body[14:18]))}
	case kind == unix.ETH_P_IP && len(body) >= ipHead+8 && body[0] == 0x45 && body[9] == 112:
		s = sighting{What: sawAdvert, From: netip.AddrFrom4([4]byte(body[12:16])), VRID: body[ipHead+1], Priority: body[ipHead+2]}
	default:
		return s, false
	}
	s.MAC = fmt.Sprintf("%x", b[6:12])
	return s, true
}

const (
	probeEvery = 2 * time.Millisecond
	// shortGap is what a busy machine may take to answer a probe.
	shortGap = 2 * probeEvery
	// RFC 792.
	echoReply, echoRequest = 0, 8
	noEcho                 = -1
)

// echo is the type of an ICMP message from or to that address.
func echo(b []byte, probe netip.Addr) int {
	if !probe.IsValid() || len(b) <= ethernetHead+ipHead || binary.BigEndian.Uint16(b[12:]) != unix.ETH_P_IP || b[ethernetHead+9] != unix.IPPROTO_ICMP {
		return noEcho
	}
	ip, kind := b[ethernetHead:], int(b[ethernetHead+ipHead])
	from, to := netip.AddrFrom4([4]byte(ip[12:16])), netip.AddrFrom4([4]byte(ip[16:20]))
	if kind == echoReply && from == probe || kind == echoRequest && to == probe {
		return kind
	}
	return noEcho
}

// ping sends echo requests (RFC 792) to an address, whatever becomes of them.
func ping(to netip.Addr) error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.IPPROTO_ICMP)
	if err != nil {
		return fmt.Errorf("open ICMP socket: %w", err)
	}
	// Nobody reads this socket: the answers are seen on the bridge.
	_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, 0)
	request := []byte{echoRequest, 0, 0xf7, 0xff, 0, 0, 0, 0}
	dest := &unix.SockaddrInet4{Addr: to.As4()}
	for range time.Tick(probeEvery) {
		_ = unix.Sendto(fd, request, 0, dest) // nobody may have the address
	}
	return nil
}

// held prints the addresses that come to and leave the host of this network namespace.
func held(w io.Writer) error {
	p := &printer{out: json.NewEncoder(w)}
	// These events have no time stamp of the kernel's: nobody may run in between.
	runtime.LockOSThread()
	if err := unix.Setpriority(unix.PRIO_PROCESS, 0, -20); err != nil {
		return fmt.Errorf("become more important: %w", err)
	}
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_ROUTE)
	if err != nil {
		return fmt.Errorf("open netlink socket: %w", err)
	}
	err = errors.Join(
		unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, 16<<20),
		unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Groups: unix.RTMGRP_IPV4_IFADDR}),
	)
	if err != nil {
		return fmt.Errorf("listen to netlink: %w", err)
	}
	buf := make([]byte, 64<<10)
	for {
		n, err := unix.Read(fd, buf)
		if err != nil {
			return fmt.Errorf("read: %w", err)
		}
		at := time.Now()
		for b := buf[:n]; len(b) >= unix.SizeofNlMsghdr; {
			size := int(binary.NativeEndian.Uint32(b))
			if size < unix.SizeofNlMsghdr || size > len(b) {
				break
			}
			s := sighting{At: at, From: addressOf(b[:size])}
			switch binary.NativeEndian.Uint16(b[4:]) {
			case unix.RTM_NEWADDR:
				s.What = sawHeld
			case unix.RTM_DELADDR:
				s.What = sawDropped
			}
			if s.What != "" && p.print(s) != nil {
				return nil // the bench is gone
			}
			b = b[min(len(b), (size+unix.NLMSG_ALIGNTO-1)&^(unix.NLMSG_ALIGNTO-1)):]
		}
	}
}

// addressOf is IFA_LOCAL of an address message.
func addressOf(b []byte) netip.Addr {
	for b = b[unix.SizeofNlMsghdr+unix.SizeofIfAddrmsg:]; len(b) >= unix.SizeofRtAttr; {
		size := int(binary.NativeEndian.Uint16(b))
		if size < unix.SizeofRtAttr || size > len(b) {
			break
		}
		if binary.NativeEndian.Uint16(b[2:]) == unix.IFA_LOCAL && size == unix.SizeofRtAttr+4 {
			return netip.AddrFrom4([4]byte(b[unix.SizeofRtAttr:size]))
		}
		b = b[min(len(b), (size+3)&^3):]
	}
	return netip.Addr{}
}
