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

	"github.com/hareconcile/hareconcile/internal/channel"
	"github.com/hareconcile/hareconcile/reconcile/resource"
)

// programs are who competes, in the order of the table.
var programs = [2]string{"hareconcile", "keepalived"}

// A daemon is one program's VRRP on one host.
type daemon struct {
	dir   string
	start func(context.Context) (*exec.Cmd, error)
	cmd   *exec.Cmd
	log   *os.File
}

func newDaemon(dir string, start func(context.Context) (*exec.Cmd, error)) (*daemon, error) {
	log, err := os.OpenFile(filepath.Join(dir, "log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	return &daemon{dir: dir, start: start, log: log}, err
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

// kill ends every process of the daemon without a word. keepalived's child is known by its
// pid file; it would resign if its parent went first, and the parent would start another
// if it could notice that the child went.
func (d *daemon) kill() error {
	err := d.cmd.Process.Signal(syscall.SIGSTOP)
	b, readErr := os.ReadFile(filepath.Join(d.dir, "vrrp.pid"))
	if child, convErr := strconv.Atoi(strings.TrimSpace(string(b))); readErr == nil && convErr == nil && child > 1 {
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

// ours runs hareconcile-vrrpd, told once what to run; later it knows from its state.
func ours(dir, ns, program string) func(context.Context) (*exec.Cmd, error) {
	return func(ctx context.Context) (*exec.Cmd, error) {
		return inside(ctx, ns, program, "-socket", filepath.Join(dir, "sock"), "-state", filepath.Join(dir, "state"), "-lock", filepath.Join(dir, "lock")), nil
	}
}

// configure tells a hareconcile-vrrpd that is starting.
func configure(ctx context.Context, dir string, self int, interval time.Duration) error {
	cfg := channel.Config{Instances: []resource.VRRPInstance{{
		Interface: "eth0", VRID: vrid, Version: 3, Priority: priorities[self], Interval: resource.Duration(interval), Preempt: true,
		Addresses: resource.List(vip.String() + "/24"), Source: hostAddrs[self], Peers: resource.List(hostAddrs[1-self].String()),
	}}}
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(5 * time.Second); ; {
		c, err := channel.Dial(ctx, filepath.Join(dir, "sock"))
		if err == nil {
			_, err = c.Do(ctx, channel.Request{Config: &cfg})
			return errors.Join(err, c.Close())
		}
		if time.Now().After(end) || ctx.Err() != nil {
			return err
		}
		<-tick.C
	}
}

const keepalivedConf = `
global_defs {
	router_id bench
	vrrp_version 3
}
vrrp_instance bench {
	state BACKUP
	interface eth0
	virtual_router_id %d
	priority %d
	advert_int %.2f
	virtual_ipaddress {
		%v/24
	}
}
`

// theirs runs Debian's keepalived, VRRP only, with files of its own.
func theirs(dir, ns string, self int, interval time.Duration) func(context.Context) (*exec.Cmd, error) {
	return func(ctx context.Context) (*exec.Cmd, error) {
		conf := filepath.Join(dir, "conf")
		text := fmt.Sprintf(keepalivedConf, vrid, priorities[self], interval.Seconds(), vip)
		if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
			return nil, err
		}
		for _, stale := range []string{"pid", "vrrp.pid"} { // of a killed one, which would count as running
			if err := os.Remove(filepath.Join(dir, stale)); err != nil && !errors.Is(err, os.ErrNotExist) {
				return nil, err
			}
		}
		return inside(ctx, ns, "keepalived", "--vrrp", "--dont-fork", "--log-console", "--no-syslog",
			"--use-file="+conf, "--pid="+filepath.Join(dir, "pid"), "--vrrp_pid="+filepath.Join(dir, "vrrp.pid")), nil
	}
}
