package proc

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// maxFiles bounds how many open files of one process are looked at.
const maxFiles = 1 << 16

// Sockets returns the inodes of the sockets that a process has open, by which
// internal/listening tells whose a socket is. To read them takes the
// rights to trace the process; without them the error is fs.ErrPermission.
func Sockets(pid int) (map[uint32]bool, error) {
	d, err := os.Open(file(pid, "fd"))
	if err != nil {
		return nil, failed("list the sockets", pid, err)
	}
	defer d.Close()
	names, err := d.Readdirnames(maxFiles)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, failed("list the sockets", pid, err)
	}
	out := map[uint32]bool{}
	for _, name := range names {
		to, err := os.Readlink(filepath.Join(d.Name(), name))
		if err != nil {
			continue // closed meanwhile
		}
		if text, ok := strings.CutPrefix(to, "socket:["); ok {
			if inode, err := strconv.ParseUint(strings.TrimSuffix(text, "]"), 10, 32); err == nil {
				out[uint32(inode)] = true
			}
		}
	}
	return out, nil
}
