package bfdd

import (
	"encoding/binary"
	"net/netip"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/hareconcile/hareconcile/internal/bfd"
)

const (
	// ipHeader is where a filter finds the IP header of a UDP datagram (SKF_NET_OFF of
	// linux/filter.h).
	ipHeader = 1<<32 - 0x100000
	keep     = 0xffff
	drop     = 0
	// maxFilter is the kernel's BPF_MAXINSNS.
	maxFilter = 4096
)

// nothing is a filter that keeps nothing.
var nothing = []unix.SockFilter{{Code: unix.BPF_RET | unix.BPF_K, K: drop}}

func fprog(code []unix.SockFilter) *unix.SockFprog {
	return &unix.SockFprog{Len: uint16(len(code)), Filter: unsafe.SliceData(code)}
}

// known is a filter that keeps what has crossed no router and is from one of peers, so
// that a flood of others neither fills the socket nor wakes us. The loop judges again.
// Where the peers are too many for a filter, it leaves them to the loop.
func known(ipv6 bool, peers []netip.Addr) []unix.SockFilter {
	ttl, source, words := uint32(8), uint32(12), 1
	if ipv6 {
		ttl, source, words = 7, 8, 4
	}
	code := []unix.SockFilter{
		{Code: unix.BPF_LD | unix.BPF_B | unix.BPF_ABS, K: ipHeader + ttl},
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: bfd.TTL, Jt: 1},
		{Code: unix.BPF_RET | unix.BPF_K, K: drop},
	}
	if len(code)+len(peers)*(2*words+1)+1 > maxFilter {
		return append(code, unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: keep})
	}
	for _, p := range peers {
		b := p.AsSlice()
		for w := range words {
			code = append(code,
				unix.SockFilter{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: ipHeader + source + uint32(4*w)},
				unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: binary.BigEndian.Uint32(b[4*w:]), Jf: uint8(2*(words-w) - 1)})
		}
		code = append(code, unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: keep})
	}
	return append(code, unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: drop})
}
