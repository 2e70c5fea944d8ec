package haproxy

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"

	"golang.org/x/sys/unix"

	"github.com/hareconcile/hareconcile/internal/haproxy"
	"github.com/hareconcile/hareconcile/reconcile"
)

// bindable tries the binds of text that no process of the haproxy has yet. `haproxy -c` does
// not, and a reload that cannot bind refuses all connections for two seconds: haproxy pauses
// what listens while it tries again, in 2.6 as in 3.2. It is ErrRefused to bind where haproxy
// could not.
func (n *node) bindable(mr master, text string) error {
	listeners, err := n.listeners(mr)
	if err != nil {
		return fmt.Errorf("see who listens: %w", err)
	}
	var problem error
	try := func() {
		for _, b := range haproxy.ParseBinds(text) {
			if problem = tryAll(b, listeners); problem != nil {
				return
			}
		}
	}
	ours, err := os.Readlink(filepath.Join(n.Proc, "thread-self/ns/net"))
	theirs, err2 := os.Readlink(filepath.Join(n.pid(mr.procs.Master.PID), "ns/net"))
	if err := errors.Join(err, err2); err != nil || ours == theirs {
		try() // a kernel without namespaces has one
		return problem
	}
	done := make(chan error)
	go func() { done <- within(filepath.Join(n.pid(mr.procs.Master.PID), "ns/net"), try) }()
	if err := <-done; err != nil {
		return fmt.Errorf("enter the network namespace of haproxy: %w", err)
	}
	return problem
}

// unshared refuses an address that another file of the haproxy has: it would be bound twice, and
// each would get a part of the connections (SO_REUSEPORT).
func unshared(mr master, m Managed, text string) error {
	all, err := loadedBy(mr, m, text)
	if err != nil {
		return fmt.Errorf("look at what haproxy loads: %w", err)
	}
	ours := haproxy.ParseBinds(text)
	for _, f := range all.Files {
		if f.Path == m.Path {
			continue
		}
		for _, theirs := range haproxy.ParseBinds(f.Text) {
			for _, b := range ours {
				if b.Address == theirs.Address && b.Interface == theirs.Interface && b.First <= theirs.Last && theirs.First <= b.Last {
					return fmt.Errorf("%w: line %d: bind %s is in %s, line %d, already: each would get a part of the connections",
						reconcile.ErrRefused, b.Line, b.Text, f.Path, theirs.Line)
				}
			}
		}
	}
	return nil
}

// within runs f in a network namespace, on a thread that comes back. One that ended there would
// take programs with it that it started and that are to end with their parent (prctl(2),
// PR_SET_PDEATHSIG).
func within(path string, f func()) error {
	runtime.LockOSThread()
	home, err := os.Open("/proc/thread-self/ns/net")
	if err != nil {
		runtime.UnlockOSThread()
		return err
	}
	defer func() { _ = home.Close() }()
	there, err := os.Open(path)
	if err == nil {
		err = unix.Setns(int(there.Fd()), unix.CLONE_NEWNET)
		_ = there.Close()
	}
	if err != nil {
		runtime.UnlockOSThread()
		return err
	}
	f()
	if err := unix.Setns(int(home.Fd()), unix.CLONE_NEWNET); err != nil {
		return err // the thread stays locked, and nothing else ever runs on it
	}
	runtime.UnlockOSThread()
	return nil
}

// tryAll tries the ports of b.
func tryAll(b haproxy.Bind, listeners listeners) error {
	for port := int(b.First); port <= int(b.Last); port++ {
		at := netip.AddrPortFrom(b.Address, uint16(port))
		if listeners.ours[at] {
			continue
		}
		err := tryBind(b, at)
		other, taken := listeners.others[at]
		switch {
		case taken:
			// Two that share a port by SO_REUSEPORT split what arrives.
			err = unix.EADDRINUSE
		case err == nil, errors.Is(err, unix.EPERM), errors.Is(err, unix.EACCES):
			continue
		case errors.Is(err, unix.EADDRINUSE):
			other = listeners.port(at.Port())
		}
		return fmt.Errorf("%w: line %d: bind %s would fail, and meanwhile haproxy would take no connections at all: %s",
			reconcile.ErrRefused, b.Line, b.Text, why(err, at, other))
	}
	return nil
}

// why says what to do about a bind that fails.
func why(err error, at netip.AddrPort, inode uint64) string {
	switch {
	case errors.Is(err, unix.EADDRNOTAVAIL):
		return fmt.Sprintf("this host does not have %s; write nonlocal = \"transparent\", or set net.ipv4.ip_nonlocal_bind (net.ipv6 for IPv6)", at.Addr())
	case errors.Is(err, unix.EADDRINUSE):
		return fmt.Sprintf("another program listens on port %d%s", at.Port(), program(inode))
	}
	return err.Error()
}

// tryBind does as haproxy does (proto_tcp.c, tcp_bind_listener), and closes the socket again.
func tryBind(b haproxy.Bind, at netip.AddrPort) error {
	family := unix.AF_INET
	var sa unix.Sockaddr = &unix.SockaddrInet4{Port: int(at.Port())}
	if at.Addr().Is4() {
		sa.(*unix.SockaddrInet4).Addr = at.Addr().As4()
	} else {
		family, sa = unix.AF_INET6, &unix.SockaddrInet6{Port: int(at.Port()), Addr: at.Addr().As16()}
	}
	fd, err := unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer func() { _ = unix.Close(fd) }()
	set := func(level, option int) error { return unix.SetsockoptInt(fd, level, option, 1) }
	// What cannot be set makes the bind fail.
	_ = set(unix.SOL_SOCKET, unix.SO_REUSEADDR)
	_ = set(unix.SOL_SOCKET, unix.SO_REUSEPORT)
	if b.Transparent {
		if set(unix.SOL_IP, unix.IP_TRANSPARENT) != nil {
			_ = set(unix.SOL_IP, unix.IP_FREEBIND)
		}
		if family == unix.AF_INET6 {
			_ = set(unix.SOL_IPV6, unix.IPV6_TRANSPARENT)
		}
	}
	if b.V6Only {
		_ = set(unix.SOL_IPV6, unix.IPV6_V6ONLY)
	}
	if b.Interface != "" {
		if err := unix.BindToDevice(fd, b.Interface); err != nil {
			return fmt.Errorf("interface %s: %w", b.Interface, err)
		}
	}
	return unix.Bind(fd, sa)
}
