package jail

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/hareconcile/hareconcile/internal/spawn"
)

// self is the running program, also after its file was replaced by an upgrade. It must be
// executable by nobody, as installed programs are.
const self = "/proc/self/exe"

// passedOn are the variables that a child with network needs to find its way out.
var passedOn = []string{
	"HTTPS_PROXY", "https_proxy", "NO_PROXY", "no_proxy", "ALL_PROXY", "all_proxy", "SSL_CERT_FILE", "SSL_CERT_DIR",
}

var errWall = errors.New("out of time")

// Run executes the program's own stage in a child within l, sends it in as JSON and reads its
// result into out. The child's own error comes back with its text; a child that did not
// finish gives a *DeathError.
func Run(ctx context.Context, stage string, l Limits, in, out any) error {
	l = l.withDefaults()
	input, err := json.Marshal(in)
	if err != nil {
		return fmt.Errorf("%s: write input: %w", stage, err)
	}
	if len(input) > maxMessage {
		return fmt.Errorf("%s: input of %d bytes is longer than %d", stage, len(input), maxMessage)
	}
	wall, cancel := context.WithTimeoutCause(ctx, l.Wall, errWall)
	defer cancel()
	c := child{stage: stage, limits: l, input: input, stdout: limitedBuffer{cancel: cancel}}
	spawn.OnOwnThread(func() { err = c.run(wall) })
	switch {
	case ctx.Err() != nil:
		return fmt.Errorf("%s: %w", stage, context.Cause(ctx))
	case c.stdout.full:
		return &DeathError{Stage: stage, Reason: "wrote more than 64 MiB", Last: c.stderr.last}
	case context.Cause(wall) == errWall && err != nil:
		return &DeathError{Stage: stage, Reason: "ran longer than " + l.Wall.String(), Last: c.stderr.last}
	}
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return &DeathError{Stage: stage, Reason: reason(exit.ProcessState, c.stderr.text(), l), Last: c.stderr.last}
	}
	if err != nil {
		return fmt.Errorf("%s: %w", stage, err)
	}
	return decode(stage, c.stdout.buf.Bytes(), out)
}

// A child is one execution of a stage.
type child struct {
	stage  string
	limits Limits
	input  []byte
	stdout limitedBuffer
	stderr lines
}

// childNice is the priority of children (setpriority(2)): a third of the caller's share of
// a processor that both want.
const childNice = 5

// run starts the child with as little as the caller's rights allow to take away, and waits
// for it. It must be called on a thread of its own.
func (c *child) run(ctx context.Context) error {
	log := c.limits.Log.With("stage", c.stage)
	if err := stripThread(); err != nil {
		log.Debug("child keeps its capability bounding set", "err", err)
	}
	// Nothing here is in a hurry, while the caller's checks are.
	if err := unix.Setpriority(unix.PRIO_PROCESS, 0, childNice); err != nil {
		log.Debug("child keeps its caller's priority", "err", err)
	}
	var dir *os.File
	if c.limits.Dir != "" {
		var err error
		if dir, err = os.Open(c.limits.Dir); err != nil {
			return err
		}
		defer func() { _ = dir.Close() }()
	}
	rungs := ladder(c.limits)
	for k, rung := range rungs {
		cmd := c.command(ctx, rung, dir)
		err := cmd.Start()
		if err == nil {
			return cmd.Wait()
		}
		if k == len(rungs)-1 || !denied(err) {
			return fmt.Errorf("start child: %w", err)
		}
		log.Debug("child starts with more rights than it should", "without", rung.lost, "err", err)
	}
	return nil
}

func (c *child) command(ctx context.Context, r rung, dir *os.File) *exec.Cmd {
	cmd := exec.CommandContext(ctx, self, "internal", c.stage)
	cmd.Env = []string{c.limits.env(), "GOTRACEBACK=none", "GOMAXPROCS=2", "LC_ALL=C"}
	if raceEnabled {
		cmd.Env = append(cmd.Env, "GORACE=atexit_sleep_ms=0") // else every child ends a second late
	}
	if c.limits.Network {
		for _, name := range passedOn {
			if v, ok := os.LookupEnv(name); ok {
				cmd.Env = append(cmd.Env, name+"="+v)
			}
		}
	}
	cmd.Dir = "/"
	cmd.Stdin = bytes.NewReader(c.input)
	cmd.Stdout = &c.stdout
	cmd.Stderr = &c.stderr
	if dir != nil {
		cmd.ExtraFiles = []*os.File{dir}
	}
	attr := r.attr
	cmd.SysProcAttr = &attr
	cmd.Cancel = func() error { return unix.Kill(-cmd.Process.Pid, unix.SIGKILL) }
	cmd.WaitDelay = time.Second
	return cmd
}

// denied reports whether a start failed for want of a right or of a kernel feature.
func denied(err error) bool {
	for _, e := range []error{syscall.EPERM, syscall.EACCES, syscall.EINVAL, syscall.ENOSPC} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}
