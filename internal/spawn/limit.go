package spawn

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"time"

	"golang.org/x/sys/unix"

	"github.com/hareconcile/hareconcile/internal/spawn/become"
)

// Limits are what a program may use from its first instruction on.
type Limits struct {
	Data      uint64 // bytes of memory (RLIMIT_DATA)
	Files     uint64 // open files (RLIMIT_NOFILE)
	Processes uint64 // processes and threads of its user (RLIMIT_NPROC); 0 leaves them as they are
}

// threadStack is what a thread's stack may take, in bytes.
const threadStack = 1 << 20

// self is the running program, also after its file was replaced by an upgrade.
const self = "/proc/self/exe"

// A Limited is a program that Start starts within limits. The kernel has no way to start one
// with other limits than its parent's, and to set them from outside leaves a gap (prlimit(2))
// or needs ptrace. So this program is started, as whom and in the group that Cmd says; it lowers
// its limits and becomes the other one.
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
	cmd := exec.Command(self)
	cmd.Args = become.Args(name, l.list())
	cmd.ExtraFiles = []*os.File{file, trouble}
	return &Limited{Cmd: cmd, said: said}, nil
}

// list returns the limits in the order in which they are set.
func (l Limits) list() []become.Limit {
	out := []become.Limit{
		{Resource: unix.RLIMIT_CORE, Most: 0},
		{Resource: unix.RLIMIT_NOFILE, Most: l.Files},
		// The C library makes every thread's stack so large, and RLIMIT_DATA counts all of it
		// (pthread_create(3)): with the usual 8 MiB a dozen threads would be all there is.
		{Resource: unix.RLIMIT_STACK, Most: threadStack},
	}
	if l.Processes > 0 {
		out = append(out, become.Limit{Resource: unix.RLIMIT_NPROC, Most: l.Processes})
	}
	return append(out, become.Limit{Resource: unix.RLIMIT_DATA, Most: l.Data}) // the last one: this program may need more itself
}

// patience is how long this program may take to become the other one, where the caller does
// not end it before.
const patience = time.Minute

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
