package pluginhost

import (
	"os/exec"

	"golang.org/x/sys/unix"

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

// meekness is by how much plugins, and what they start, are nicer than the host: on a machine
// that has too little time for all, those who move addresses come first. It leaves a plugin a
// third of the time that another program gets.
const meekness = 5

// run serves until requests is closed. What it gives up is the thread's alone, and the
// children's.
func (s *spawner) run() { spawn.OnOwnThread(s.serve) }

func (s *spawner) serve() {
	err := spawn.Humble()
	if n, perr := unix.Getpriority(unix.PRIO_PROCESS, 0); perr == nil {
		own := 20 - n                                            // the system call's answers are never negative (getpriority(2))
		_ = unix.Setpriority(unix.PRIO_PROCESS, 0, own+meekness) // a courtesy
	}
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
