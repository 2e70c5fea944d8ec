package pluginhost

import (
	"os/exec"
	"runtime"

	"github.com/hareconcile/hareconcile/internal/spawn"
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

// run serves until requests is closed. What it gives up is the thread's alone, and the
// children's. The runtime starts no thread from a locked one, and the thread ends with run.
func (s *spawner) run() {
	runtime.LockOSThread()
	err := spawn.Humble()
	for r := range s.requests {
		if err != nil {
			r.done <- err
			continue
		}
		r.done <- r.cmd.Start()
	}
}

func (s *spawner) start(cmd *exec.Cmd) error {
	done := make(chan error)
	s.requests <- spawnRequest{cmd, done}
	return <-done
}
