package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"time"

	"github.com/hareconcile/hareconcile/internal/check/answer"
	"github.com/hareconcile/hareconcile/internal/spawn"
	"github.com/hareconcile/hareconcile/plugins/sdk"
)

// The codes of results.
const (
	codeStatus  = "EXIT_STATUS"
	codeSignal  = "SIGNAL"
	codeTimeout = "TIMEOUT"
)

// grace is how long a program that takes too long may clean up after itself. The answer
// does not wait for it.
const grace = 250 * time.Millisecond

// A script is a program that is run again and again, never twice at once.
type script struct {
	command   []string
	timeout   time.Duration // 0 is whatever the host allows
	onTimeout sdk.Status
	slots     chan struct{} // of all scripts
	turn      chan struct{} // holds one while the program runs, until nothing of it is left
	life      context.Context
	end       context.CancelFunc // of life
}

// A ran is how a run ended.
type ran struct {
	state *os.ProcessState // nil if it was not started
	said  string
	took  time.Duration
	err   error
}

// Check runs the program. Only its exit status, or its taking too long, is a verdict;
// a program that may not or cannot be run says nothing about the node.
func (s *script) Check(ctx context.Context) (sdk.Result, error) {
	if !take(ctx, s.turn) {
		if s.life.Err() != nil {
			return sdk.Result{}, errors.New("the tracker was removed")
		}
		return s.late(ctx, "the run before, which took too long, cannot be ended")
	}
	if !take(ctx, s.slots) {
		<-s.turn
		return sdk.Result{}, fmt.Errorf("%d programs of other trackers were running all the time", cap(s.slots))
	}
	limited, cancel := s.limit(ctx)
	done := make(chan ran, 1) // how a run ended that nobody waits for is dropped
	go func() {
		defer func() { cancel(); <-s.slots; <-s.turn }()
		done <- s.run(limited)
	}()
	select {
	case r := <-done:
		return s.judge(limited, r)
	case <-limited.Done():
	}
	select {
	case r := <-done: // both at once
		return s.judge(limited, r)
	default:
		return s.late(limited, "did not end in time")
	}
}

// limit returns the context in which the program runs: until its timeout, the check's
// deadline or the end of the script.
func (s *script) limit(ctx context.Context) (context.Context, func()) {
	out, cancel := context.WithCancel(ctx)
	if s.timeout > 0 {
		out, cancel = context.WithTimeout(ctx, s.timeout)
	}
	stop := context.AfterFunc(s.life, cancel)
	return out, func() { stop(); cancel() }
}

// take puts one into a channel that has room, before ctx ends.
func take(ctx context.Context, room chan struct{}) bool {
	select {
	case room <- struct{}{}:
		return true
	case <-ctx.Done():
		return false
	}
}

// run runs the program in its own process group, without the agent's environment. What is
// judged now is what runs, whatever is at its path a moment later; only a script has to be
// found again by its interpreter, and nobody but those who may can have changed the way to it.
func (s *script) run(ctx context.Context) ran {
	program, err := spawn.OpenProgram(s.command[0])
	if err != nil {
		return ran{err: err}
	}
	defer func() { _ = program.File.Close() }() // nothing was written
	cmd := exec.Command(program.Path, s.command[1:]...)
	if !program.Script {
		cmd.Path, cmd.ExtraFiles = "/proc/self/fd/3", []*os.File{program.File}
	}
	cmd.Args[0] = s.command[0] // some programs are what they are called, as busybox is
	cmd.Env = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin"}
	cmd.Dir = "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	begin := time.Now()
	said, err := spawn.Run(ctx, cmd, answer.MaxLine+1, grace)
	if cmd.ProcessState == nil && err != nil {
		err = fmt.Errorf("%s: %w", s.command[0], err)
	}
	return ran{cmd.ProcessState, answer.Line(said), time.Since(begin), err}
}

// judge says what the end of a run means. As in keepalived, 0 is up, and any other status
// and any signal is down; what that does to the priority is said by whoever uses the tracker.
func (s *script) judge(ctx context.Context, r ran) (sdk.Result, error) {
	switch {
	case r.state == nil:
		return sdk.Result{}, r.err
	case r.err != nil:
		return s.late(ctx, "did not end in time")
	}
	status, _ := r.state.Sys().(syscall.WaitStatus)
	out := sdk.Result{Status: sdk.Fail, Metrics: map[string]float64{"took_seconds": r.took.Seconds()}}
	switch code := status.ExitStatus(); {
	case status.Signaled():
		out.Code, out.Detail = codeSignal, fmt.Sprintf("killed by signal %d", status.Signal())
	case code != 0:
		out.Code, out.Detail = codeStatus, fmt.Sprintf("exit status %d", code)
		out.Metrics["exit_status"] = float64(code)
	default:
		out.Status, out.Detail = sdk.Pass, cmp.Or(r.said, "exit status 0")
		out.Metrics["exit_status"] = 0
		return out, nil
	}
	if r.said != "" {
		out.Detail += ": " + r.said
	}
	return out, nil
}

// busy is how long after a deadline the program can still be blamed.
const busy = 500 * time.Millisecond

// late says what it means that ctx ended first. Long after its deadline this process was not
// running itself, after SIGSTOP for instance, and the program may well have ended in time.
func (s *script) late(ctx context.Context, what string) (sdk.Result, error) {
	if errors.Is(ctx.Err(), context.Canceled) {
		return sdk.Result{}, ctx.Err()
	}
	if d, ok := ctx.Deadline(); ok && time.Since(d) > busy {
		return sdk.Result{}, fmt.Errorf("could not look in time: this host was busy or stopped for %v", time.Since(d).Round(time.Millisecond))
	}
	return sdk.Result{Status: s.onTimeout, Code: codeTimeout, Detail: what}, nil
}

// Close ends the program if it runs, and waits until nothing of it is left.
func (s *script) Close() error {
	if s.life.Err() == nil {
		s.end()
		s.turn <- struct{}{} // nobody else's from now on
	}
	return nil
}
