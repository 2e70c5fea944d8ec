package main

import (
	"fmt"
	"net/netip"
	"path/filepath"
	"strings"
	"time"

	"github.com/hareconcile/hareconcile/internal/channel"
	"github.com/hareconcile/hareconcile/reconcile/resource"
)

const (
	masterPriority = 150
	backupPriority = 100
	perDevice      = 255 // VRIDs on one device
)

var priorities = [2]uint8{masterPriority, backupPriority}

// A layout is what both programs run: so many virtual routers over as many devices as
// that takes, with so many addresses in all.
type layout struct {
	interval           time.Duration
	routers, addresses int
}

func single(interval time.Duration) layout { return layout{interval, 1, 1} }

// devices is as few as VRIDs allow.
func (l layout) devices() int { return (l.routers + perDevice - 1) / perDevice }

// place is where the nth router is. They are spread evenly over the devices.
func (l layout) place(n int) (device int, vrid uint8) {
	return n % l.devices(), uint8(1 + n/l.devices())
}

// vips are the addresses of the nth router.
func (l layout) vips(n int) []netip.Addr {
	device, vrid := l.place(n)
	count := l.addresses / l.routers
	if n < l.addresses%l.routers {
		count++
	}
	out := make([]netip.Addr, count)
	for i := range out {
		out[i] = netip.AddrFrom4([4]byte{10, byte(9 + device), vrid, byte(100 + i)})
	}
	return out
}

// config is the layout in our words, for one host.
func (l layout) config(self int) channel.Config {
	var c channel.Config
	for n := range l.routers {
		device, vrid := l.place(n)
		var vips []string
		for _, a := range l.vips(n) {
			vips = append(vips, netip.PrefixFrom(a, a.BitLen()).String())
		}
		c.Instances = append(c.Instances, resource.VRRPInstance{
			Interface: fmt.Sprintf("eth%d", device), VRID: vrid, Version: 3, Priority: priorities[self],
			Interval: resource.Duration(l.interval), Preempt: true, Addresses: resource.NewList(vips...),
			Source: hostAddr(self, device), Peers: resource.List(hostAddr(1-self, device).String()),
		})
	}
	return c
}

const keepalivedGlobals = `global_defs {
	router_id bench
	vrrp_version 3
}
`

const keepalivedInstance = `vrrp_instance bench%d {
	state BACKUP
	interface eth%d
	virtual_router_id %d
	priority %d
	advert_int %.2f
	virtual_ipaddress {
%s	}
}
`

// keepalived is the layout in keepalived's words, with its defaults for all that we have
// no other reason to set.
func (l layout) keepalived(self int) string {
	var b strings.Builder
	b.WriteString(keepalivedGlobals)
	for n := range l.routers {
		device, vrid := l.place(n)
		var vips strings.Builder
		for _, a := range l.vips(n) {
			fmt.Fprintf(&vips, "\t\t%v/%d\n", a, a.BitLen())
		}
		fmt.Fprintf(&b, keepalivedInstance, n, device, vrid, priorities[self], l.interval.Seconds(), &vips)
	}
	return b.String()
}

// socketOf is where our daemon in that folder listens.
func socketOf(dir string) string { return filepath.Join(dir, "sock") }
