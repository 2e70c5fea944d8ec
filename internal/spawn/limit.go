package spawn

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Limits are what a program may use from its first instruction on.
type Limits struct {
	Data      uint64 // bytes of memory (RLIMIT_DATA)
	Files     uint64 // open files (RLIMIT_NOFILE)
	Processes uint64 // processes and threads of its user (RLIMIT_NPROC); 0 leaves them as they are
}

// ExecStage is what follows `hareconcile internal` where the program calls Exec.
const ExecStage = "exec"

// threadStack is what a thread's stack may take, in bytes.
const threadStack = 1 << 20

// Descriptors of a process that Exec runs in: the file to run, and the pipe for what went wrong.
const (
	programFD = 3
	troubleFD = 4
)

// self is the running program, also after its file was replaced by an upgrade.
const self = "/proc/self/exe"

// A Limited is a program that Start starts within limits. The kernel has no way to start one
// with other limits than its parent's, and to set them from outside leaves a gap (prlimit(2))
// or needs ptrace. So this program is started, as `internal exec`, as whom and in the group
// that Cmd says; it lowers its limits and becomes the other one.
type Limited struct {
	Cmd  *exec.Cmd
	said *os.File // the reading end for trouble
}

// NewLimited returns the program in file, under name as its argument zero. The very file runs,
// whatever its path has become since it was opened.
func NewLimited(file *os.File, name string, l Limits) (*Limited, error) {
	said, trouble, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	number := func(n uint64) string { return strconv.FormatUint(n, 10) }
	cmd := exec.Command(self)
	cmd.Args = []string{name, "internal", ExecStage, number(l.Data), number(l.Files), number(l.Processes), name}
	cmd.ExtraFiles = []*os.File{file, trouble}
	return &Limited{Cmd: cmd, said: said}, nil
}

// patience is how long this program may take to become the other one.
const patience = 5 * time.Second

// Started is called after Cmd was started, or was not. It returns when the program runs, or
// why it does not; the process may be there in either case.
func (l *Limited) Started() error {
	for _, f := range l.Cmd.ExtraFiles {
		_ = f.Close() // the child has its own
	}
	defer func() { _ = l.said.Close() }() // it was only read
	if l.Cmd.Process == nil {
		return nil
	}
	if err := l.said.SetReadDeadline(time.Now().Add(patience)); err != nil {
		return err
	}
	text, err := io.ReadAll(io.LimitReader(l.said, 1<<10))
	switch {
	case err != nil:
		return fmt.Errorf("wait for its start: %w", err)
	case len(text) > 0:
		return fmt.Errorf("%s", text)
	}
	return nil
}

// Exec is `hareconcile internal exec`. It does not return if all goes well.
func Exec(args []string) int {
	syscall.CloseOnExec(troubleFD)
	if err := execute(args); err != nil {
		_, _ = fmt.Fprint(os.NewFile(troubleFD, "trouble"), err) // nobody listens if it is used by hand
	}
	return 1
}

func execute(args []string) error {
	if len(args) != 4 {
		return fmt.Errorf("%s is for hareconcile's own use", ExecStage)
	}
	var n [3]uint64
	for i := range n {
		var err error
		if n[i], err = strconv.ParseUint(args[i], 10, 64); err != nil {
			return err
		}
	}
	// The kernel tells an interpreter to read the script by this path, so it has to stay open
	// for one (execve(2), fexecve(3)).
	var head [2]byte
	if _, err := unix.Pread(programFD, head[:], 0); err != nil {
		return fmt.Errorf("read the program: %w", err)
	}
	if string(head[:]) != "#!" {
		syscall.CloseOnExec(programFD)
	}
	path, argv, env := fmt.Sprintf("/proc/self/fd/%d", programFD), args[3:], os.Environ()
	for _, r := range []struct {
		name     string
		resource int
		most     uint64
	}{
		{"RLIMIT_CORE", unix.RLIMIT_CORE, 0},
		{"RLIMIT_NOFILE", unix.RLIMIT_NOFILE, n[1]},
		// The C library makes every thread's stack so large, and RLIMIT_DATA counts all of it
		// (pthread_create(3)): with the usual 8 MiB a dozen threads would be all there is.
		{"RLIMIT_STACK", unix.RLIMIT_STACK, threadStack},
		{"RLIMIT_NPROC", unix.RLIMIT_NPROC, n[2]},
		{"RLIMIT_DATA", unix.RLIMIT_DATA, n[0]}, // the last one: this program may need more itself
	} {
		if r.most == 0 && r.resource == unix.RLIMIT_NPROC {
			continue
		}
		if err := lower(r.resource, r.most); err != nil {
			return fmt.Errorf("%s: %w", r.name, err)
		}
	}
	if err := syscall.Exec(path, argv, env); err != nil {
		return fmt.Errorf("exec: %w", err)
	}
	return nil
}

// lower sets a limit, but never above what is already in force.
func lower(resource int, most uint64) error {
	var old unix.Rlimit
	if err := unix.Getrlimit(resource, &old); err != nil {
		return err
	}
	most = min(most, old.Max)
	return syscall.Setrlimit(resource, &syscall.Rlimit{Cur: most, Max: most})
}
