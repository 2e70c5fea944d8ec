package checker

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"

	"golang.org/x/sys/unix"

	"github.com/hareconcile/hareconcile/internal/check"
	"github.com/hareconcile/hareconcile/internal/check/probe"
	"github.com/hareconcile/hareconcile/internal/check/watch"
)

// An address is where a connection goes and where it comes from, as the kernel wants it.
type address struct {
	family   int
	to, from unix.Sockaddr // from is nil for the kernel's choice
}

func newAddress(to netip.AddrPort, source netip.Addr) (a address, err error) {
	if a.to, a.family, err = sockaddr(to); err != nil {
		return a, err
	}
	if !source.IsValid() {
		return a, nil
	}
	var family int
	if a.from, family, err = sockaddr(netip.AddrPortFrom(source, 0)); err == nil && family != a.family {
		err = fmt.Errorf("source %s is of another family than %s", source, to.Addr())
	}
	return a, err
}

func sockaddr(a netip.AddrPort) (unix.Sockaddr, int, error) {
	ip := a.Addr().Unmap()
	if ip.Is4() {
		return &unix.SockaddrInet4{Port: int(a.Port()), Addr: ip.As4()}, unix.AF_INET, nil
	}
	sa := &unix.SockaddrInet6{Port: int(a.Port()), Addr: ip.As16()}
	if zone := ip.Zone(); zone != "" {
		i, err := net.InterfaceByName(zone)
		if err != nil {
			return nil, 0, fmt.Errorf("zone of %s: %w", ip, err)
		}
		sa.ZoneId = uint32(i.Index)
	}
	return sa, unix.AF_INET6, nil
}

// A fault is a system call that failed.
type fault struct {
	call string
	err  error
}

// open begins to connect.
func (p *plan) open() (fd int, f fault) {
	fd, err := unix.Socket(p.address.family, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, fault{"socket", err}
	}
	if f = p.equip(fd); f.err == nil {
		if err = unix.Connect(fd, p.address.to); err == nil || errors.Is(err, unix.EINPROGRESS) {
			return fd, fault{}
		}
		f = fault{"connect", err}
	}
	_ = unix.Close(fd)
	return -1, f
}

// reset closes with a RST (SO_LINGER of 0 seconds, socket(7)): a server that has not accepted
// yet is spared the connection, and no port here waits in TIME_WAIT.
var reset = unix.Linger{Onoff: 1}

// equip sets a socket's options and its own address.
func (p *plan) equip(fd int) fault {
	if p.Mark != 0 {
		if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_MARK, int(p.Mark)); err != nil {
			return fault{"set mark", err}
		}
	}
	if p.Device != "" {
		if err := unix.BindToDevice(fd, p.Device); err != nil {
			return fault{"use device " + p.Device, err}
		}
	}
	if p.address.from != nil {
		// The port is chosen when connecting, so that it is taken for one server only (ip(7)).
		_ = unix.SetsockoptInt(fd, unix.SOL_IP, unix.IP_BIND_ADDRESS_NO_PORT, 1)
		if err := unix.Bind(fd, p.address.from); err != nil {
			return fault{"bind", err}
		}
	}
	if p.manner == byConnecting {
		if err := unix.SetsockoptLinger(fd, unix.SOL_SOCKET, unix.SO_LINGER, &reset); err != nil {
			return fault{"set linger", err}
		}
	}
	if p.manner == byConnecting || len(p.bytes) > 0 {
		// The third packet of the handshake waits: the request, or the RST, takes its place (tcp(7)).
		_ = unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_QUICKACK, 0)
	}
	return fault{}
}

// faulty returns the sample of a failed system call.
func (p *plan) faulty(f fault) watch.Sample {
	errno, _ := f.err.(unix.Errno) // as every system call of this package returns it
	text := func() string { return os.NewSyscallError(f.call, f.err).Error() }
	if probe.Lacks(f.err) {
		message := p.say(f.call, int(errno), func() string { return "could not measure: " + text() })
		return watch.Sample{State: check.Unknown, Message: message}
	}
	return watch.Sample{State: check.Down, Message: p.say(f.call, int(errno), text)}
}
