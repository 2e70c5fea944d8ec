package probe

import (
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
	said, err := spawn.Run(ctx, cmd, answer.MaxLine+1, grace)
	switch {
	case cmd.ProcessState == nil:
		return Outcome{}, own(err)
	case err != nil:
		return Outcome{}, err
	}
	return p.judge(cmd.ProcessState, said)
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
