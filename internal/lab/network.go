package lab

import (
	"fmt"
	"net"
	"os"

	"github.com/vishvananda/netlink"
)

// bridges makes one bridge per segment in the daemon's namespace.
func bridges(segments []string) ([]netlink.Link, error) {
	var out []netlink.Link
	for k, name := range segments {
		off := false
		b := &netlink.Bridge{LinkAttrs: netlink.NewLinkAttrs(), MulticastSnooping: &off}
		b.Name = fmt.Sprintf("br%d", k)
		if err := netlink.LinkAdd(b); err != nil {
			return nil, fmt.Errorf("make the bridge of segment %s: %w", name, err)
		}
		if err := netlink.LinkSetUp(b); err != nil {
			return nil, fmt.Errorf("bring up the bridge of segment %s: %w", name, err)
		}
		out = append(out, b)
	}
	return out, nil
}

// connect gives a host its links. n numbers the hosts of a lab.
func (h *host) connect(n int, segments []netlink.Link) error {
	for k, l := range h.plan.Links {
		port, err := cable(n, k, h.net, segments[l.Segment])
		if err != nil {
			return fmt.Errorf("connect %s of %s: %w", l.Device, h.plan.Name, err)
		}
		h.ports = append(h.ports, port)
		if err := h.do(func() error { return plug(fmt.Sprintf("in%d", k), l) }); err != nil {
			return fmt.Errorf("set up %s of %s: %w", l.Device, h.plan.Name, err)
		}
	}
	return nil
}

// cable makes a veth pair with one end on the bridge and the other in the namespace ns.
func cable(n, k, ns int, bridge netlink.Link) (netlink.Link, error) {
	v := &netlink.Veth{LinkAttrs: netlink.NewLinkAttrs(), PeerName: fmt.Sprintf("in%d", k)}
	v.Name = fmt.Sprintf("port%d-%d", n, k)
	v.PeerHardwareAddr = net.HardwareAddr{0x02, 0, 0, 0, byte(n), byte(k)}
	v.PeerNamespace = netlink.NsFd(ns)
	if err := netlink.LinkAdd(v); err != nil {
		return nil, err
	}
	if err := netlink.LinkSetMaster(v, bridge); err != nil {
		return nil, err
	}
	return v, netlink.LinkSetUp(v)
}

// plug sets up the host's end of a cable.
func plug(from string, l linkPlan) error {
	link, err := netlink.LinkByName(from)
	if err != nil {
		return err
	}
	if err := netlink.LinkSetName(link, l.Device); err != nil {
		return err
	}
	// Duplicate address detection would keep IPv6 addresses from use for seconds.
	dad := fmt.Sprintf("/proc/sys/net/ipv6/conf/%s/accept_dad", l.Device)
	if _, err := os.Stat(dad); err == nil {
		if err := os.WriteFile(dad, []byte("0"), 0); err != nil {
			return err
		}
	}
	for _, prefix := range l.Prefixes {
		a, err := netlink.ParseAddr(prefix)
		if err != nil {
			return err
		}
		if err := netlink.AddrAdd(link, a); err != nil {
			return fmt.Errorf("add %s: %w", prefix, err)
		}
	}
	return netlink.LinkSetUp(link)
}

func loopbackUp() error {
	lo, err := netlink.LinkByName("lo")
	if err != nil {
		return err
	}
	return netlink.LinkSetUp(lo)
}

// setCut takes the host's ports down or up again: the host's own interfaces lose their carrier.
func (h *host) setCut(cut bool) error {
	for _, p := range h.ports {
		set := netlink.LinkSetUp
		if cut {
			set = netlink.LinkSetDown
		}
		if err := set(p); err != nil {
			return fmt.Errorf("set the link of %s: %w", h.plan.Name, err)
		}
	}
	return nil
}

// addresses returns what the host's links have now; nil if the kernel does not tell.
func (h *host) addresses() []string {
	var out []string
	_ = h.do(func() error {
		for _, l := range h.plan.Links {
			link, err := netlink.LinkByName(l.Device)
			if err != nil {
				return err
			}
			list, err := netlink.AddrList(link, netlink.FAMILY_ALL)
			if err != nil {
				return err
			}
			for _, a := range list {
				if !a.IP.IsLinkLocalUnicast() {
					out = append(out, a.IPNet.String())
				}
			}
		}
		return nil
	})
	return out
}
