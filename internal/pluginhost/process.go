package pluginhost

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/hashicorp/go-plugin/runner"

	"github.com/hareconcile/hareconcile/internal/spawn"
)

// A process is a plugin's process with its process group.
type process struct {
	limited *spawn.Limited
	cmd     *exec.Cmd // limited's
	path    string
	sockets string // its own folder
	spawner *spawner
	out     *throttled
	err     *throttled
	exited  chan struct{} // closed when the process and its group are gone

	mu      sync.Mutex
	started bool
	reaped  bool // the pid may be somebody else's now
	ended   bool // the host has sent a signal
	state   error
}

var _ runner.Runner = (*process)(nil)

// What a plugin may use beside its memory. Processes and threads are counted over all that
// its user runs, so they are bounded only where that is a user of its own.
const (
	maxFiles     = 1024
	maxProcesses = 2048
)

// newProcess returns a process that has not been started. env is what go-plugin adds to
// an environment that has nothing of the host's.
func newProcess(b *binary, memory uint64, env []string, sockets string, who spawn.Account, sp *spawner) (*process, error) {
	limits := spawn.Limits{Data: memory, Files: maxFiles}
	if who.Credential() != nil {
		limits.Processes = maxProcesses
	}
	limited, err := spawn.NewLimited(b.file, b.path, limits)
	if err != nil {
		return nil, err
	}
	cmd := limited.Cmd
	cmd.Env = append([]string{
		"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LANG=C",
		// Programs in Go collect harder before the kernel says no.
		"GOMEMLIMIT=" + strconv.FormatUint(memory/4*3, 10),
	}, env...)
	cmd.Dir = "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Setpgid:    true,
		Pdeathsig:  syscall.SIGKILL,
		Credential: who.Credential(),
	}
	return &process{limited: limited, cmd: cmd, path: b.path, sockets: sockets, spawner: sp, exited: make(chan struct{})}, nil
}

// Start implements runner.Runner. It returns when the plugin's own program runs.
func (p *process) Start(context.Context) error {
	if err := p.launch(); err != nil {
		return err
	}
	return p.limited.Started()
}

func (p *process) launch() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.state != nil {
		return errors.Join(p.state, p.limited.Started())
	}
	outR, outW, err := os.Pipe()
	if err != nil {
		return err
	}
	errR, errW, err := os.Pipe()
	if err != nil {
		return errors.Join(err, outR.Close(), outW.Close())
	}
	p.cmd.Stdout, p.cmd.Stderr = outW, errW
	p.out, p.err = newThrottled(outR, p.exited), newThrottled(errR, p.exited)
	err = p.spawner.start(p.cmd)
	_, _ = outW.Close(), errW.Close() // the child has its own
	if err != nil {
		p.state = err
		close(p.exited)
		return errors.Join(err, p.limited.Started(), outR.Close(), errR.Close())
	}
	p.started = true
	go p.wait()
	return nil
}

// wait reaps the process when it ends, and kills what is left of its group before the pid
// can belong to somebody else.
func (p *process) wait() {
	spawn.AwaitExit(p.cmd.Process.Pid)
	p.mu.Lock()
	_ = syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL) // the zombie keeps the pid
	if err := p.cmd.Wait(); err != nil {
		p.state = err
	}
	p.reaped = true
	p.mu.Unlock()
	close(p.exited)
	// A descendant that left the group may hold the pipes open; readers wait for their end.
	time.AfterFunc(time.Second, func() { _, _ = p.out.Close(), p.err.Close() })
}

// end ends the process and its group: politely, then not.
func (p *process) end() {
	p.mu.Lock()
	if !p.started {
		if p.state == nil {
			p.state = errors.New("ended before it was started")
		}
		p.mu.Unlock()
		return
	}
	p.mu.Unlock()
	for _, step := range []struct {
		sig   syscall.Signal
		grace time.Duration
	}{{syscall.SIGTERM, 500 * time.Millisecond}, {syscall.SIGKILL, 5 * time.Second}} {
		p.signal(step.sig)
		timer := time.NewTimer(step.grace)
		select {
		case <-p.exited:
			timer.Stop()
			return
		case <-timer.C: // after SIGKILL: the process is stuck in the kernel
		}
	}
}

func (p *process) signal(sig syscall.Signal) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.reaped {
		p.ended = true
		_ = syscall.Kill(-p.cmd.Process.Pid, sig) // ends by itself at the same time at worst
	}
}

// how says how the process ended by itself; "" if it runs or if the host ended it.
func (p *process) how() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	var exit *exec.ExitError
	switch {
	case errors.As(p.state, &exit) && p.ended && exit.ExitCode() == -1:
		return ""
	case p.state != nil:
		return p.state.Error()
	case p.reaped:
		return "exit status 0"
	}
	return ""
}

func (p *process) pid() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.started {
		return 0
	}
	return p.cmd.Process.Pid
}

// Wait implements runner.Runner.
func (p *process) Wait(context.Context) error {
	<-p.exited
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.state
}

// Kill implements runner.Runner.
func (p *process) Kill(context.Context) error { p.end(); return nil }

// ID implements runner.Runner.
func (p *process) ID() string {
	if pid := p.pid(); pid > 0 {
		return strconv.Itoa(pid)
	}
	return ""
}

// Name implements runner.Runner.
func (p *process) Name() string { return p.path }

// Stdout implements runner.Runner.
func (p *process) Stdout() io.ReadCloser { return p.out }

// Stderr implements runner.Runner.
func (p *process) Stderr() io.ReadCloser { return p.err }

// Diagnose implements runner.Runner.
func (p *process) Diagnose(context.Context) string { return "" }

// PluginToHost implements runner.Runner. A plugin may only name a socket in its own folder:
// the host connects with its own rights.
func (p *process) PluginToHost(network, addr string) (string, string, error) {
	if network != "unix" || filepath.Dir(addr) != p.sockets || filepath.Clean(addr) != addr {
		return "", "", fmt.Errorf("it listens on %s %q, not on a socket in %s", network, clip(addr), p.sockets)
	}
	info, err := os.Lstat(addr)
	if err != nil {
		return "", "", err
	}
	if info.Mode().Type() != os.ModeSocket {
		return "", "", fmt.Errorf("%s is no socket", addr)
	}
	return network, addr, nil
}

// HostToPlugin implements runner.Runner.
func (p *process) HostToPlugin(network, addr string) (string, string, error) {
	return network, addr, nil
}
