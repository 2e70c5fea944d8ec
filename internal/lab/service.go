package lab

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"time"
)

// stopGrace is how long a service may take to end before it is killed.
const stopGrace = 5 * time.Second

// maxLog is the size at which a service's log starts anew.
const maxLog = 2 << 20

// errUnwanted says that a stop came before the start.
var errUnwanted = errors.New("service is stopped")

// A service keeps one program running on a host as systemd would with Restart=always and
// KillMode=control-group: what a program leaves behind is killed before it starts again.
type service struct {
	host  *host
	plan  servicePlan
	log   *slog.Logger
	path  string // of the program's output
	delay time.Duration
	wake  chan struct{} // holds one token: wanted has changed

	mu     sync.Mutex
	wanted bool
	status ServiceStatus
	ended  chan struct{} // closed when the running program has ended; nil if none runs
}

func newService(h *host, p servicePlan, dir string, delay time.Duration, log *slog.Logger) *service {
	return &service{
		host: h, plan: p, delay: delay, wanted: true,
		log:    log.With("host", h.plan.Name, "service", p.Name),
		path:   filepath.Join(dir, "log", h.plan.Name+"-"+p.Name+".log"),
		wake:   make(chan struct{}, 1),
		status: ServiceStatus{Name: p.Name, State: "stopped", Since: time.Now()},
	}
}

// run keeps the program running, while it is wanted, until ctx ends.
func (s *service) run(ctx context.Context) {
	for starts := 0; ctx.Err() == nil; {
		s.mu.Lock()
		wanted := s.wanted
		s.mu.Unlock()
		if !wanted {
			s.set("stopped", 0, "")
			select {
			case <-s.wake:
			case <-ctx.Done():
			}
			starts = 0
			continue
		}
		s.once(ctx, starts > 0)
		starts++
		select {
		case <-time.After(s.delay):
		case <-s.wake:
		case <-ctx.Done():
		}
	}
}

// once starts the program and waits for its end.
func (s *service) once(ctx context.Context, again bool) {
	cmd, ended, err := s.start(again)
	if errors.Is(err, errUnwanted) {
		return
	}
	if err != nil {
		s.log.Warn("program did not start", "err", err)
		s.set("waiting", 0, err.Error())
		return
	}
	stop := context.AfterFunc(ctx, func() { _ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) })
	err = wait(cmd)
	stop()
	_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) // its children; the group is no one else's
	s.log.Info("program ended", "state", cmd.ProcessState.String())
	s.ranOut(cmd.ProcessState.String())
	close(ended)
	if _, exited := err.(*exec.ExitError); err != nil && !exited {
		s.log.Warn("program was not waited for", "err", err)
	}
}

func (s *service) start(again bool) (*exec.Cmd, chan struct{}, error) {
	out, err := os.OpenFile(s.path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return nil, nil, fmt.Errorf("open log: %w", err)
	}
	defer out.Close()
	cmd := exec.Command(s.plan.Argv[0], s.plan.Argv[1:]...)
	cmd.Env = serviceEnv()
	cmd.Dir = "/"
	cmd.Stdout, cmd.Stderr = out, out
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.wanted {
		return nil, nil, errUnwanted
	}
	if err := s.host.start(cmd, s.plan.Nice); err != nil {
		return nil, nil, fmt.Errorf("start %s: %w", s.plan.Argv[0], err)
	}
	s.ended = make(chan struct{})
	s.status.State, s.status.PID, s.status.Since = "running", cmd.Process.Pid, time.Now()
	if again {
		s.status.Restarts++
	}
	return cmd, s.ended, nil
}

// serviceEnv is what units get, not what the person has who made the lab.
func serviceEnv() []string {
	return []string{"PATH=" + systemPath, "HOME=/root", "TMPDIR=/run/tmp", "LANG=C.UTF-8"}
}

func (s *service) set(state string, pid int, last string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.status.State != state {
		s.status.Since = time.Now()
	}
	s.status.State, s.status.PID = state, pid
	if last != "" {
		s.status.Last = last
	}
}

// ranOut records the program's end.
func (s *service) ranOut(how string) {
	s.mu.Lock()
	next := "stopped"
	if s.wanted {
		next = "waiting"
	}
	s.mu.Unlock()
	s.set(next, 0, how)
}

// snapshot returns the service's state.
func (s *service) snapshot() ServiceStatus {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.status
}

// kill sends the program a signal.
func (s *service) kill(sig syscall.Signal) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.status.PID == 0 {
		return fmt.Errorf("%s on %s is not running", s.plan.Name, s.host.plan.Name)
	}
	return syscall.Kill(s.status.PID, sig)
}

// want starts the program, or ends it and everything it started and waits for that.
func (s *service) want(run bool) {
	s.mu.Lock()
	s.wanted = run
	pid, ended := s.status.PID, s.ended
	if !run && pid != 0 {
		_ = syscall.Kill(pid, syscall.SIGTERM)
	}
	s.mu.Unlock()
	select {
	case s.wake <- struct{}{}:
	default: // a token is there already
	}
	if run || ended == nil {
		return
	}
	select {
	case <-ended:
	case <-time.After(stopGrace):
		_ = syscall.Kill(-pid, syscall.SIGKILL)
		<-ended
	}
}

// trimLog empties the log once it has grown too long. Its writers append.
func (s *service) trimLog() {
	if fi, err := os.Stat(s.path); err == nil && fi.Size() > maxLog {
		_ = os.Truncate(s.path, 0)
	}
}
