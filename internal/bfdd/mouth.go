package bfdd

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"

	"github.com/hareconcile/hareconcile/internal/bfd"
)

// A mouth is a socket that sends to one peer, from a port that no other session has
// (RFC 5881, section 4).
type mouth struct {
	k     *kernel
	fd    int
	port  uint16
	name  string // of the device; "" if the peer may be on any
	index int
	to    unix.Sockaddr
}

// sourcePorts is how many ports there are for sessions.
const sourcePorts = 1<<16 - bfd.FirstSource

func (k *kernel) open(p path, discr uint32) (way, error) {
	m := &mouth{k: k, name: p.device}
	domain := unix.AF_INET
	if p.target.Is6() {
		domain = unix.AF_INET6
	}
	var err error
	if m.fd, err = unix.Socket(domain, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0); err != nil {
		return nil, fmt.Errorf("open BFD socket: %w", err)
	}
	if err := m.prepare(p, discr); err != nil {
		_ = unix.Close(m.fd)
		return nil, err
	}
	k.ports[m.port] = true
	return m, nil
}

func (m *mouth) prepare(p path, discr uint32) error {
	if m.name != "" {
		var err error
		if m.index, err = indexOf(m.fd, m.name); err != nil {
			return err
		}
		if err := unix.BindToDevice(m.fd, m.name); err != nil {
			return fmt.Errorf("bind to %s: %w", m.name, err)
		}
	}
	const internetworkControl, controlPriority = 0xc0, 7 // as of VRRP: TC_PRIO_CONTROL
	err := errors.Join(
		unix.SetsockoptInt(m.fd, unix.SOL_SOCKET, unix.SO_PRIORITY, controlPriority),
		unix.SetsockoptSockFprog(m.fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, fprog(nothing)))
	if p.target.Is6() {
		err = errors.Join(err,
			unix.SetsockoptInt(m.fd, unix.IPPROTO_IPV6, unix.IPV6_UNICAST_HOPS, bfd.TTL),
			unix.SetsockoptInt(m.fd, unix.IPPROTO_IPV6, unix.IPV6_TCLASS, internetworkControl))
		m.to = &unix.SockaddrInet6{Addr: p.target.As16(), Port: bfd.Port, ZoneId: uint32(m.index)}
	} else {
		err = errors.Join(err,
			unix.SetsockoptInt(m.fd, unix.IPPROTO_IP, unix.IP_TTL, bfd.TTL),
			unix.SetsockoptInt(m.fd, unix.IPPROTO_IP, unix.IP_TOS, internetworkControl))
		m.to = &unix.SockaddrInet4{Addr: p.target.As4(), Port: bfd.Port}
	}
	if err != nil {
		return fmt.Errorf("prepare BFD socket: %w", err)
	}
	return m.bind(p, discr)
}

// bind takes the first free port from one that the discriminator chooses.
func (m *mouth) bind(p path, discr uint32) error {
	for i := range uint32(sourcePorts) {
		port := uint16(bfd.FirstSource + (discr%sourcePorts+i)%sourcePorts)
		if m.k.ports[port] {
			continue
		}
		from := unix.Sockaddr(&unix.SockaddrInet4{Port: int(port)})
		switch {
		case p.target.Is6() && p.source.IsValid():
			from = &unix.SockaddrInet6{Addr: p.source.As16(), Port: int(port), ZoneId: uint32(m.index)}
		case p.target.Is6():
			from = &unix.SockaddrInet6{Port: int(port)}
		case p.source.IsValid():
			from = &unix.SockaddrInet4{Addr: p.source.As4(), Port: int(port)}
		}
		err := unix.Bind(m.fd, from)
		if errors.Is(err, unix.EADDRINUSE) {
			continue
		}
		if err != nil {
			return fmt.Errorf("send from %v: %w", p.source, err)
		}
		m.port = port
		return nil
	}
	return errors.New("send: no port is free")
}

// send drops a packet that the kernel has no room for now: the next follows soon.
func (m *mouth) send(packet []byte) error {
	err := unix.Sendto(m.fd, packet, unix.MSG_DONTWAIT, m.to)
	switch {
	case err == nil, errors.Is(err, unix.EAGAIN), errors.Is(err, unix.ENOBUFS), errors.Is(err, unix.EINTR):
		return nil
	case errors.Is(err, unix.ENODEV), errors.Is(err, unix.ENXIO), errors.Is(err, unix.EINVAL), errors.Is(err, unix.EADDRNOTAVAIL), m.replaced():
		return fmt.Errorf("send: %w: %w", err, errStale)
	}
	return fmt.Errorf("send: %w", err)
}

// replaced reports whether the device is not the one that the socket is bound to.
func (m *mouth) replaced() bool {
	if m.name == "" {
		return false
	}
	index, err := indexOf(m.fd, m.name)
	return err != nil || index != m.index
}

func (m *mouth) device() int { return m.index }

func (m *mouth) close() {
	delete(m.k.ports, m.port)
	_ = unix.Close(m.fd)
}

// indexOf returns the index of a device, over any socket.
func indexOf(fd int, device string) (int, error) {
	req, err := unix.NewIfreq(device)
	if err == nil {
		err = unix.IoctlIfreq(fd, unix.SIOCGIFINDEX, req)
	}
	if err != nil {
		return 0, fmt.Errorf("find device %s: %w", device, err)
	}
	return int(req.Uint32()), nil
}
