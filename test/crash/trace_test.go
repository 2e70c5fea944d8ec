package crash_test

import (
	"bufio"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// A tracer counts the operations of one process that change the kernel or the disk, and ends
// it as one of them returns. All of it runs on one thread (ptrace(2)).
type tracer struct {
	pid    int
	after  int // the operation as which returns the process is killed; 0 never
	ops    []string
	inside map[int]string // by thread: the call under way; "" is one that does not count
}

// A trace is what became of a traced process.
type trace struct {
	Ops    []string // what it did, such as "fsync journal.json"
	Killed bool     // by the tracer
	Error  string
}

// traceEnv has the process and the operation for the process that is the tracer: whoever is
// both parent and tracer would take a stop for an end.
const traceEnv = "HARECONCILE_TEST_TRACE"

// traceMain is the tracer's main. It prints a line when the trace has begun, and the trace as JSON.
func traceMain(order string) int {
	runtime.LockOSThread() // tracees belong to a thread
	r := &tracer{inside: map[int]string{}}
	var tr trace
	_, err := fmt.Sscan(order, &r.pid, &r.after)
	if err == nil {
		err = r.attach()
	}
	if err == nil {
		fmt.Println("begun")
		tr.Killed, err = r.run()
	}
	tr.Ops = r.ops
	if err != nil {
		tr.Error = err.Error()
	}
	if json.NewEncoder(os.Stdout).Encode(tr) != nil {
		return 1
	}
	return 0
}

// follow traces the process until it is gone, and kills it as operation number after returns.
// It returns once the trace has begun; the function that it returns waits for the outcome.
func follow(t *testing.T, pid, after int) func() trace {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "/proc/self/exe")
	cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%d %d", traceEnv, pid, after))
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewReader(out)
	if line, err := lines.ReadString('\n'); err != nil || line != "begun\n" {
		t.Fatalf("the tracer says %q (%v)", line, err)
	}
	return func() trace {
		var tr trace
		if err := errors.Join(json.NewDecoder(lines).Decode(&tr), cmd.Wait()); err != nil || tr.Error != "" {
			t.Fatalf("the tracer ended with %v, %s", err, tr.Error)
		}
		return tr
	}
}

const options = unix.PTRACE_O_TRACESYSGOOD | unix.PTRACE_O_TRACECLONE

// attach takes hold of every thread, also of those that begin meanwhile.
func (r *tracer) attach() error {
	for found := true; found; {
		found = false
		tasks, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", r.pid))
		if err != nil {
			return err
		}
		for _, task := range tasks {
			tid, _ := strconv.Atoi(task.Name())
			if _, known := r.inside[tid]; known {
				continue
			}
			found = true
			if _, _, e := unix.Syscall6(unix.SYS_PTRACE, unix.PTRACE_SEIZE, uintptr(tid), 0, options, 0, 0); e == unix.EPERM || e == unix.ESRCH {
				continue // it came to us with its parent, or it is gone
			} else if e != 0 {
				return e
			}
			r.inside[tid] = ""
			if err := unix.PtraceInterrupt(tid); err != nil && !errors.Is(err, unix.ESRCH) {
				return err
			}
		}
	}
	return nil
}

// run lets the threads go from call to call until the process is gone.
func (r *tracer) run() (killed bool, err error) {
	for {
		var ws unix.WaitStatus
		tid, err := unix.Wait4(-1, &ws, unix.WALL, nil)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if errors.Is(err, unix.ECHILD) {
			return killed, nil
		}
		if err != nil {
			return killed, err
		}
		if !ws.Stopped() {
			delete(r.inside, tid)
			continue
		}
		signal := 0
		switch stop := ws.StopSignal(); {
		case stop == unix.SIGTRAP|0x80:
			if r.called(tid) && len(r.ops) == r.after && !killed {
				killed = true
				if err := unix.Kill(r.pid, unix.SIGKILL); err != nil {
					return killed, err
				}
			}
		case ws>>16 != 0: // an event: a thread began, or stopped for us
		default:
			signal = int(stop)
		}
		if err := unix.PtraceSyscall(tid, signal); err != nil && !errors.Is(err, unix.ESRCH) {
			return killed, err
		}
	}
}

// called notes that a thread is at the beginning or the end of a call, and reports whether
// one that counts has ended and did something.
func (r *tracer) called(tid int) bool {
	result, err := register(tid, rax)
	if err != nil {
		return false // it is gone
	}
	if result == -int64(unix.ENOSYS) { // what the kernel puts there while a call begins (entry_64.S)
		r.inside[tid] = r.operation(tid)
		return false
	}
	op := r.inside[tid]
	r.inside[tid] = ""
	if op == "" || result < 0 && result > -4096 {
		return false
	}
	r.ops = append(r.ops, op)
	return true
}

// Where registers are in a thread's user area (sys/user.h, user_regs_struct). User-Mode Linux
// gives them one by one only.
const (
	rax     = 10 * 8
	rdx     = 12 * 8
	rdi     = 14 * 8
	origRax = 15 * 8
)

func register(tid int, offset uintptr) (int64, error) {
	var b [8]byte
	if _, err := unix.PtracePeekUser(tid, offset, b[:]); err != nil {
		return 0, err
	}
	return int64(binary.NativeEndian.Uint64(b[:])), nil
}

// names are the calls that change the kernel's state or the disk's. Those of "write" act on a file.
var names = map[int64]string{
	unix.SYS_WRITE: "write", unix.SYS_PWRITE64: "write", unix.SYS_WRITEV: "write",
	unix.SYS_FSYNC: "fsync", unix.SYS_FDATASYNC: "fsync", unix.SYS_FTRUNCATE: "truncate", unix.SYS_FCHMOD: "chmod", unix.SYS_FCHOWN: "chown",
	unix.SYS_SENDTO: "send", unix.SYS_SENDMSG: "send", unix.SYS_SENDMMSG: "send",
	unix.SYS_RENAME: "rename", unix.SYS_RENAMEAT: "rename", unix.SYS_RENAMEAT2: "rename",
	unix.SYS_UNLINK: "unlink", unix.SYS_UNLINKAT: "unlink", unix.SYS_MKDIRAT: "mkdir", unix.SYS_LINKAT: "link", unix.SYS_SYMLINKAT: "link",
	unix.SYS_OPENAT: "create",
}

// operation names the call that begins, if it may change the kernel's state or the disk's.
func (r *tracer) operation(tid int) string {
	number, err := register(tid, origRax)
	first, err1 := register(tid, rdi)
	third, err2 := register(tid, rdx)
	if errors.Join(err, err1, err2) != nil {
		return ""
	}
	name := names[number]
	switch name {
	case "create":
		if third&(unix.O_CREAT|unix.O_TRUNC) == 0 {
			return ""
		}
	case "write", "fsync", "truncate", "chmod", "chown":
		where, err := os.Readlink(fmt.Sprintf("/proc/%d/fd/%d", r.pid, int32(first)))
		if err != nil || strings.HasPrefix(where, "anon_inode:") || strings.HasPrefix(where, "pipe:") || first <= 2 {
			return ""
		}
		file, _, _ := strings.Cut(filepath.Base(where), ":")
		file, _, _ = strings.Cut(file, ".new-") // the rest is random
		return name + " " + file
	}
	return name
}
