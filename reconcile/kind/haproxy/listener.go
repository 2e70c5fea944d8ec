package haproxy

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

// listeners are the TCP sockets that listen in haproxy's namespace.
type listeners struct {
	ours   map[netip.AddrPort]bool   // of the haproxy
	others map[netip.AddrPort]uint64 // of other programs, by inode
}

// port returns a socket of another program on that port, or 0.
func (l listeners) port(port uint16) uint64 {
	for at, inode := range l.others {
		if at.Port() == port {
			return inode
		}
	}
	return 0
}

// listeners looks at who listens.
func (n *node) listeners(mr master) (listeners, error) {
	ours := map[uint64]bool{}
	pids := []int{mr.procs.Master.PID}
	for _, p := range append(mr.procs.Workers, mr.procs.Old...) {
		pids = append(pids, p.PID)
	}
	for _, pid := range pids {
		if err := sockets(n.pid(pid), func(inode uint64) { ours[inode] = true }); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return listeners{}, err
		}
	}
	out := listeners{map[netip.AddrPort]bool{}, map[netip.AddrPort]uint64{}}
	for _, name := range []string{"net/tcp", "net/tcp6"} {
		f, err := os.Open(filepath.Join(n.pid(mr.procs.Master.PID), name))
		if errors.Is(err, fs.ErrNotExist) {
			continue // a kernel without IPv6
		}
		if err != nil {
			return listeners{}, err
		}
		err = parseTCP(f, func(at netip.AddrPort, inode uint64) {
			if ours[inode] {
				out.ours[at] = true
			} else {
				out.others[at] = inode
			}
		})
		_ = f.Close()
		if err != nil {
			return listeners{}, err
		}
	}
	return out, nil
}

// parseTCP reads /proc/net/tcp or tcp6 (proc(5)) and calls found for what listens.
func parseTCP(r io.Reader, found func(netip.AddrPort, uint64)) error {
	for s := bufio.NewScanner(r); ; {
		if !s.Scan() {
			return s.Err()
		}
		f := strings.Fields(s.Text())
		if len(f) < 10 || f[3] != "0A" { // TCP_LISTEN
			continue
		}
		at, ok := kernelAddress(f[1])
		inode, err := strconv.ParseUint(f[9], 10, 64)
		if ok && err == nil {
			found(at, inode)
		}
	}
}

// kernelAddress reads an address as the kernel prints it: words in the host's byte order.
func kernelAddress(s string) (netip.AddrPort, bool) {
	host, port, _ := strings.Cut(s, ":")
	b, err := hex.DecodeString(host)
	p, err2 := strconv.ParseUint(port, 16, 16)
	if err != nil || err2 != nil || len(b)%4 != 0 {
		return netip.AddrPort{}, false
	}
	for i := 0; i < len(b); i += 4 {
		binary.NativeEndian.PutUint32(b[i:], binary.BigEndian.Uint32(b[i:]))
	}
	a, ok := netip.AddrFromSlice(b)
	return netip.AddrPortFrom(a, uint16(p)), ok
}

// sockets calls found for each socket of a process.
func sockets(dir string, found func(inode uint64)) error {
	fds, err := os.ReadDir(filepath.Join(dir, "fd"))
	for _, fd := range fds {
		link, err := os.Readlink(filepath.Join(dir, "fd", fd.Name()))
		if errors.Is(err, fs.ErrPermission) {
			return err // else its own sockets would seem another program's
		}
		rest, ok := strings.CutPrefix(link, "socket:[")
		if err != nil || !ok {
			continue
		}
		if inode, err := strconv.ParseUint(strings.TrimSuffix(rest, "]"), 10, 64); err == nil {
			found(inode)
		}
	}
	return err
}

// program returns which program has a socket, in parentheses; "" if it cannot be told.
func program(inode uint64) string {
	dirs, _ := filepath.Glob("/proc/[0-9]*")
	for _, dir := range dirs {
		has := false
		_ = sockets(dir, func(i uint64) { has = has || i == inode }) // it may be gone by now
		if name, err := os.ReadFile(filepath.Join(dir, "comm")); has && err == nil && inode != 0 {
			return fmt.Sprintf(" (%s, process %s)", strings.TrimSpace(string(name)), filepath.Base(dir))
		}
	}
	return ""
}
