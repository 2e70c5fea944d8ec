package vrrpd

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// links lists the network interfaces.
func (k *kernel) links() ([]link, error) {
	var out []link
	begin := func() { out = nil }
	err := k.nl.dump(unix.RTM_GETLINK, make([]byte, unix.SizeofIfInfomsg), begin, func(typ uint16, b []byte) {
		if l, ok := parseLink(b); ok && typ == unix.RTM_NEWLINK {
			out = append(out, l)
		}
	})
	if err != nil {
		return nil, fmt.Errorf("list links: %w", err)
	}
	return out, nil
}

// addresses lists the IPv4 addresses.
func (k *kernel) addresses() ([]address, error) {
	body := make([]byte, unix.SizeofIfAddrmsg)
	body[0] = unix.AF_INET
	var out []address
	begin := func() { out = nil }
	err := k.nl.dump(unix.RTM_GETADDR, body, begin, func(typ uint16, b []byte) {
		if a, ok := parseAddress(b); ok && typ == unix.RTM_NEWADDR {
			out = append(out, a)
		}
	})
	if err != nil {
		return nil, fmt.Errorf("list addresses: %w", err)
	}
	return out, nil
}

// addAddress puts p on the interface with our mark. Without replace an address that is
// already there is unix.EEXIST.
func (k *kernel) addAddress(ifindex int, p netip.Prefix, replace bool) error {
	flags := uint16(unix.NLM_F_ACK | unix.NLM_F_CREATE | unix.NLM_F_EXCL)
	if replace {
		flags = unix.NLM_F_ACK | unix.NLM_F_CREATE | unix.NLM_F_REPLACE
	}
	if err := k.nl.request(unix.RTM_NEWADDR, flags, addressBody(ifindex, p), nil); err != nil {
		return fmt.Errorf("add address %v: %w", p, err)
	}
	return nil
}

// deleteAddress takes p off the interface. An address that is not there is no error.
func (k *kernel) deleteAddress(ifindex int, p netip.Prefix) error {
	err := k.nl.request(unix.RTM_DELADDR, unix.NLM_F_ACK, addressBody(ifindex, p), nil)
	if err != nil && !errors.Is(err, unix.EADDRNOTAVAIL) && !errors.Is(err, unix.ENODEV) {
		return fmt.Errorf("delete address %v: %w", p, err)
	}
	return nil
}

// announce sends a gratuitous ARP request: sender and target are the address.
func (k *kernel) announce(l link, a netip.Addr) error {
	if !l.arp {
		return nil
	}
	k.frame = appendARP(k.frame[:0], l.mac, a)
	k.arpTo = unix.SockaddrLinklayer{Protocol: 0x0608, Ifindex: l.index, Halen: 6, Addr: [8]byte{255, 255, 255, 255, 255, 255}}
	if err := unix.Sendto(k.arp, k.frame, unix.MSG_DONTWAIT, &k.arpTo); err != nil {
		return fmt.Errorf("announce %v: %w", a, err)
	}
	return nil
}

// appendARP appends an Ethernet frame with an ARP announcement (RFC 5227, section 3).
func appendARP(b []byte, mac [6]byte, a netip.Addr) []byte {
	v4 := a.As4()
	broadcast := [6]byte{255, 255, 255, 255, 255, 255}
	b = append(append(b, broadcast[:]...), mac[:]...)
	b = binary.BigEndian.AppendUint16(b, unix.ETH_P_ARP)
	b = append(b, 0, 1, 8, 0, 6, 4, 0, 1) // Ethernet, IPv4, request
	b = append(append(b, mac[:]...), v4[:]...)
	return append(append(b, broadcast[:]...), v4[:]...)
}

// marks reports whether the kernel keeps IFA_PROTO, as it does from 5.18.
func (k *kernel) marks() bool { return k.keepsMarks }

func kernelAtLeast(major, minor int) bool {
	var u unix.Utsname
	if unix.Uname(&u) != nil {
		return false
	}
	parts := strings.SplitN(unix.ByteSliceToString(u.Release[:]), ".", 3)
	if len(parts) < 2 {
		return false
	}
	ma, err1 := strconv.Atoi(parts[0])
	mi, err2 := strconv.Atoi(strings.TrimRight(parts[1], "-+abcdefghijklmnopqrstuvwxyz"))
	return err1 == nil && err2 == nil && (ma > major || ma == major && mi >= minor)
}
