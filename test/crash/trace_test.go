package crash_test

import (
	"bufio"
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
	var regs unix.PtraceRegs
	if unix.PtraceGetRegs(tid, &regs) != nil {
		return false // it is gone
	}
	result := int64(regs.Rax)
	if result == -int64(unix.ENOSYS) { // what the kernel puts there while a call begins (entry_64.S)
		r.inside[tid] = r.operation(&regs)
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

// operation names the call if it may change the kernel's state or the disk's.
func (r *tracer) operation(regs *unix.PtraceRegs) string {
	var name string
	switch regs.Orig_rax {
	case unix.SYS_WRITE, unix.SYS_PWRITE64, unix.SYS_WRITEV, unix.SYS_FSYNC, unix.SYS_FDATASYNC, unix.SYS_FTRUNCATE, unix.SYS_FCHMOD, unix.SYS_FCHOWN:
		name = map[uint64]string{unix.SYS_FSYNC: "fsync", unix.SYS_FDATASYNC: "fdatasync", unix.SYS_FTRUNCATE: "ftruncate"}[regs.Orig_rax]
		if name == "" {
			name = "write"
		}
		where, err := os.Readlink(fmt.Sprintf("/proc/%d/fd/%d", r.pid, int32(regs.Rdi)))
		if err != nil || strings.HasPrefix(where, "anon_inode:") || strings.HasPrefix(where, "pipe:") || regs.Rdi <= 2 {
			return ""
		}
		if strings.HasPrefix(where, "socket:") {
			where = "socket"
		}
		return name + " " + filepath.Base(where)
	case unix.SYS_SENDTO, unix.SYS_SENDMSG:
		return "send"
	case unix.SYS_RENAME, unix.SYS_RENAMEAT, unix.SYS_RENAMEAT2:
		return "rename"
	case unix.SYS_UNLINK, unix.SYS_UNLINKAT:
		return "unlink"
	case unix.SYS_MKDIRAT:
		return "mkdir"
	case unix.SYS_OPENAT:
		if regs.Rdx&(unix.O_CREAT|unix.O_TRUNC) != 0 {
			return "create"
		}
	}
	return ""
}
