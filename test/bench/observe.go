package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/netip"
	"syscall"
	"time"
)

// A sighting is a packet that says who is master, as seen on the segment's bridge.
type sighting struct {
	At       time.Time  `json:"at"`
	ARP      bool       `json:"arp"`      // a gratuitous ARP; else an advert
	MAC      string     `json:"mac"`      // who sent it
	From     netip.Addr `json:"from"`     // the address announced, or the advert's source
	Priority uint8      `json:"priority"` // of an advert
}

// allFrames is ETH_P_ALL in network byte order.
const allFrames = 0x0300

// observe prints the sightings in its own network namespace, one JSON object a line. It
// is another process since only a thread that never comes back may enter a namespace.
func observe(w io.Writer) error {
	fd, err := syscall.Socket(syscall.AF_PACKET, syscall.SOCK_RAW|syscall.SOCK_CLOEXEC, allFrames)
	if err != nil {
		return fmt.Errorf("open packet socket: %w", err)
	}
	ifindex, err := interfaceIndex(bridgeName)
	if err == nil {
		err = syscall.Bind(fd, &syscall.SockaddrLinklayer{Protocol: allFrames, Ifindex: ifindex})
	}
	if err != nil {
		return fmt.Errorf("listen on %s: %w", bridgeName, err)
	}
	out := json.NewEncoder(w)
	buf := make([]byte, 2048)
	for {
		n, err := syscall.Read(fd, buf)
		now := time.Now()
		if err == syscall.EINTR {
			continue
		}
		if err != nil {
			return fmt.Errorf("read: %w", err)
		}
		if s, ok := sight(buf[:n]); ok {
			s.At = now
			if err := out.Encode(s); err != nil {
				return nil // the bench is gone
			}
		}
	}
}

// sight reads an Ethernet frame.
func sight(b []byte) (s sighting, ok bool) {
	const ethernet, arp, ip = 14, 28, 20
	if len(b) < ethernet {
		return s, false
	}
	s.MAC = fmt.Sprintf("%x", b[6:12])
	kind, body := uint16(b[12])<<8|uint16(b[13]), b[ethernet:]
	switch {
	case kind == 0x0806 && len(body) >= arp:
		s.ARP = true
		s.From = netip.AddrFrom4([4]byte(body[14:18]))
		return s, s.From == netip.AddrFrom4([4]byte(body[24:28]))
	case kind == 0x0800 && len(body) >= ip+8 && body[0] == 0x45 && body[9] == 112:
		s.From = netip.AddrFrom4([4]byte(body[12:16]))
		s.Priority = body[ip+2]
		return s, true
	}
	return s, false
}
