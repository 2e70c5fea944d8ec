package rtnl

import (
	"encoding/binary"
	"fmt"

	"golang.org/x/sys/unix"
)

// A Link is a network interface now.
type Link struct {
	Index   int
	Name    string
	MAC     [6]byte
	Up      bool // administratively
	Running bool // has a carrier
	ARP     bool // its hosts are found by ARP or neighbour discovery
	Alias   string
	Kind    string // such as "macvlan"; "" for hardware
	Parent  int    // the index of the link below; 0 for none, or one of another namespace
	Group   uint32
	Conf    Conf
}

// A Conf is the part of net.ipv4.conf.DEV and net.ipv6.conf.DEV that concerns us.
type Conf struct {
	IPv4, IPv6  bool // known
	Forwarding  int32
	RPFilter    int32
	ARPFilter   int32
	ARPAnnounce int32
	ARPIgnore   int32
	Promote     int32 // promote_secondaries
	AcceptLocal int32
	Forwarding6 int32
	AcceptRA    int32
	AddrGenMode uint8
}

// The keys of net.ipv4.conf.DEV (linux/ip.h, IPV4_DEVCONF_*).
const (
	ConfForwarding  = 1
	ConfRPFilter    = 8
	ConfARPFilter   = 13
	ConfARPAnnounce = 18
	ConfARPIgnore   = 19
	ConfPromote     = 20
	ConfAcceptLocal = 23
)

// What package unix lacks of linux/if_link.h and linux/ipv6.h.
const (
	attrInetConf     = 1 // IFLA_INET_CONF
	attrInet6Conf    = 2 // IFLA_INET6_CONF
	attrInet6GenMode = 8 // IFLA_INET6_ADDR_GEN_MODE
	conf6Forwarding  = 0 // DEVCONF_FORWARDING
	conf6AcceptRA    = 3 // DEVCONF_ACCEPT_RA
	genModeNone      = 1 // IN6_ADDR_GEN_MODE_NONE
	skipStats        = 8 // RTEXT_FILTER_SKIP_STATS
	macvlanBridge    = 4 // MACVLAN_MODE_BRIDGE
)

// parseLink reads the body of RTM_NEWLINK and RTM_DELLINK; false if it is not about a link
// as such: a bridge tells by the same messages of ports that come and go.
func parseLink(b []byte) (l Link, ok bool) {
	if len(b) < unix.SizeofIfInfomsg || b[0] != unix.AF_UNSPEC {
		return l, false
	}
	flags := binary.NativeEndian.Uint32(b[8:])
	l.Index = int(int32(binary.NativeEndian.Uint32(b[4:])))
	l.Up, l.Running = flags&unix.IFF_UP != 0, flags&unix.IFF_RUNNING != 0
	l.ARP = flags&(unix.IFF_NOARP|unix.IFF_LOOPBACK) == 0
	elsewhere := false
	eachAttr(b[unix.SizeofIfInfomsg:], func(typ uint16, v []byte) {
		switch typ {
		case unix.IFLA_IFNAME:
			l.Name = unix.ByteSliceToString(v)
		case unix.IFLA_ADDRESS:
			if len(v) == len(l.MAC) {
				copy(l.MAC[:], v)
			} else {
				l.ARP = false
			}
		case unix.IFLA_IFALIAS:
			l.Alias = unix.ByteSliceToString(v)
		case unix.IFLA_LINK:
			l.Parent = int(int32(number(v)))
		case unix.IFLA_LINK_NETNSID:
			elsewhere = true
		case unix.IFLA_GROUP:
			l.Group = number(v)
		case unix.IFLA_LINKINFO:
			eachAttr(v, func(typ uint16, v []byte) {
				if typ == unix.IFLA_INFO_KIND {
					l.Kind = unix.ByteSliceToString(v)
				}
			})
		case unix.IFLA_AF_SPEC:
			parseConf(v, &l.Conf)
		}
	})
	if elsewhere {
		l.Parent = 0
	}
	return l, l.Name != "" && l.Index > 0
}

