package wire

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"testing"

	"golang.org/x/sys/unix"
)

// run is what the kernel makes of a program (Documentation/networking/filter.rst), as far
// as our programs go. It panics where the kernel would refuse them.
func run(p []unix.SockFilter, ipHeader, b []byte) uint32 {
	var a, x uint32
	var m [16]uint32
	load := func(at uint32, size int) (uint32, bool) {
		from := b
		if at >= netOff {
			from, at = ipHeader, at-netOff
		}
		if int(at)+size > len(from) {
			return 0, false
		}
		if size == 1 {
			return uint32(from[at]), true
		}
		return binary.BigEndian.Uint32(from[at:]), true
	}
	for pc := 0; ; pc++ {
		i, ok := p[pc], true
		switch i.Code {
		case unix.BPF_LD | unix.BPF_B | unix.BPF_ABS:
			a, ok = load(i.K, 1)
		case unix.BPF_LD | unix.BPF_W | unix.BPF_ABS:
			a, ok = load(i.K, 4)
		case unix.BPF_LD | unix.BPF_B | unix.BPF_IND:
			a, ok = load(x+i.K, 1)
		case unix.BPF_LDX | unix.BPF_B | unix.BPF_MSH:
			x, ok = load(i.K, 1)
			x = x & 0xf * 4
		case unix.BPF_LD | unix.BPF_IMM:
			a = i.K
		case unix.BPF_LD | unix.BPF_MEM:
			a = m[i.K]
		case unix.BPF_ST:
			m[i.K] = a
		case unix.BPF_MISC | unix.BPF_TAX:
			x = a
		case unix.BPF_ALU | unix.BPF_AND | unix.BPF_K:
			a &= i.K
		case unix.BPF_ALU | unix.BPF_RSH | unix.BPF_K:
			a >>= i.K
		case unix.BPF_ALU | unix.BPF_RSH | unix.BPF_X:
			a >>= x
		case unix.BPF_JMP | unix.BPF_JA:
			pc += int(i.K)
		case unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K:
			if a == i.K {
				pc += int(i.Jt)
			} else {
				pc += int(i.Jf)
			}
		case unix.BPF_JMP | unix.BPF_JGE | unix.BPF_K:
			if a >= i.K {
				pc += int(i.Jt)
			} else {
				pc += int(i.Jf)
			}
		case unix.BPF_RET | unix.BPF_K:
			return i.K
		default:
			panic(fmt.Sprintf("instruction %#x", i.Code))
		}
		if !ok {
			return 0
		}
	}
}

// sample is a packet as a program sees it: an IP header, and what a raw socket shows.
func sample(from netip.Addr, ttl, vrid uint8, options int) (ipHeader, seen []byte) {
	if from.Is6() {
		h := make([]byte, header6)
		h[hopLimit] = ttl
		copy(h[8:], from.AsSlice())
		return h, []byte{0x31, vrid, 100, 1, 0, 1, 0, 0}
	}
	h := make([]byte, 20+options)
	h[0], h[8] = byte(0x40|len(h)/4), ttl
	copy(h[12:], from.AsSlice())
	return h, append(h, 0x31, vrid, 100, 1, 0, 1, 0, 0)
}

func address(r *rand.Rand, ipv6 bool) netip.Addr {
	if ipv6 { // few values, so that words repeat
		return netip.AddrFrom16([16]byte{0: 0xfe, 1: 0x80, 11: byte(r.IntN(3)), 15: byte(r.IntN(3))})
	}
	return netip.AddrFrom4([4]byte{10, 0, byte(r.IntN(3)), byte(r.IntN(3))})
}

func TestProgramsSortPackets(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 7))
	for range 300 {
		ipv6 := r.IntN(2) == 0
		var known []Known
		least := uint8(255)
		for range r.IntN(20) {
			k := Known{VRID: uint8(r.IntN(256)), Open: r.IntN(8) == 0}
			for range r.IntN(4) {
				k.Peers = append(k.Peers, address(r, ipv6))
			}
			if k.MinTTL = []uint8{0, 0, 254, 255}[r.IntN(4)]; k.MinTTL == 254 {
				least = 254
			}
			known = append(known, k)
		}
		c := newClasses(ipv6, known)
		peers, others := c.program(accept, reject), c.program(reject, accept)
		for range 200 {
			from, ttl, vrid := address(r, ipv6), uint8(255-r.IntN(3)), uint8(r.IntN(256))
			if len(known) > 0 && r.IntN(4) > 0 {
				vrid = known[r.IntN(len(known))].VRID
			}
			ours, peer := false, false
			for _, k := range known {
				ours = ours || k.VRID == vrid
				peer = peer || k.VRID == vrid && k.Open
				for _, a := range k.Peers {
					peer = peer || a == from
				}
			}
			header, seen := sample(from, ttl, vrid, 4*r.IntN(3))
			wantPeer, wantOther := ours && peer && ttl >= least, ours && !(peer && ttl >= least)
			if got := run(peers, header, seen) > 0; got != wantPeer {
				t.Fatalf("%v ttl %d vrid %d of %v is a peer's: %v, want %v", from, ttl, vrid, known, got, wantPeer)
			}
			if got := run(others, header, seen) > 0; got != wantOther {
				t.Fatalf("%v ttl %d vrid %d of %v is a stranger's: %v, want %v", from, ttl, vrid, known, got, wantOther)
			}
		}
	}
}

func TestProgramsIgnoreHalfPackets(t *testing.T) {
	for _, from := range []netip.Addr{netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("fe80::1")} {
		c := newClasses(from.Is6(), []Known{{VRID: 7, Peers: []netip.Addr{from}}})
		header, seen := sample(from, 255, 7, 0)
		for n := range len(seen) - 6 {
			if got := run(c.program(accept, accept), header, seen[:n]); got != 0 {
				t.Errorf("%d bytes of a packet from %v: accepted", n, from)
			}
		}
	}
}

// many are 255 virtual routers with n peers altogether.
func many(n int, ipv6 bool) []Known {
	known := make([]Known, 255)
	for i := range known {
		known[i].VRID = uint8(i + 1)
	}
	for i := range n {
		a := netip.AddrFrom4([4]byte{10, 1, byte(i >> 8), byte(i)})
		if ipv6 {
			a = netip.AddrFrom16([16]byte{0: 0xfe, 1: 0x80, 14: byte(i >> 8), 15: byte(i)})
		}
		k := &known[i%255]
		k.Peers = append(k.Peers, a)
	}
	return known
}

func TestProgramsFit(t *testing.T) {
	for _, tt := range []struct {
		peers int
		ipv6  bool
		fits  bool
	}{{64, false, true}, {64, true, true}, {2000, false, true}, {400, true, true}, {2100, false, false}, {500, true, false}} {
		p := newClasses(tt.ipv6, many(tt.peers, tt.ipv6)).program(accept, reject)
		if (p != nil) != tt.fits {
			t.Errorf("%d peers, IPv6 %v: %d instructions, want it to fit: %v", tt.peers, tt.ipv6, len(p), tt.fits)
		}
	}
}
