package wire

import (
	"errors"
	"fmt"
	"net/netip"

	"golang.org/x/sys/unix"
)

// A Known is one virtual router that a port hears.
type Known struct {
	VRID  uint8
	Peers []netip.Addr // whose adverts it is about
	Open  bool         // everybody's are
	// MinTTL is the least TTL or hop limit that an advert may have; 0 is 255.
	MinTTL uint8
}

// Filter lets a port hear the known virtual routers and nothing else. Adverts that came
// over no more routers than they may and may be from a peer are read at once; others are read, too, so that
// they are counted, but at a bounded rate. What was heard before stays to be read.
func (w *Wire) Filter(p Port, known []Known) error {
	j := w.joints[p]
	if j == nil {
		return fmt.Errorf("filter port %v: %w", p, unix.ENODEV)
	}
	c := newClasses(p.IPv6, known)
	var err error = unix.ENOMEM // as the kernel says of too long a program
	if program := c.program(accept, reject); program != nil {
		err = errors.Join(attach(j.peers, program), attach(j.others, c.program(reject, accept)))
	}
	// net.core.optmem_max of older kernels is less than the longest program.
	if errors.Is(err, unix.ENOMEM) {
		c.open, c.peers = c.known, nil // one socket has to do for all
		err = errors.Join(attach(j.peers, c.program(accept, reject)), attach(j.others, deaf))
	}
	if err != nil {
		return fmt.Errorf("filter VRRP on %s: %w", j.device, err)
	}
	return nil
}

func attach(fd int, program []unix.SockFilter) error {
	prog := &unix.SockFprog{Len: uint16(len(program)), Filter: &program[0]}
	if err := unix.SetsockoptSockFprog(fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, prog); err != nil {
		return fmt.Errorf("attach filter: %w", err)
	}
	return nil
}

// A bitmap is a set of VRIDs.
type bitmap [8]uint32

func (b *bitmap) add(vrid uint8) { b[vrid>>5] |= 1 << (vrid & 31) }

// A classes says what a port tells apart. A peer of one virtual router of the port counts
// as a peer of all: the exact check is the guard's, here it is about floods.
type classes struct {
	ipv6        bool
	known, open bitmap
	ttl         uint8 // the least
	peers       []netip.Addr
}

func newClasses(ipv6 bool, known []Known) *classes {
	c := &classes{ipv6: ipv6, ttl: 255}
	seen := map[netip.Addr]bool{}
	for _, k := range known {
		c.known.add(k.VRID)
		if k.MinTTL != 0 {
			c.ttl = min(c.ttl, k.MinTTL)
		}
		if k.Open {
			c.open.add(k.VRID)
		}
		for _, a := range k.Peers {
			if a = a.WithZone(""); a.Is6() == ipv6 && !seen[a] {
				seen[a] = true
				c.peers = append(c.peers, a)
			}
		}
	}
	return c
}

const (
	accept = 1 << 18 // bytes: more than a packet has
	reject = 0
	// maxProgram is the kernel's bound (BPF_MAXINSNS).
	maxProgram = 4096
	// netOff makes an offset one into the IP header (SKF_NET_OFF): raw sockets over IPv6
	// see packets from behind it.
	netOff = 0xfff00000
)

// deaf is a program that accepts nothing.
var deaf = []unix.SockFilter{{Code: unix.BPF_RET | unix.BPF_K}}

// program returns the classic BPF program that returns peer for what may be a peer's
// advert and other for the rest about known virtual routers. It is nil if it is too long.
func (c *classes) program(peer, other uint32) []unix.SockFilter {
	var p program
	ttl, source := uint32(8), uint32(12)
	if c.ipv6 {
		ttl, source = netOff+7, netOff+8
		p.add(unix.BPF_LD|unix.BPF_B|unix.BPF_ABS, 1)
	} else {
		p.add(unix.BPF_LDX|unix.BPF_B|unix.BPF_MSH, 0) // X = the header's length
		p.add(unix.BPF_LD|unix.BPF_B|unix.BPF_IND, 1)
	}
	p.add(unix.BPF_ST, 0)
	p.add(unix.BPF_ALU|unix.BPF_AND|unix.BPF_K, 31)
	p.add(unix.BPF_MISC|unix.BPF_TAX, 0)
	p.member(&c.known)
	p.unless(1, reject)
	p.add(unix.BPF_LD|unix.BPF_B|unix.BPF_ABS, ttl)
	p.below(uint32(c.ttl), other)
	if c.open != (bitmap{}) {
		p.member(&c.open)
		p.when(1, peer)
	}
	p.add(unix.BPF_LD|unix.BPF_W|unix.BPF_ABS, source)
	for _, a := range c.peers {
		if c.ipv6 {
			p.is6(a, source, peer)
		} else {
			p.when(word(a.AsSlice()), peer)
		}
	}
	p.add(unix.BPF_RET|unix.BPF_K, other)
	if len(p) > maxProgram {
		return nil
	}
	return p
}

type program []unix.SockFilter

func (p *program) add(code uint16, k uint32) { *p = append(*p, unix.SockFilter{Code: code, K: k}) }

// skipUnless skips so many instructions if A is not k.
func (p *program) skipUnless(k uint32, skip uint8) {
	*p = append(*p, unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, Jf: skip, K: k})
}

// when returns the verdict if A is k.
func (p *program) when(k, verdict uint32) {
	p.skipUnless(k, 1)
	p.add(unix.BPF_RET|unix.BPF_K, verdict)
}

// unless returns the verdict if A is not k.
func (p *program) unless(k, verdict uint32) {
	*p = append(*p, unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, Jt: 1, K: k})
	p.add(unix.BPF_RET|unix.BPF_K, verdict)
}

// below returns the verdict if A is less than k.
func (p *program) below(k, verdict uint32) {
	*p = append(*p, unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_JGE | unix.BPF_K, Jt: 1, K: k})
	p.add(unix.BPF_RET|unix.BPF_K, verdict)
}

// member sets A to 1 if the set has the VRID, which is in M[0] with its low five bits in
// X, and else to 0.
func (p *program) member(set *bitmap) {
	p.add(unix.BPF_LD|unix.BPF_MEM, 0)
	p.add(unix.BPF_ALU|unix.BPF_RSH|unix.BPF_K, 5)
	words := uint32(0)
	for _, bits := range set {
		if bits != 0 {
			words++
		}
	}
	left := words
	for i, bits := range set {
		if bits == 0 {
			continue
		}
		left--
		p.skipUnless(uint32(i), 2)
		p.add(unix.BPF_LD|unix.BPF_IMM, bits)
		p.add(unix.BPF_JMP|unix.BPF_JA, 3*left+1)
	}
	p.add(unix.BPF_LD|unix.BPF_IMM, 0)
	p.add(unix.BPF_ALU|unix.BPF_RSH|unix.BPF_X, 0)
	p.add(unix.BPF_ALU|unix.BPF_AND|unix.BPF_K, 1)
}

// is6 returns the verdict if the address at that offset is a. It looks at the last word
// first, in which neighbours differ.
func (p *program) is6(a netip.Addr, offset, verdict uint32) {
	b := a.As16()
	for i := 3; i >= 0; i-- {
		p.add(unix.BPF_LD|unix.BPF_W|unix.BPF_ABS, offset+uint32(4*i))
		p.skipUnless(word(b[4*i:]), uint8(2*i+1))
	}
	p.add(unix.BPF_RET|unix.BPF_K, verdict)
}

func word(b []byte) uint32 {
	return uint32(b[0])<<24 | uint32(b[1])<<16 | uint32(b[2])<<8 | uint32(b[3])
}
