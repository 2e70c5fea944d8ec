package tunnel

import (
	"errors"
	"fmt"
	"unsafe"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// kernel is the host of this thread's network namespace.
type kernel struct{}

func (kernel) look() (state, error) {
	s := state{devices: map[string]device{}}
	for name := range fallback {
		l, err := find(name)
		if err != nil {
			return state{}, err
		}
		if l != nil {
			s.devices[name] = describe(l)
		}
	}
	var err error
	s.ports, err = ports()
	return s, err
}

// find returns the link of that name, or nil.
func find(name string) (netlink.Link, error) {
	l, err := netlink.LinkByName(name)
	if missing := (netlink.LinkNotFoundError{}); errors.As(err, &missing) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("look at device %s: %w", name, err)
	}
	return l, nil
}

func describe(l netlink.Link) device {
	d := device{Kind: l.Type(), Up: l.Attrs().RawFlags&unix.IFF_UP != 0}
	if t, ok := l.(*netlink.Ip6tnl); ok {
		d.Proto = t.Proto
	}
	return d
}

func (kernel) set(name string, want device) error {
	l, err := find(name)
	switch {
	case err != nil:
		return err
	case want.Kind == "" && l == nil:
		return nil
	case want.Kind == "":
		return remove(l)
	case l == nil:
		if l, err = add(name, want.Kind); err != nil {
			return err
		}
	}
	if have := describe(l); have.Proto != want.Proto {
		if err := setProto(name, want.Proto); err != nil {
			return err
		}
	}
	if want.Up {
		err = netlink.LinkSetUp(l)
	} else {
		err = netlink.LinkSetDown(l)
	}
	if err != nil {
		return fmt.Errorf("set %s up %v: %w", name, want.Up, err)
	}
	return nil
}

// add asks for a device. Where the module is missing the kernel loads it first, and with it
// the fallback device appears (ip_tunnel_init_net), which is what EEXIST says. Where
// net.core.fb_tunnels_only_for_init_net keeps that from this namespace, the new device takes
// its place: it has no addresses either.
func add(name, kind string) (netlink.Link, error) {
	err := netlink.LinkAdd(&netlink.GenericLink{LinkAttrs: netlink.LinkAttrs{Name: name}, LinkType: kind})
	if errors.Is(err, unix.EOPNOTSUPP) {
		return nil, fmt.Errorf("make %s: the kernel has no tunnels of type %s (module %s)", name, kind, modules[kind])
	}
	if err != nil && !errors.Is(err, unix.EEXIST) {
		return nil, fmt.Errorf("make %s: %w", name, err)
	}
	l, err := find(name)
	if err == nil && l == nil {
		err = fmt.Errorf("make %s: the kernel has another tunnel without addresses of type %s", name, kind)
	}
	return l, err
}

var modules = map[string]string{"ipip": "ipip", "sit": "sit", "ip6tnl": "ip6_tunnel", "gre": "ip_gre", "ip6gre": "ip6_gre"}

// remove takes the device away or, since the kernel keeps its fallback devices and says
// nothing of it, makes it what it was when the kernel made it.
func remove(l netlink.Link) error {
	name := l.Attrs().Name
	err := netlink.LinkSetDown(l)
	if err == nil {
		err = netlink.LinkDel(l)
	}
	if err != nil {
		return fmt.Errorf("remove %s: %w", name, err)
	}
	if l, err = find(name); err != nil || l == nil || l.Type() != "ip6tnl" {
		return err
	}
	return setProto(name, unix.IPPROTO_IPV6)
}

// parameters is struct ip6_tnl_parm of linux/ip6_tunnel.h.
type parameters struct {
	name                        [unix.IFNAMSIZ]byte
	link                        int32
	proto, encapLimit, hopLimit uint8
	_                           uint8
	flowInfo, flags             uint32
	local, remote               [16]byte
}

// setProto changes what an ip6tnl device unwraps. Of the fallback device nothing else can be
// changed, and that not by netlink on every kernel, but by ioctl (ip6_tnl_siocdevprivate).
func setProto(name string, proto uint8) error {
	const get, change = unix.SIOCDEVPRIVATE, unix.SIOCDEVPRIVATE + 3 // SIOCGETTUNNEL, SIOCCHGTUNNEL
	fd, err := unix.Socket(unix.AF_INET6, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("set the protocol of %s: %w", name, err)
	}
	defer unix.Close(fd)
	var p parameters
	if err := control(fd, get, name, &p); err != nil {
		return fmt.Errorf("read the parameters of %s: %w", name, err)
	}
	p.proto = proto
	if err := control(fd, change, name, &p); err != nil {
		return fmt.Errorf("set the protocol of %s to %d: %w", name, proto, err)
	}
	return nil
}

func control(fd int, request uint, name string, p *parameters) error {
	var arg struct { // struct ifreq
		name [unix.IFNAMSIZ]byte
		data unsafe.Pointer
		_    [16]byte
	}
	copy(arg.name[:unix.IFNAMSIZ-1], name)
	arg.data = unsafe.Pointer(p)
	if _, _, code := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), uintptr(request), uintptr(unsafe.Pointer(&arg))); code != 0 {
		return code
	}
	return nil
}
