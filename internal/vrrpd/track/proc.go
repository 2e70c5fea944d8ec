package track

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"

	"golang.org/x/sys/unix"

	"github.com/hareconcile/hareconcile/internal/proc"
)

const (
	procDir = "/proc"
	// maxComm is the length of a comm, which the kernel cuts (TASK_COMM_LEN less its end).
	maxComm = 15
	// procRead bounds what is read of one file of a process: stat is shorter, and of cmdline
	// only the first argument counts.
	procRead = 4096
)

// A match is a process at one moment.
type match struct {
	pid   int
	start uint64 // in clock ticks since boot: with the pid it names one process for good
	comm  string
	names []string // those looked for that it has
}

// argv0 returns the base name of the first argument in /proc/PID/cmdline, which for kernel
// threads is empty. A program that writes a title there, as "nginx: master process
// /usr/sbin/nginx", is known by what stands before the colon.
func argv0(cmdline []byte) string {
	first, _, _ := bytes.Cut(cmdline, []byte{0})
	if title, _, found := bytes.Cut(first, []byte(": ")); found {
		first = title
	}
	return string(first[bytes.LastIndexByte(first, '/')+1:])
}

// hasName reports whether a process is one of that name: its comm is the name, or the base
// name of its first argument is. A name too long for a comm is only found by the latter.
func hasName(name, comm, base string) bool {
	return name != "" && (base == name || len(name) <= maxComm && comm == name)
}

// scan lists the processes of the given names, without their threads and zombies.
func scan(dir string, names []string) (map[int]match, error) {
	d, err := os.Open(dir)
	if err != nil {
		return nil, fmt.Errorf("list processes: %w", err)
	}
	defer d.Close()
	entries, err := d.Readdirnames(-1)
	if err != nil {
		return nil, fmt.Errorf("list processes: %w", err)
	}
	found := map[int]match{}
	buf := make([]byte, procRead)
	processes := 0
	for _, e := range entries {
		pid, err := strconv.Atoi(e)
		if err != nil || pid <= 0 {
			continue
		}
		p, ok := look(dir, pid, buf)
		if !ok {
			continue
		}
		processes++
		base := argv0(readProc(dir, pid, "cmdline", buf))
		for _, n := range names {
			if hasName(n, p.comm, base) {
				p.names = append(p.names, n)
			}
		}
		if len(p.names) > 0 {
			found[pid] = p
		}
	}
	if processes == 0 {
		return nil, errors.New("list processes: there is none")
	}
	return found, nil
}

// look reads a process that is not dead.
func look(dir string, pid int, buf []byte) (match, bool) {
	s, ok := proc.ParseStat(readProc(dir, pid, "stat", buf))
	return match{pid: pid, start: s.Start, comm: s.Comm}, ok && !s.Gone()
}

// readProc reads the beginning of a process's file; nothing if that is not to be had.
func readProc(dir string, pid int, name string, buf []byte) []byte {
	fd, err := unix.Open(filepath.Join(dir, strconv.Itoa(pid), name), unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil
	}
	n, err := unix.Read(fd, buf)
	_ = unix.Close(fd)
	if err != nil {
		return nil
	}
	return buf[:n]
}
