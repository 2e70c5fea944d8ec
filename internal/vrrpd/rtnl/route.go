package rtnl

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"

	"golang.org/x/sys/unix"
)

// attrNextHopID is RTA_NH_ID (linux/rtnetlink.h).
const attrNextHopID = 30

// A Route is one route of a table. What the fields cannot say makes it Other.
type Route struct {
	Prefix   netip.Prefix
	Type     uint8 // RTN_*
	Table    uint32
	Metric   uint32
	Protocol uint8
	Scope    uint8 // IPv4 only
	Via      netip.Addr
	Index    int // of the device; 0 for none
	Source   netip.Addr
	MTU      uint32
	OnLink   bool
	Dead     bool // its device is down
	Other    bool // has several next hops, a type of service, an encapsulation or the like
}

// String returns r in the words of ip-route(8), with the device's index.
func (r Route) String() string {
	s := fmt.Sprintf("%v table %d metric %d", r.Prefix, r.Table, r.Metric)
	if r.Via.IsValid() {
		s += " via " + r.Via.String()
	}
	if r.Index != 0 {
		s += fmt.Sprintf(" index %d", r.Index)
	}
	return s
}

// parseRoute reads the body of RTM_NEWROUTE and RTM_DELROUTE.
func parseRoute(b []byte) (r Route, ok bool) {
	if len(b) < unix.SizeofRtMsg || b[0] != unix.AF_INET && b[0] != unix.AF_INET6 {
		return r, false
	}
	fam, flags := b[0], binary.NativeEndian.Uint32(b[8:])
	if flags&unix.RTM_F_CLONED != 0 {
		return r, false // an exception that the kernel keeps beside the route
	}
	r.Table, r.Protocol, r.Scope, r.Type = uint32(b[4]), b[5], b[6], b[7]
	r.OnLink, r.Dead = flags&unix.RTNH_F_ONLINK != 0, flags&unix.RTNH_F_DEAD != 0
	r.Other = b[2] != 0 || b[3] != 0
	dst := netip.IPv4Unspecified()
	if fam == unix.AF_INET6 {
		dst, r.Scope = netip.IPv6Unspecified(), 0
	}
	eachAttr(b[unix.SizeofRtMsg:], func(typ uint16, v []byte) {
		switch typ {
		case unix.RTA_DST:
			dst = addr(fam, v)
		case unix.RTA_OIF:
			r.Index = int(int32(number(v)))
		case unix.RTA_GATEWAY:
			r.Via = addr(fam, v)
		case unix.RTA_VIA:
			if len(v) == 18 {
				r.Via = addr(unix.AF_INET6, v[2:])
			}
		case unix.RTA_PRIORITY:
			r.Metric = number(v)
		case unix.RTA_PREFSRC:
			r.Source = addr(fam, v)
		case unix.RTA_TABLE:
			r.Table = number(v)
		case unix.RTA_METRICS:
			eachAttr(v, func(typ uint16, v []byte) {
				if typ == unix.RTAX_MTU {
					r.MTU = number(v)
				}
			})
		case unix.RTA_MULTIPATH, unix.RTA_ENCAP, unix.RTA_FLOW, unix.RTA_SRC, attrNextHopID:
			r.Other = true
		}
	})
	r.Prefix = netip.PrefixFrom(dst, int(b[1]))
	return r, r.Prefix.IsValid()
}

// append appends the body of a request about r, with our mark as its protocol. To delete
// it names what tells routes of one table apart, and the mark, so that another's stays.
func (r *Route) append(b []byte, del bool) []byte {
	ip := r.Prefix.Addr()
	scope, flags := r.Scope, uint32(0)
	if del {
		scope = unix.RT_SCOPE_NOWHERE // any
	} else if r.OnLink {
		flags = unix.RTNH_F_ONLINK
	}
	table := uint8(unix.RT_TABLE_COMPAT)
	if r.Table < 256 {
		table = uint8(r.Table)
	}
	b = append(b, family(ip), byte(r.Prefix.Bits()), 0, 0, table, Mark, scope, r.Type)
	b = binary.NativeEndian.AppendUint32(b, flags)
	b = appendAddr(b, unix.RTA_DST, ip)
	b = appendNumber(b, unix.RTA_TABLE, r.Table)
	if r.Metric != 0 {
		b = appendNumber(b, unix.RTA_PRIORITY, r.Metric)
	}
	if r.Index != 0 {
		b = appendNumber(b, unix.RTA_OIF, uint32(r.Index))
	}
	switch {
	case !r.Via.IsValid():
	case r.Via.Is4() == ip.Is4():
		b = appendAddr(b, unix.RTA_GATEWAY, r.Via)
	default: // IPv4 by way of an IPv6 neighbour: struct rtvia
		v := r.Via.As16()
		b = appendAttr(b, unix.RTA_VIA, append(binary.NativeEndian.AppendUint16(nil, unix.AF_INET6), v[:]...))
	}
	if del {
		return b
	}
	if r.Source.IsValid() {
		b = appendAddr(b, unix.RTA_PREFSRC, r.Source)
	}
	if r.MTU != 0 {
		var metrics int
		b, metrics = beginNest(b, unix.RTA_METRICS)
		b = endNest(appendNumber(b, unix.RTAX_MTU, r.MTU), metrics)
	}
	return b
}

// A RouteFilter narrows a list of routes; what is zero does not.
type RouteFilter struct {
	Table    uint32
	Protocol uint8
}

// Routes calls each for the routes of both families that f lets through. A list may be
// long, so it is not kept; when it was torn the calls start over after one of begin.
func (c *Conn) Routes(f RouteFilter, begin func(), each func(Route)) error {
	list := func() error {
		for _, fam := range []uint8{unix.AF_INET, unix.AF_INET6} {
			body := make([]byte, unix.SizeofRtMsg)
			body[0], body[5] = fam, f.Protocol
			if f.Table != 0 {
				body = appendNumber(body, unix.RTA_TABLE, f.Table)
			}
			err := c.dumpOnce(unix.RTM_GETROUTE, body, func(typ uint16, b []byte) {
				r, ok := parseRoute(b)
				if ok && typ == unix.RTM_NEWROUTE && (f.Table == 0 || f.Table == r.Table) && (f.Protocol == 0 || f.Protocol == r.Protocol) {
					each(r)
				}
			})
			if err != nil && !errors.Is(err, unix.ENOENT) { // a table that nobody made yet has no routes
				return err
			}
		}
		return nil
	}
	var err error
	for range dumpTries {
		begin()
		if err = list(); !errors.Is(err, ErrTorn) {
			break
		}
	}
	if err != nil {
		return fmt.Errorf("list routes: %w", err)
	}
	return nil
}
