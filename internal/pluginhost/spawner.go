package pluginhost

import (
	"os/exec"
	"runtime"
	"syscall"
)

// A spawner starts processes from one thread that lives as long as the host: the kernel
// sends a child its parent-death signal when the thread that started it ends
// (prctl(2), PR_SET_PDEATHSIG).
type spawner struct {
	requests chan spawnRequest // closed by the host when every child has ended
}

type spawnRequest struct {
	cmd  *exec.Cmd
	done chan<- error
}

func newSpawner() *spawner { return &spawner{requests: make(chan spawnRequest)} }

// Arguments of prctl(2) that package syscall lacks.
const (
	prSetNoNewPrivs    = 38
	prCapAmbient       = 47
	prCapAmbientClrAll = 4
)

// run serves until requests is closed. What it gives up is the thread's alone, and the
// children's: privileges through setuid files, and ambient capabilities. The runtime starts
// no thread from a locked one, and the thread ends with run.
func (s *spawner) run() {
	runtime.LockOSThread()
	_, _, noNewPrivs := syscall.RawSyscall6(syscall.SYS_PRCTL, prSetNoNewPrivs, 1, 0, 0, 0, 0)
	_, _, ambient := syscall.RawSyscall6(syscall.SYS_PRCTL, prCapAmbient, prCapAmbientClrAll, 0, 0, 0, 0)
	for r := range s.requests {
		switch {
		case noNewPrivs != 0:
			r.done <- noNewPrivs
		case ambient != 0:
			r.done <- ambient
		default:
			r.done <- r.cmd.Start()
		}
	}
}

func (s *spawner) start(cmd *exec.Cmd) error {
	done := make(chan error)
	s.requests <- spawnRequest{cmd, done}
	return <-done
}
