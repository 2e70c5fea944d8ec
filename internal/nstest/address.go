package nstest

import (
	"errors"
	"net/netip"

	"github.com/vishvananda/netlink"
)

// Addresses returns the addresses of both families on the namespace's devices, by the
// device's name.
func (n *NS) Addresses() map[netip.Addr]string {
	n.t.Helper()
	held := map[netip.Addr]string{}
	n.Do(func() {
		links, err := netlink.LinkList()
		if err != nil {
			n.t.Fatalf("list links: %v", err)
		}
		names := map[int]string{}
		for _, l := range links {
			names[l.Attrs().Index] = l.Attrs().Name
		}
		as, err := netlink.AddrList(nil, netlink.FAMILY_ALL)
		for tries := 0; errors.Is(err, netlink.ErrDumpInterrupted) && tries < 10; tries++ {
			as, err = netlink.AddrList(nil, netlink.FAMILY_ALL)
		}
		if err != nil {
			n.t.Fatalf("list addresses: %v", err)
		}
		for _, a := range as {
			if ip, ok := netip.AddrFromSlice(a.IP); ok {
				held[ip.Unmap()] = names[a.LinkIndex]
			}
		}
	})
	return held
}
