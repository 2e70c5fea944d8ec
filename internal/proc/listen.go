package proc

import (
	"bufio"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

const (
	// maxListeners bounds how many sockets are read.
	maxListeners = 1 << 16
	// maxFiles bounds how many open files of one process are looked at.
	maxFiles = 1 << 16
)

// A Listener is a TCP socket that connections are accepted from.
type Listener struct {
	Addr   netip.AddrPort
	Inode  uint64
	Queued int // connections that wait to be accepted
}

// Accepts reports whether a connection to addr comes to l, if no other listener is nearer.
func (l Listener) Accepts(addr netip.AddrPort) bool {
	if l.Addr.Port() != addr.Port() {
		return false
	}
	here := l.Addr.Addr()
	// A socket at [::] takes IPv4 too unless it is IPV6_V6ONLY, which cannot be seen.
	return here == addr.Addr() || here.IsUnspecified() && (here.Is6() || addr.Addr().Is4())
}

// Listeners returns the TCP sockets that listen in the network namespace of the calling
// thread.
func Listeners() ([]Listener, error) {
	var out []Listener
	for _, name := range []string{"tcp", "tcp6"} {
		f, err := os.Open(filepath.Join(procDir, "thread-self/net", name))
		if errors.Is(err, fs.ErrNotExist) && name == "tcp6" {
			continue // a kernel without IPv6
		}
		if err != nil {
			return nil, fmt.Errorf("list listeners: %w", err)
		}
		found, err := readListeners(f)
		_ = f.Close() // it was only read
		if err != nil {
			return nil, fmt.Errorf("list listeners: %w", err)
		}
		out = append(out, found...)
	}
	return out, nil
}

// readListeners reads /proc/net/tcp or tcp6 (proc_pid_net(5)). Listeners come before all
// other sockets (tcp_get_idx in tcp_ipv4.c), so the rest, which may be long, is not read.
func readListeners(r io.Reader) ([]Listener, error) {
	var out []Listener
	s := bufio.NewScanner(r)
	for first := true; s.Scan(); first = false {
		if first { // the columns
			continue
		}
		l, listens, ok := parseSocket(s.Text())
		switch {
		case !ok:
			return nil, fmt.Errorf("%.80q is no socket", s.Text())
		case !listens:
			return out, nil
		case len(out) == maxListeners:
			return nil, fmt.Errorf("there are more than %d", maxListeners)
		}
		out = append(out, l)
	}
	return out, s.Err()
}

// parseSocket reads one line: number, local address, remote address, state, queues for
// sending and receiving, timer, retransmits, user, timeout, inode.
func parseSocket(line string) (l Listener, listens, ok bool) {
	f := strings.Fields(line)
	if len(f) < 10 {
		return Listener{}, false, false
	}
	addr, ok := parseAddr(f[1])
	_, rx, colon := strings.Cut(f[4], ":")
	queued, err := strconv.ParseUint(rx, 16, 31)
	inode, err2 := strconv.ParseUint(f[9], 10, 64)
	if !ok || !colon || err != nil || err2 != nil {
		return Listener{}, false, false
	}
	const listen = "0A" // TCP_LISTEN in tcp_states.h
	return Listener{addr, inode, int(queued)}, f[3] == listen, true
}

// parseAddr reads an address in hexadecimal: of four or sixteen bytes, each four in the
// order of the host, and a port.
func parseAddr(text string) (netip.AddrPort, bool) {
	host, port, colon := strings.Cut(text, ":")
	b, err := hex.DecodeString(host)
	p, err2 := strconv.ParseUint(port, 16, 16)
	if !colon || err != nil || err2 != nil || len(b) != 4 && len(b) != 16 {
		return netip.AddrPort{}, false
	}
	for i := 0; i < len(b); i += 4 {
		binary.NativeEndian.PutUint32(b[i:], binary.BigEndian.Uint32(b[i:]))
	}
	a, _ := netip.AddrFromSlice(b)
	return netip.AddrPortFrom(a.Unmap(), uint16(p)), true
}

// Sockets returns the inodes of the sockets that a process has open. To read them takes the
// rights to trace the process; without them the error is fs.ErrPermission.
func Sockets(pid int) (map[uint64]bool, error) {
	d, err := os.Open(file(pid, "fd"))
	if err != nil {
		return nil, failed("list the sockets", pid, err)
	}
	defer d.Close()
	names, err := d.Readdirnames(maxFiles)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, failed("list the sockets", pid, err)
	}
	out := map[uint64]bool{}
	for _, name := range names {
		to, err := os.Readlink(filepath.Join(d.Name(), name))
		if err != nil {
			continue // closed meanwhile
		}
		if text, ok := strings.CutPrefix(to, "socket:["); ok {
			if inode, err := strconv.ParseUint(strings.TrimSuffix(text, "]"), 10, 64); err == nil {
				out[inode] = true
			}
		}
	}
	return out, nil
}
