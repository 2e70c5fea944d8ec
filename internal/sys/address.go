// Package sys is the part of the kernel's interface that the netlink library lacks.
package sys

import (
	"encoding/binary"
	"errors"
	"fmt"
	"iter"
	"math"
	"net"
	"net/netip"
	"strconv"
	"strings"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// The marks of our addresses (IFA_PROTO, since Linux 5.18): "h" for the agent, "v" for vrrpd.
const (
	AgentProto uint8 = 0x68
	VRRPProto  uint8 = 0x76
)

// ifaProto is IFA_PROTO of linux/if_addr.h.
const ifaProto = 11

// An Address is one address of a device.
type Address struct {
	Prefix netip.Prefix
	Device string
	Index  int
	// Proto is the mark; 0 for an address that has none.
	Proto uint8
	// Shared says of an IPv6 address to be added that other hosts have it too: it is not
	// probed for duplicates, and no source while there is another (RFC 6724, section 5, rule 3).
	Shared bool
	// cacheInfo has the lifetimes as the kernel sent them; empty means forever.
	cacheInfo []byte
	scope     uint8
}

// Addresses returns every IPv4 and IPv6 address of this thread's network namespace, in the
// kernel's order.
func Addresses() ([]Address, error) {
	names, err := deviceNames()
	if err != nil {
		return nil, err
	}
	var msgs [][]byte
	for range 5 { // an interrupted dump may lack entries
		req := nl.NewNetlinkRequest(unix.RTM_GETADDR, unix.NLM_F_DUMP)
		req.AddData(nl.NewIfAddrmsg(unix.AF_UNSPEC))
		msgs, err = req.Execute(unix.NETLINK_ROUTE, unix.RTM_NEWADDR)
		if !errors.Is(err, nl.ErrDumpInterrupted) {
			break
		}
	}
	if err != nil {
		return nil, fmt.Errorf("list addresses: %w", err)
	}
	out := make([]Address, 0, len(msgs))
	for _, m := range msgs {
		a, ok := parseAddress(m)
		if !ok {
			continue
		}
		a.Device = names[a.Index]
		if a.Device == "" { // the device came or went between the two dumps
			a.Device = "if" + strconv.Itoa(a.Index)
		}
		out = append(out, a)
	}
	return out, nil
}

func deviceNames() (map[int]string, error) {
	list, err := net.Interfaces()
	if err != nil {
		return nil, fmt.Errorf("list devices: %w", err)
	}
	names := make(map[int]string, len(list))
	for _, i := range list {
		names[i.Index] = i.Name
	}
	return names, nil
}

// parseAddress reads an RTM_NEWADDR message (rtnetlink(7)).
func parseAddress(m []byte) (Address, bool) {
	if len(m) < unix.SizeofIfAddrmsg {
		return Address{}, false
	}
	bits, scope := int(m[1]), m[3]
	a := Address{Index: int(binary.NativeEndian.Uint32(m[4:8])), scope: scope}
	var local, peer netip.Addr
	for typ, value := range attributes(m[unix.SizeofIfAddrmsg:]) {
		switch typ {
		case unix.IFA_LOCAL:
			local, _ = netip.AddrFromSlice(value)
		case unix.IFA_ADDRESS: // the other end of a point-to-point device
			peer, _ = netip.AddrFromSlice(value)
		case unix.IFA_CACHEINFO:
			a.cacheInfo = value
		case ifaProto:
			if len(value) == 1 {
				a.Proto = value[0]
			}
		}
	}
	if !local.IsValid() {
		local = peer
	}
	if !local.IsValid() || bits > local.BitLen() {
		return Address{}, false
	}
	a.Prefix = netip.PrefixFrom(local, bits)
	return a, true
}

// attributes iterates over the attributes in b until the first that does not fit
// (nl.ParseRouteAttr panics on a last one without padding).
func attributes(b []byte) iter.Seq2[uint16, []byte] {
	return func(yield func(uint16, []byte) bool) {
		for len(b) >= unix.SizeofRtAttr {
			size := int(binary.NativeEndian.Uint16(b))
			if size < unix.SizeofRtAttr || size > len(b) {
				return
			}
			if !yield(binary.NativeEndian.Uint16(b[2:]), b[unix.SizeofRtAttr:size]) {
				return
			}
			b = b[min(len(b), (size+3)&^3):]
		}
	}
}

// AddAddress puts a on a.Device with the mark a.Proto. It fails with unix.EEXIST if the
// device has the prefix already, whatever its mark.
func AddAddress(a Address) error {
	return change("add", unix.RTM_NEWADDR, unix.NLM_F_CREATE|unix.NLM_F_EXCL, a)
}

// MarkAddress changes the mark of an address that exists to a.Proto. An a that came from
// Addresses keeps its lifetime.
func MarkAddress(a Address) error {
	return change("mark", unix.RTM_NEWADDR, unix.NLM_F_REPLACE, a)
}

// DeleteAddress takes a off a.Device. It fails with unix.EADDRNOTAVAIL if it is not there,
// and with unix.ENODEV if the device is not.
func DeleteAddress(a Address) error {
	return change("delete", unix.RTM_DELADDR, 0, a)
}

func change(verb string, typ, flags int, a Address) error {
	if err := send(typ, flags, a); err != nil {
		return fmt.Errorf("%s %s on %s: %w", verb, a.Prefix, a.Device, err)
	}
	return nil
}

func send(typ, flags int, a Address) error {
	if a.Index == 0 {
		dev, err := net.InterfaceByName(a.Device)
		if err != nil {
			return unix.ENODEV
		}
		a.Index = dev.Index
	}
	family := unix.AF_INET
	if a.Prefix.Addr().Is6() {
		family = unix.AF_INET6
	}
	msg := nl.NewIfAddrmsg(family)
	msg.Prefixlen, msg.Index, msg.Scope = uint8(a.Prefix.Bits()), uint32(a.Index), a.scope
	if a.Shared && family == unix.AF_INET6 {
		msg.Flags, a.cacheInfo = unix.IFA_F_NODAD, deprecated()
	}
	req := nl.NewNetlinkRequest(typ, unix.NLM_F_ACK|flags)
	req.AddData(msg)
	ip := a.Prefix.Addr().AsSlice()
	req.AddData(nl.NewRtAttr(unix.IFA_LOCAL, ip))
	req.AddData(nl.NewRtAttr(unix.IFA_ADDRESS, ip))
	if typ == unix.RTM_NEWADDR {
		req.AddData(nl.NewRtAttr(ifaProto, []byte{a.Proto}))
		if len(a.cacheInfo) > 0 {
			req.AddData(nl.NewRtAttr(unix.IFA_CACHEINFO, a.cacheInfo))
		}
	}
	_, err := req.Execute(unix.NETLINK_ROUTE, 0)
	return err
}

// deprecated returns a struct ifa_cacheinfo (linux/if_addr.h): preferred for no time, valid
// forever.
func deprecated() []byte {
	b := make([]byte, 16)
	binary.NativeEndian.PutUint32(b[4:], math.MaxUint32)
	return b
}

// KeepsAddressProto reports whether the kernel is new enough to keep an address's mark.
func KeepsAddressProto() bool {
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		return false
	}
	return releaseAtLeast(unix.ByteSliceToString(u.Release[:]), 5, 18)
}

func releaseAtLeast(release string, major, minor int) bool {
	parts := strings.SplitN(release, ".", 3)
	if len(parts) < 2 {
		return false
	}
	digits := strings.IndexFunc(parts[1], func(r rune) bool { return r < '0' || r > '9' })
	if digits >= 0 {
		parts[1] = parts[1][:digits]
	}
	a, errA := strconv.Atoi(parts[0])
	b, errB := strconv.Atoi(parts[1])
	return errA == nil && errB == nil && (a > major || a == major && b >= minor)
}
