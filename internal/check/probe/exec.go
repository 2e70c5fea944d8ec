package probe

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/hareconcile/hareconcile/internal/check/answer"
	"github.com/hareconcile/hareconcile/internal/spawn"
	"github.com/hareconcile/hareconcile/internal/spec"
)

// A program is what an exec check runs.
type program struct {
	path    string
	args    []string
	user    string
	dynamic bool
}

// newExec runs a program of this host. It passes with exit status 0, and a dynamic one with
// 2 to 255 too, as keepalived's misc_dynamic.
func newExec(c spec.Check, t Target, o Options) (look, error) {
	switch {
	case c.Exec == nil || len(c.Exec.Command) == 0:
		return nil, errors.New("no program is named")
	case !o.AllowExec:
		return nil, errors.New("this host runs no programs for checks")
	}
	words := strings.NewReplacer(
		"{address}", t.Address.Addr().String(), "{port}", strconv.Itoa(int(t.Address.Port())),
		"{server}", t.Server, "{pool}", t.Pool)
	p := &program{path: c.Exec.Command[0], user: cmp.Or(o.ExecUser, "nobody"), dynamic: c.Dynamic}
	for _, arg := range c.Exec.Command[1:] {
		p.args = append(p.args, words.Replace(arg))
	}
	return p.look, nil
}

// grace is how long a program that takes too long may clean up after itself. The engine
// gives a look half a second more than its timeout.
const grace = 250 * time.Millisecond

func (p *program) look(ctx context.Context) (Outcome, error) {
	path, err := spawn.Program(p.path)
	if err != nil {
		return Outcome{}, own(err)
	}
	who, err := spawn.AccountFor(p.user)
	if err != nil {
		return Outcome{}, own(err)
	}
	cmd := exec.Command(path, p.args...)
	cmd.Env = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin"}
	cmd.Dir = "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL, Credential: who.Credential()}
	said, err := run(ctx, cmd)
	if err != nil {
		return Outcome{}, err
	}
	return p.judge(cmd.ProcessState, said)
}

// run runs cmd on a thread of its own, and returns what it said. The error is of the start
// or of the context.
func run(ctx context.Context, cmd *exec.Cmd) (said string, err error) {
	out, in, err := os.Pipe()
	if err != nil {
		return "", own(err)
	}
	defer func() { _ = out.Close() }() // it was only read
	cmd.Stdout, cmd.Stderr = in, in
	var heard bytes.Buffer
	spawn.OnOwnThread(func() {
		err = spawn.Humble()
		if err == nil {
			err = cmd.Start()
		}
		_ = in.Close() // the child has its own
		if err != nil {
			err = own(fmt.Errorf("start: %w", err))
			return
		}
		read := make(chan struct{}) // closed when nothing more is read
		go func() {
			defer close(read)
			listen(out, &heard)
		}()
		err = end(ctx, cmd)
		// A descendant that left the group may hold the pipe open: nobody waits for it.
		_ = out.SetReadDeadline(time.Now().Add(grace / 10))
		<-read
	})
	return heard.String(), err
}

// listen keeps the beginning of what is said and reads on, so that nobody waits for a
// reader.
func listen(out *os.File, keep *bytes.Buffer) {
	buf := make([]byte, 4<<10)
	for {
		n, err := out.Read(buf)
		keep.Write(buf[:min(n, answer.MaxLine+1-min(keep.Len(), answer.MaxLine+1))])
		if err != nil {
			return
		}
	}
}

// end waits for the program, or ends it and its group with ctx: politely, then not. It
// reaps it when the group is gone, while its id is still its own.
func end(ctx context.Context, cmd *exec.Cmd) error {
	exited := make(chan struct{}) // closed when the program has ended and is not reaped
	go func() {
		defer close(exited)
		spawn.AwaitExit(cmd.Process.Pid)
	}()
	var err error
	select {
	case <-exited:
	case <-ctx.Done():
		err = ctx.Err()
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM) // ends by itself at the same time at worst
		patience := time.NewTimer(grace)
		defer patience.Stop()
		select {
		case <-exited:
		case <-patience.C:
		}
	}
	_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) // the program, or its zombie, keeps the id
	<-exited
	_ = cmd.Wait() // what it says is in cmd.ProcessState
	return err
}

func (p *program) judge(s *os.ProcessState, said string) (Outcome, error) {
	said = answer.Line(said)
	status, _ := s.Sys().(syscall.WaitStatus)
	code := status.ExitStatus()
	switch {
	case status.Signaled():
		return Outcome{}, tell(fmt.Sprintf("killed by signal %d", status.Signal()), said)
	case code == 0:
		return Outcome{Message: cmp.Or(said, "exit status 0")}, nil
	case p.dynamic && code >= 2:
		return Outcome{Message: fmt.Sprintf("weight %d", code-2), Weight: code - 2, HasWeight: true}, nil
	}
	return Outcome{}, tell(fmt.Sprintf("exit status %d", code), said)
}

func tell(what, said string) error {
	if said != "" {
		what += ": " + said
	}
	return errors.New(what)
}
