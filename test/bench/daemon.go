package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/hareconcile/hareconcile/internal/channel"
)

// programs are who competes, in the order of the table.
var programs = [2]string{"hareconcile", "keepalived"}

// restartAfter is what dist's unit has systemd wait before it starts vrrpd again.
const restartAfter = 100 * time.Millisecond

// childFile is where keepalived names the process that does its work.
const childFile = "child.pid"

// A daemon is one program on one host.
type daemon struct {
	dir   string
	ours  bool
	start func(context.Context) (*exec.Cmd, error)
	cmd   *exec.Cmd
	log   *os.File
}

func newDaemon(dir string, ours bool, start func(context.Context) (*exec.Cmd, error)) (*daemon, error) {
	log, err := os.OpenFile(filepath.Join(dir, "log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	return &daemon{dir: dir, ours: ours, start: start, log: log}, err
}

func (d *daemon) run(ctx context.Context) error {
	cmd, err := d.start(ctx)
	if err != nil {
		return err
	}
	cmd.Stdout, cmd.Stderr = d.log, d.log
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start: %w", err)
	}
	d.cmd = cmd
	return nil
}

// stop asks the daemon to end, and does not wait for it: reap does.
func (d *daemon) stop() error { return d.cmd.Process.Signal(syscall.SIGTERM) }

// pids are the daemon's processes: keepalived has a child, which it names in a file.
func (d *daemon) pids() []int {
	pids := []int{d.cmd.Process.Pid}
	if child := d.child(); child > 1 {
		pids = append(pids, child)
	}
	return pids
}

func (d *daemon) child() int {
	b, err := os.ReadFile(filepath.Join(d.dir, childFile))
	if err != nil {
		return 0
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(b)))
	if err != nil {
		return 0
	}
	return pid
}

// crash kills the process that does VRRP, and lets what supervises it do its work: for
// keepalived its parent, for us systemd, whose part we play.
func (d *daemon) crash(ctx context.Context) error {
	if !d.ours {
		return syscall.Kill(d.child(), syscall.SIGKILL)
	}
	if err := d.cmd.Process.Kill(); err != nil {
		return err
	}
	d.reap()
	select {
	case <-time.After(restartAfter):
		return d.run(ctx)
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// kill ends every process of the daemon without a word. keepalived's child would resign if
// its parent went first, and the parent would start another if it could notice that the
// child went.
func (d *daemon) kill() error {
	err := d.cmd.Process.Signal(syscall.SIGSTOP)
	if child := d.child(); child > 1 {
		if killErr := syscall.Kill(child, syscall.SIGKILL); !errors.Is(killErr, syscall.ESRCH) {
			err = errors.Join(err, killErr)
		}
	}
	return errors.Join(err, d.cmd.Process.Kill())
}

// reap waits for the end of what was stopped or killed.
func (d *daemon) reap() {
	if d.cmd != nil {
		_ = d.cmd.Wait() // how it ended is what the bench is about
		d.cmd = nil
	}
}

// cpu is the time that the daemon's processes have spent on a processor so far, user and
// system, exact to the nanosecond where /proc rounds to 10 ms.
func (d *daemon) cpu() (time.Duration, error) {
	var sum time.Duration
	for _, pid := range d.pids() {
		var ts unix.Timespec
		const cpuClockSched = 2 // linux/posix-timers_types.h
		if err := unix.ClockGettime(int32(^pid<<3|cpuClockSched), &ts); err != nil {
			return 0, fmt.Errorf("read processor time of %d: %w", pid, err)
		}
		sum += time.Duration(ts.Nano())
	}
	return sum, nil
}

// ours runs hareconcile-vrrpd, told once what to run; later it knows from its state.
func ours(dir, ns string, program []string) func(context.Context) (*exec.Cmd, error) {
	return func(ctx context.Context) (*exec.Cmd, error) {
		args := append(program[1:len(program):len(program)],
			"-socket", socketOf(dir), "-state", filepath.Join(dir, "state"), "-lock", filepath.Join(dir, "lock"))
		return inside(ctx, ns, program[0], args...), nil
	}
}

// ask sends one request to a hareconcile-vrrpd, which may just be starting.
func ask(ctx context.Context, dir string, r channel.Request) (*channel.Status, error) {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(5 * time.Second); ; {
		c, err := channel.Dial(ctx, socketOf(dir))
		if err == nil {
			resp, err := c.Do(ctx, r)
			return resp.Status, errors.Join(err, c.Close())
		}
		if time.Now().After(end) || ctx.Err() != nil {
			return nil, err
		}
		<-tick.C
	}
}

// theirs runs Debian's keepalived, VRRP only, with files of its own.
func theirs(dir, ns, config string) func(context.Context) (*exec.Cmd, error) {
	return func(ctx context.Context) (*exec.Cmd, error) {
		conf := filepath.Join(dir, "conf")
		if err := os.WriteFile(conf, []byte(config), 0o600); err != nil {
			return nil, err
		}
		for _, stale := range []string{"pid", childFile} { // of a killed one, which would count as running
			if err := os.Remove(filepath.Join(dir, stale)); err != nil && !errors.Is(err, os.ErrNotExist) {
				return nil, err
			}
		}
		return inside(ctx, ns, "keepalived", "--vrrp", "--dont-fork", "--log-console", "--no-syslog",
			"--use-file="+conf, "--pid="+filepath.Join(dir, "pid"), "--vrrp_pid="+filepath.Join(dir, childFile)), nil
	}
}
