package rtnl

import (
	"encoding/binary"
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// An EventKind says what an Event is about.
type EventKind uint8

// The kinds of events.
const (
	Lost         EventKind = iota + 1 // the kernel dropped events: look at everything again
	LinkEvent                         // Link
	AddressEvent                      // Address
	RouteEvent                        // Route
	RuleEvent                         // Rule
	ForwardEvent                      // Index, IPv6 and Forwarding: routers turn forwarding on
)

// An Event is one change on the host.
type Event struct {
	Kind       EventKind
	Gone       bool // the object was removed
	Own        bool // by our Conn; IPv6 addresses never say so
	Link       Link
	Address    Address
	Route      Route
	Rule       Rule
	Index      int
	IPv6       bool
	Forwarding bool
}

// eventsBuffer has room for 10,000 addresses that come and go at once: the kernel counts
// double.
const eventsBuffer = 8 << 20

// Events is a socket that hears of changes to links, addresses, routes, rules and
// forwarding, of both families. It is for one goroutine.
type Events struct {
	fd   int
	port uint32 // of the Conn whose changes are our own
	buf  []byte
	rest []byte // of the datagram being read
}

// What package unix lacks of linux/rtnetlink.h and linux/netconf.h.
const (
	groupIPv4Rule     = 8  // RTNLGRP_IPV4_RULE
	groupIPv6Rule     = 19 // RTNLGRP_IPV6_RULE
	groupIPv6Netconf  = 25 // RTNLGRP_IPV6_NETCONF
	netconfIndex      = 1  // NETCONFA_IFINDEX
	netconfForwarding = 2  // NETCONFA_FORWARDING
)

// Listen opens Events that takes c's changes for our own.
func Listen(c *Conn) (*Events, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.NETLINK_ROUTE)
	if err != nil {
		return nil, fmt.Errorf("listen to netlink: %w", err)
	}
	_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, eventsBuffer)
	_ = attachFilter(fd, true) // without it there is more to read, that is all
	err = unix.Bind(fd, &unix.SockaddrNetlink{
		Family: unix.AF_NETLINK,
		Groups: unix.RTMGRP_LINK | unix.RTMGRP_IPV4_IFADDR | unix.RTMGRP_IPV6_IFADDR |
			unix.RTMGRP_IPV4_ROUTE | unix.RTMGRP_IPV6_ROUTE |
			1<<(groupIPv4Rule-1) | 1<<(groupIPv6Rule-1) | 1<<(groupIPv6Netconf-1),
	})
	if err != nil {
		_ = unix.Close(fd)
		return nil, fmt.Errorf("listen to netlink: %w", err)
	}
	return &Events{fd: fd, port: c.port, buf: make([]byte, 64<<10)}, nil
}

// Close closes the socket.
func (e *Events) Close() error { return unix.Close(e.fd) }

// Fd is what to poll for reading. There may be events without it: ask Next until it says no.
func (e *Events) Fd() int { return e.fd }

// Next reads one event without waiting; false if there is none.
func (e *Events) Next(ev *Event) bool {
	for {
		for len(e.rest) > 0 {
			m, rest, ok := cutMessage(e.rest)
			if !ok {
				e.rest = nil
				*ev = Event{Kind: Lost}
				return true
			}
			e.rest = rest
			if parseEvent(m, e.port, ev) {
				return true
			}
		}
		n, err := unix.Read(e.fd, e.buf)
		switch {
		case errors.Is(err, unix.ENOBUFS):
			*ev = Event{Kind: Lost}
			return true
		case errors.Is(err, unix.EINTR):
		case err != nil:
			return false
		default:
			e.rest = e.buf[:n]
		}
	}
}

// parseEvent reads one message; false if it does not concern us.
func parseEvent(m message, own uint32, ev *Event) (ok bool) {
	*ev = Event{Own: m.port == own}
	switch m.typ {
	case unix.RTM_NEWLINK, unix.RTM_DELLINK:
		ev.Kind, ev.Gone = LinkEvent, m.typ == unix.RTM_DELLINK
		ev.Link, ok = parseLink(m.body)
	case unix.RTM_NEWADDR, unix.RTM_DELADDR:
		ev.Kind, ev.Gone = AddressEvent, m.typ == unix.RTM_DELADDR
		ev.Address, ok = parseAddress(m.body)
	case unix.RTM_NEWROUTE, unix.RTM_DELROUTE:
		ev.Kind, ev.Gone = RouteEvent, m.typ == unix.RTM_DELROUTE
		ev.Route, ok = parseRoute(m.body)
		ok = ok && ev.Route.Table != unix.RT_TABLE_LOCAL
	case unix.RTM_NEWRULE, unix.RTM_DELRULE:
		ev.Kind, ev.Gone = RuleEvent, m.typ == unix.RTM_DELRULE
		ev.Rule, ok = parseRule(m.body)
	case unix.RTM_NEWNETCONF:
		ev.Kind = ForwardEvent
		ok = parseForward(m.body, ev)
	}
	return ok
}

// parseForward reads the body of RTM_NEWNETCONF: struct netconfmsg is one byte, padded.
func parseForward(b []byte, ev *Event) bool {
	if len(b) < 4 {
		return false
	}
	ev.IPv6 = b[0] == unix.AF_INET6
	known := false
	eachAttr(b[4:], func(typ uint16, v []byte) {
		switch {
		case len(v) < 4:
		case typ == netconfIndex:
			ev.Index = int(int32(number(v)))
		case typ == netconfForwarding:
			known, ev.Forwarding = true, number(v) != 0
		}
	})
	return known && ev.Index > 0
}

// EveryRoute lets through the changes of all routes, as at first, or only of those that
// carry our mark: a host that learns a big table may change thousands each second, and
// only virtual routes and trackers of routes care.
func (e *Events) EveryRoute(on bool) error {
	if err := attachFilter(e.fd, on); err != nil {
		return fmt.Errorf("filter netlink: %w", err)
	}
	return nil
}

// attachFilter keeps routes of table local out of the socket, of which every address has
// some, and if wanted all that are not ours. A message that is too short for the filter is
// dropped, and was nothing to us either.
func attachFilter(fd int, everyRoute bool) error {
	const (
		ldh, ldb  = unix.BPF_LD | unix.BPF_H | unix.BPF_ABS, unix.BPF_LD | unix.BPF_B | unix.BPF_ABS
		jeq, ret  = unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, unix.BPF_RET | unix.BPF_K
		all, none = 0xffffffff, 0
	)
	// BPF loads in network order what netlink writes in the host's.
	half := func(n uint16) uint32 {
		return uint32(binary.BigEndian.Uint16(binary.NativeEndian.AppendUint16(nil, n)))
	}
	others := uint32(none)
	if everyRoute {
		others = all
	}
	prog := []unix.SockFilter{
		{Code: ldh, K: 4}, // nlmsg_type
		{Code: jeq, K: half(unix.RTM_NEWROUTE), Jt: 1},
		{Code: jeq, K: half(unix.RTM_DELROUTE), Jf: 5},
		{Code: ldb, K: 20}, // rtm_table
		{Code: jeq, K: unix.RT_TABLE_LOCAL, Jt: 2},
		{Code: ldb, K: 21}, // rtm_protocol
		{Code: jeq, K: Mark, Jt: 1, Jf: 2},
		{Code: ret, K: none},
		{Code: ret, K: all},
		{Code: ret, K: others},
	}
	fprog := unix.SockFprog{Len: uint16(len(prog)), Filter: &prog[0]}
	return unix.SetsockoptSockFprog(fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &fprog)
}
