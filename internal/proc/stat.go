// Package proc looks at processes of this host, with no more rights than every user has. It
// signals nothing.
package proc

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// ErrGone is what the error is of a process that does not exist or has ended. A zombie has.
var ErrGone = errors.New("there is no such process")

const (
	procDir = "/proc"
	// maxRead bounds what is read of one file of a process: stat is shorter.
	maxRead = 4096
	// maxChildren, maxProcesses and maxThreads bound lists.
	maxChildren  = 64 << 10 // bytes
	maxProcesses = 1 << 16
	maxThreads   = 1 << 12
)

// A Stat is what /proc/PID/stat says of a process (proc_pid_stat(5)).
type Stat struct {
	PID    int
	Comm   string // the program's name, cut to 15 bytes; a process may write anything there
	State  byte   // such as R, S, T for stopped and Z for zombie
	Parent int
	Start  uint64 // in clock ticks since boot: with the pid it names one process for good
}

// Gone reports whether the process has ended.
func (s Stat) Gone() bool { return s.State == 'Z' || s.State == 'X' || s.State == 'x' }

// Stopped reports whether a signal has stopped the process.
func (s Stat) Stopped() bool { return s.State == 'T' }

// ParseStat reads the text of /proc/PID/stat. The comm is in the outermost pair of
// parentheses and may contain anything.
func ParseStat(b []byte) (Stat, bool) {
	open, end := bytes.IndexByte(b, '('), bytes.LastIndexByte(b, ')')
	if open < 0 || end < open {
		return Stat{}, false
	}
	// Counted from the field after comm, which is the third.
	const parentField, startField = 4 - 3, 22 - 3
	fields := bytes.Fields(b[end+1:])
	if len(fields) <= startField {
		return Stat{}, false
	}
	pid, err := strconv.Atoi(string(bytes.TrimSpace(b[:open])))
	parent, err2 := strconv.Atoi(string(fields[parentField]))
	start, err3 := strconv.ParseUint(string(fields[startField]), 10, 64)
	if err != nil || err2 != nil || err3 != nil || pid <= 0 || parent < 0 {
		return Stat{}, false
	}
	return Stat{PID: pid, Comm: string(b[open+1 : end]), State: fields[0][0], Parent: parent, Start: start}, true
}

// Look reads the Stat of a process, also of a zombie.
func Look(pid int) (Stat, error) {
	b, err := read(pid, "stat", maxRead)
	if err != nil {
		return Stat{}, err
	}
	s, ok := ParseStat(b)
	if !ok {
		return Stat{}, fmt.Errorf("read the stat of process %d: %.80q is none", pid, b)
	}
	return s, nil
}

// Title returns the arguments of a process, separated by blanks, or what it wrote over
// them, such as "nginx: worker process". It is empty of zombies and kernel threads.
func Title(pid int) (string, error) {
	b, err := read(pid, "cmdline", maxRead)
	if err != nil {
		return "", err
	}
	b = bytes.ReplaceAll(bytes.TrimRight(b, "\x00 "), []byte{0}, []byte{' '})
	return strings.ToValidUTF8(string(b), "?"), nil
}

// Exe returns the path of the program that a process runs. To read it takes the rights to
// trace the process (proc_pid_exe(5)); without them the error is fs.ErrPermission.
func Exe(pid int) (string, error) {
	path, err := os.Readlink(file(pid, "exe"))
	if err != nil {
		return "", failed("read the program", pid, err)
	}
	return strings.TrimSuffix(path, " (deleted)"), nil // as after an upgrade of the package
}

// Children returns the processes whose parent is the given one.
func Children(pid int) ([]int, error) {
	d, err := os.Open(file(pid, "task"))
	if err != nil {
		return nil, failed("list the threads", pid, err)
	}
	defer d.Close()
	threads, err := d.Readdirnames(maxThreads)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, failed("list the threads", pid, err)
	}
	var out []int
	for _, thread := range threads { // each has its own
		b, err := read(pid, filepath.Join("task", thread, "children"), maxChildren)
		if err != nil || len(b) == maxChildren {
			return scanChildren(pid)
		}
		out = append(out, numbers(string(b))...)
	}
	return out, nil
}

// scanChildren is Children for kernels without CONFIG_PROC_CHILDREN.
func scanChildren(pid int) ([]int, error) {
	all, err := All()
	if err != nil {
		return nil, err
	}
	return childrenOf(all, pid), nil
}

func childrenOf(all []Stat, pid int) []int {
	var out []int
	for _, s := range all {
		if s.Parent == pid {
			out = append(out, s.PID)
		}
	}
	return out
}

// All returns the Stat of every process that can be seen, without threads.
func All() ([]Stat, error) {
	d, err := os.Open(procDir)
	if err != nil {
		return nil, fmt.Errorf("list processes: %w", err)
	}
	defer d.Close()
	names, err := d.Readdirnames(maxProcesses)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("list processes: %w", err)
	}
	var out []Stat
	for _, pid := range numbers(strings.Join(names, " ")) {
		if s, err := Look(pid); err == nil {
			out = append(out, s)
		}
	}
	if len(out) == 0 {
		return nil, errors.New("list processes: there is none")
	}
	return out, nil
}

// numbers returns the words of a text that are process ids.
func numbers(text string) []int {
	var out []int
	for _, w := range strings.Fields(text) {
		if pid, err := strconv.Atoi(w); err == nil && pid > 0 {
			out = append(out, pid)
		}
	}
	return out
}

func file(pid int, name string) string {
	return filepath.Join(procDir, strconv.Itoa(pid), name)
}

// read reads the beginning of a process's file.
func read(pid int, name string, most int64) ([]byte, error) {
	f, err := os.Open(file(pid, name))
	if err != nil {
		return nil, failed("read "+name, pid, err)
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, most))
	if err != nil {
		return nil, failed("read "+name, pid, err)
	}
	return b, nil
}

// failed says what could not be done. A process that ends while its files are read answers
// ESRCH.
func failed(what string, pid int, err error) error {
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ESRCH) {
		return fmt.Errorf("%s of process %d: %w", what, pid, ErrGone)
	}
	return fmt.Errorf("%s of process %d: %w", what, pid, err)
}
