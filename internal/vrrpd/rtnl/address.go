package rtnl

import (
	"encoding/binary"
	"fmt"
	"net/netip"

	"golang.org/x/sys/unix"
)

// attrProto is IFA_PROTO (linux/if_addr.h, since 5.18).
const attrProto = 11

// forever is the lifetime of an address that has none.
const forever = ^uint32(0)

// An Address is an IPv4 or IPv6 address on an interface. In a request Marked and Forever
// are implied, and the last three fields do not count.
type Address struct {
	Index         int
	Prefix        netip.Prefix
	Label         string // IPv4 only
	Scope         uint8  // RT_SCOPE_*; the kernel computes IPv6's
	NoPrefixRoute bool
	Deprecated    bool // IPv6 only: not chosen as source (RFC 6724, section 5, rule 3)
	Marked        bool // carries our protocol mark
	Forever       bool // has no lifetime
	Tentative     bool
	DADFailed     bool
	Secondary     bool // IPv4 only: goes with the primary of its subnet
}

// parseAddress reads the body of RTM_NEWADDR and RTM_DELADDR.
func parseAddress(b []byte) (a Address, ok bool) {
	if len(b) < unix.SizeofIfAddrmsg || b[0] != unix.AF_INET && b[0] != unix.AF_INET6 {
		return a, false
	}
	a.Index, a.Scope, a.Forever = int(int32(binary.NativeEndian.Uint32(b[4:]))), b[3], true
	flags := uint32(b[2])
	var local, other netip.Addr
	eachAttr(b[unix.SizeofIfAddrmsg:], func(typ uint16, v []byte) {
		switch {
		case typ == unix.IFA_LOCAL:
			local = addr(b[0], v)
		case typ == unix.IFA_ADDRESS:
			other = addr(b[0], v)
		case typ == unix.IFA_LABEL:
			a.Label = unix.ByteSliceToString(v)
		case typ == unix.IFA_FLAGS && len(v) >= 4:
			flags = number(v)
		case typ == unix.IFA_CACHEINFO && len(v) >= 8:
			a.Forever = number(v[4:]) == forever
		case typ == attrProto && len(v) >= 1:
			a.Marked = v[0] == Mark
		}
	})
	if !local.IsValid() && b[0] == unix.AF_INET6 {
		local = other
	}
	a.NoPrefixRoute = flags&unix.IFA_F_NOPREFIXROUTE != 0
	a.Tentative = flags&unix.IFA_F_TENTATIVE != 0
	a.DADFailed = flags&unix.IFA_F_DADFAILED != 0
	if b[0] == unix.AF_INET {
		a.Secondary = flags&unix.IFA_F_SECONDARY != 0
	} else {
		a.Deprecated = flags&unix.IFA_F_DEPRECATED != 0
	}
	a.Prefix = netip.PrefixFrom(local, int(b[1]))
	return a, a.Prefix.IsValid()
}

// append appends the body of a request about a. IPv6 addresses skip duplicate address
// detection: another holder is the virtual router's last master.
func (a *Address) append(b []byte) []byte {
	ip := a.Prefix.Addr()
	fam, flags := family(ip), uint32(0)
	if fam == unix.AF_INET6 {
		flags |= unix.IFA_F_NODAD
	}
	if a.NoPrefixRoute {
		flags |= unix.IFA_F_NOPREFIXROUTE
	}
	native := binary.NativeEndian
	b = append(b, fam, byte(a.Prefix.Bits()), byte(flags), a.Scope)
	b = native.AppendUint32(b, uint32(a.Index))
	b = appendAddr(b, unix.IFA_LOCAL, ip)
	b = appendAddr(b, unix.IFA_ADDRESS, ip)
	b = appendAttr(b, attrProto, []byte{Mark})
	if flags != 0 {
		b = appendNumber(b, unix.IFA_FLAGS, flags)
	}
	if a.Label != "" && fam == unix.AF_INET {
		b = appendString(b, unix.IFA_LABEL, a.Label)
	}
	if a.Deprecated && fam == unix.AF_INET6 {
		var info [16]byte // ifa_prefered, ifa_valid, cstamp, tstamp
		native.PutUint32(info[4:], forever)
		b = appendAttr(b, unix.IFA_CACHEINFO, info[:])
	}
	return b
}

// Addresses lists the addresses of both families, in the kernel's order: on an interface
// the primary of a subnet before its secondaries.
func (c *Conn) Addresses() ([]Address, error) {
	out := make([]Address, 0, c.addresses)
	begin := func() { out = out[:0] }
	err := c.dump(unix.RTM_GETADDR, make([]byte, unix.SizeofIfAddrmsg), begin, func(typ uint16, b []byte) {
		if a, ok := parseAddress(b); ok && typ == unix.RTM_NEWADDR {
			out = append(out, a)
		}
	})
	if err != nil {
		return nil, fmt.Errorf("list addresses: %w", err)
	}
	c.addresses = len(out) + 8
	return out, nil
}