func parseConf(b []byte, c *Conf) {
	eachAttr(b, func(family uint16, v []byte) {
		eachAttr(v, func(typ uint16, v []byte) {
			at := func(i int) int32 {
				if len(v) < 4*(i+1) {
					return 0
				}
				return int32(binary.NativeEndian.Uint32(v[4*i:]))
			}
			switch {
			case family == unix.AF_INET && typ == attrInetConf:
				c.IPv4 = true
				c.Forwarding, c.RPFilter, c.ARPFilter = at(ConfForwarding-1), at(ConfRPFilter-1), at(ConfARPFilter-1)
				c.ARPAnnounce, c.ARPIgnore = at(ConfARPAnnounce-1), at(ConfARPIgnore-1)
				c.Promote, c.AcceptLocal = at(ConfPromote-1), at(ConfAcceptLocal-1)
			case family == unix.AF_INET6 && typ == attrInet6Conf:
				c.IPv6, c.Forwarding6, c.AcceptRA = true, at(conf6Forwarding), at(conf6AcceptRA)
			case family == unix.AF_INET6 && typ == attrInet6GenMode && len(v) >= 1:
				c.AddrGenMode = v[0]
			}
		})
	})
}

// Manual reports whether the kernel makes no IPv6 addresses by itself.
func (c *Conf) Manual() bool { return !c.IPv6 || c.AddrGenMode == genModeNone }

// A LinkChange is what a request does to a link. AddLink makes a macvlan in bridge mode
// with Name, MAC and Group above Parent, which is down; the others are about Index. In
// private mode the macvlan would take from its parent whatever another master sends with
// the same MAC (macvlan.c, macvlan_handle_frame), and nobody here would hear its adverts.
type LinkChange struct {
	Index    int
	Name     string
	Parent   int
	MAC      [6]byte
	Group    uint32
	Alias    string // "" leaves it
	Up, Down bool
	Conf     []Setting // of net.ipv4.conf.DEV
	Manual   bool      // let the kernel make no IPv6 addresses
}

// A Setting is one value of net.ipv4.conf.DEV by its Conf key.
type Setting struct {
	Key   uint16
	Value int32
}

// append appends the body of a request about l.
func (l *LinkChange) append(b []byte, create bool) []byte {
	native := binary.NativeEndian
	var flags, change uint32
	if l.Up || l.Down {
		change = unix.IFF_UP
	}
	if l.Up {
		flags = unix.IFF_UP
	}
	b = append(b, unix.AF_UNSPEC, 0, 0, 0)
	b = native.AppendUint32(b, uint32(l.Index))
	b = native.AppendUint32(b, flags)
	b = native.AppendUint32(b, change)
	if create {
		return l.appendMacvlan(b)
	}
	if l.Alias != "" {
		b = appendAttr(b, unix.IFLA_IFALIAS, []byte(l.Alias))
	}
	if len(l.Conf) > 0 || l.Manual {
		b = l.appendConf(b)
	}
	return b
}

func (l *LinkChange) appendMacvlan(b []byte) []byte {
	b = appendString(b, unix.IFLA_IFNAME, l.Name)
	b = appendNumber(b, unix.IFLA_LINK, uint32(l.Parent))
	b = appendAttr(b, unix.IFLA_ADDRESS, l.MAC[:])
	b = appendNumber(b, unix.IFLA_GROUP, l.Group)
	b, info := beginNest(b, unix.IFLA_LINKINFO)
	b = appendString(b, unix.IFLA_INFO_KIND, "macvlan")
	b, data := beginNest(b, unix.IFLA_INFO_DATA)
	b = appendNumber(b, unix.IFLA_MACVLAN_MODE, macvlanBridge)
	return endNest(endNest(b, data), info)
}

func (l *LinkChange) appendConf(b []byte) []byte {
	b, spec := beginNest(b, unix.IFLA_AF_SPEC)
	if len(l.Conf) > 0 {
		var inet, conf int
		b, inet = beginNest(b, unix.AF_INET)
		b, conf = beginNest(b, attrInetConf)
		for _, s := range l.Conf {
			b = appendNumber(b, s.Key, uint32(s.Value))
		}
		b = endNest(endNest(b, conf), inet)
	}
	if l.Manual {
		var inet6 int
		b, inet6 = beginNest(b, unix.AF_INET6)
		b = endNest(appendAttr(b, attrInet6GenMode, []byte{genModeNone}), inet6)
	}
	return endNest(b, spec)
}

// Links lists the network interfaces.
func (c *Conn) Links() ([]Link, error) {
	body := appendNumber(make([]byte, unix.SizeofIfInfomsg), unix.IFLA_EXT_MASK, skipStats)
	var out []Link
	begin := func() { out = out[:0] }
	err := c.dump(unix.RTM_GETLINK, body, begin, func(typ uint16, b []byte) {
		if l, ok := parseLink(b); ok && typ == unix.RTM_NEWLINK {
			out = append(out, l)
		}
	})
	if err != nil {
		return nil, fmt.Errorf("list links: %w", err)
	}
	return out, nil
}
