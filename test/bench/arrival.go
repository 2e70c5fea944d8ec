package main

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// arrivals are the checks that reached the servers since the last report. Both programs are
// judged by the same packets: how far the time between two checks of a server is from the
// interval.
type arrivals struct {
	Checks  int           `json:"checks"`
	Servers int           `json:"servers"`
	P50     time.Duration `json:"p50"`
	P99     time.Duration `json:"p99"`
	Max     time.Duration `json:"max"`
	Victim  []time.Time   `json:"victim"` // when the victim was asked
}

// An observer keeps the kernel's time stamps of first packets of connections.
type observer struct {
	mu     sync.Mutex
	last   map[[4]byte]time.Time
	gaps   []time.Duration
	count  int
	victim []time.Time
}

// runArrivals is the process that watches the servers' device.
func runArrivals(args []string) error {
	interval, err := time.ParseDuration(args[1])
	if err != nil {
		return err
	}
	fd, err := firstPackets(args[0])
	if err != nil {
		return err
	}
	o := &observer{last: map[[4]byte]time.Time{}}
	ended := make(chan error, 2) // one from each goroutine
	go func() { ended <- o.watch(fd, interval) }()
	go func() { ended <- serve(func(string) (any, error) { return o.report(), nil }) }()
	return <-ended // the process ends with the first of them
}

// protocolIP is ETH_P_IP in network byte order.
const protocolIP = unix.ETH_P_IP >> 8

// firstPackets opens a socket for TCP packets with SYN and without ACK, of IPv4 without options.
func firstPackets(device string) (int, error) {
	i, err := net.InterfaceByName(device)
	if err != nil {
		return -1, err
	}
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, fmt.Errorf("open packet socket: %w", err)
	}
	filter := []unix.SockFilter{ // offsets are those of the IP header
		{Code: unix.BPF_LD | unix.BPF_B | unix.BPF_ABS, K: 9},
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, Jf: 4, K: unix.IPPROTO_TCP},
		{Code: unix.BPF_LD | unix.BPF_B | unix.BPF_ABS, K: ipHead + 13},
		{Code: unix.BPF_ALU | unix.BPF_AND | unix.BPF_K, K: 0x12},
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, Jf: 1, K: 0x02},
		{Code: unix.BPF_RET | unix.BPF_K, K: ipHead},
		{Code: unix.BPF_RET | unix.BPF_K, K: 0},
	}
	return fd, errors.Join(
		unix.SetsockoptSockFprog(fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}),
		unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, 16<<20),
		unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TIMESTAMPNS, 1),
		unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: protocolIP, Ifindex: i.Index}),
	)
}

func (o *observer) watch(fd int, interval time.Duration) error {
	buf, oob := make([]byte, ipHead), make([]byte, 128)
	for {
		n, oobn, _, _, err := unix.Recvmsg(fd, buf, oob, 0)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return fmt.Errorf("read: %w", err)
		}
		if n == ipHead {
			o.see([4]byte(buf[16:20]), stamp(oob[:oobn]), interval)
		}
	}
}

// see takes one packet's destination and time.
func (o *observer) see(to [4]byte, at time.Time, interval time.Duration) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if netip.AddrFrom4(to) == victim.Addr() {
		o.victim = append(o.victim, at)
		return
	}
	o.count++
	if before, ok := o.last[to]; ok {
		o.gaps = append(o.gaps, (at.Sub(before) - interval).Abs())
	}
	o.last[to] = at
}

// report tells what came since the last one.
func (o *observer) report() arrivals {
	o.mu.Lock()
	defer o.mu.Unlock()
	a := arrivals{Checks: o.count, Servers: len(o.last), Victim: o.victim}
	if n := len(o.gaps); n > 0 {
		slices.Sort(o.gaps)
		a.P50, a.P99, a.Max = o.gaps[n/2], o.gaps[n*99/100], o.gaps[n-1]
	}
	clear(o.last)
	o.gaps, o.count, o.victim = nil, 0, nil
	return a
}
