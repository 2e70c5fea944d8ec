package listening

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"strings"
)

// Clients returns how many connections on a Unix socket of this network namespace were
// accepted and are open, and how many wait.
func Clients(path string) (accepted, waiting int, err error) {
	f, err := os.Open("/proc/net/unix")
	if err != nil {
		return 0, 0, fmt.Errorf("list sockets: %w", err)
	}
	defer func() { _ = f.Close() }() // it was only read
	accepted, waiting, err = clients(f, path)
	if err != nil {
		return 0, 0, fmt.Errorf("list sockets: %w", err)
	}
	return accepted, waiting, nil
}

// maxUnix bounds what is read of /proc/net/unix: a line has about 100 bytes.
const maxUnix = 16 << 20

// The states in /proc/net/unix (unix_seq_show in af_unix.c): the end that a server accepted is
// connected, one that it did not is connecting.
const (
	connecting = "02"
	connected  = "03"
)

func clients(r io.Reader, path string) (accepted, waiting int, err error) {
	s := bufio.NewScanner(io.LimitReader(r, maxUnix))
	for s.Scan() {
		f := strings.Fields(s.Text())
		if len(f) < 8 || !named(f[7], path) {
			continue
		}
		switch f[5] {
		case connected:
			accepted++
		case connecting:
			waiting++
		}
	}
	return accepted, waiting, s.Err()
}

// named reports whether a socket was bound as path. haproxy binds PATH.PID.tmp and renames
// it (sock_unix.c), and the kernel keeps the name of the bind.
func named(name, path string) bool {
	rest, ok := strings.CutPrefix(name, path)
	if !ok || rest == "" {
		return ok
	}
	pid, ok := strings.CutSuffix(rest, ".tmp")
	return ok && len(pid) > 1 && pid[0] == '.' && strings.Trim(pid[1:], "0123456789") == ""
}
