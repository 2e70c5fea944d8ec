package lab

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/hareconcile/hareconcile/internal/uml"
)

// The names under which the program runs itself as a part of a lab: `hareconcile internal NAME`.
const (
	StageInit  = "lab-init"
	StageGuest = "lab-guest"
)

// modules are what a guest's kernel needs for a lab.
var modules = []string{
	"veth", "bridge", "dummy", "ip_vs", "ip_vs_rr", "ip_vs_wrr", "ip_vs_lc", "ip_vs_wlc", "ip_vs_sh", "ip_vs_mh", "fou",
}

// Main runs the named part of a lab in the folder dir and returns the exit code. It is the
// first process of a PID namespace or of a guest, so it also collects orphans.
func Main(ctx context.Context, stage, dir string) int {
	log := slog.New(slog.NewTextHandler(os.Stderr, nil))
	var err error
	switch {
	case stage == StageForge:
		err = runForge(ctx, dir, log)
	case os.Getpid() != 1:
		err = errors.New("only `hareconcile lab up` starts this")
	case stage == StageInit:
		err = runInit(ctx, dir, log)
	case stage == StageGuest:
		if err = runGuest(ctx, dir, log); err != nil {
			log.Error("guest ended", "err", err)
		}
		uml.Halt()
	default:
		err = fmt.Errorf("the lab has no part %q", stage)
	}
	if err != nil {
		log.Error("lab ended", "err", err)
		return 1
	}
	return 0
}

// runInit is the lab's process on a real host: the daemon itself, or what boots the guest
// and passes connections on to it.
func runInit(ctx context.Context, dir string, log *slog.Logger) error {
	cfg, err := readConfig(dir)
	if err != nil {
		return err
	}
	if err := isolate(dir, cfg.UML); err != nil {
		return err
	}
	l, err := net.Listen("unix", filepath.Join(dir, socketName))
	if err != nil {
		return fmt.Errorf("listen for requests: %w", err)
	}
	if cfg.UML {
		return runRelay(ctx, cfg, l, log)
	}
	if err := loopbackUp(); err != nil {
		return err
	}
	return runDaemon(ctx, cfg, l, log)
}

// spawn starts the lab's first process in a PID and mount namespace and a network of its
// own, detached from the caller's terminal.
func spawn(cfg config) (*exec.Cmd, error) {
	out, err := os.OpenFile(filepath.Join(cfg.Dir, logName), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return nil, err
	}
	defer out.Close()
	cmd := exec.Command(filepath.Join(cfg.Bin, "hareconcile"), "internal", StageInit, cfg.Dir)
	cmd.Dir = "/"
	cmd.Env = []string{"PATH=" + systemPath, "HOME=/root", "TMPDIR=" + filepath.Join(cfg.Dir, guestFolder)}
	cmd.Stdout, cmd.Stderr = out, out
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Setsid:     true,
		Cloneflags: unix.CLONE_NEWPID | unix.CLONE_NEWNS | unix.CLONE_NEWNET | unix.CLONE_NEWIPC | unix.CLONE_NEWUTS,
	}
	return cmd, cmd.Start()
}
