package notify

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/hareconcile/hareconcile/internal/event"
	"github.com/hareconcile/hareconcile/internal/spawn"
	"github.com/hareconcile/hareconcile/internal/spec"
)

// grace is how long a program that takes too long may clean up after itself.
const grace = time.Second

// maxSaid is how much of what a program says is kept, in bytes.
const maxSaid = 1 << 10

// A program is what an exec block runs.
type program struct {
	block spec.NotifyExec
	o     Options
}

// tell runs the program for one event.
func (p *program) tell(ctx context.Context, events []event.Event) error {
	if !p.o.AllowExec {
		return fmt.Errorf("this host runs no programs for a repository: agent.hcl has no plugins { allow_exec = true }; %w", errNever)
	}
	path, err := spawn.Program(p.block.Command[0])
	if err != nil {
		return err
	}
	who, err := spawn.AccountFor(p.o.User)
	if err != nil {
		return err
	}
	cmd := exec.Command(path, append(append([]string(nil), p.block.Command[1:]...), arguments(events[0])...)...)
	cmd.Env = append([]string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin"}, environment(events[0])...)
	cmd.Dir = "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL, Credential: who.Credential()}
	ctx, cancel := context.WithTimeout(ctx, p.block.Timeout)
	defer cancel()
	said, err := spawn.Run(ctx, cmd, maxSaid, grace)
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("%s took longer than %v", path, p.block.Timeout)
	case err != nil:
		return err
	case !cmd.ProcessState.Success():
		return fmt.Errorf("%s: %v: %.200q", path, cmd.ProcessState, said)
	}
	return nil
}

// arguments are what a program is called with after its own: for a transition those of
// keepalived's notify scripts.
func arguments(e event.Event) []string {
	if e.Kind == event.VRRPTransition {
		return []string{"INSTANCE", strings.TrimPrefix(e.Subject, "vrrp_instance."), e.To, strconv.Itoa(e.Priority)}
	}
	return []string{string(e.Kind), e.Subject, e.To}
}

func environment(e event.Event) []string {
	return []string{
		"HARECONCILE_EVENT=" + string(e.Kind), "HARECONCILE_NODE=" + e.Node, "HARECONCILE_CLUSTER=" + e.Cluster,
		"HARECONCILE_SUBJECT=" + e.Subject, "HARECONCILE_FROM=" + e.From, "HARECONCILE_TO=" + e.To,
		"HARECONCILE_REVISION=" + e.Revision, "HARECONCILE_REASON=" + e.Reason,
		"HARECONCILE_SEQ=" + strconv.FormatUint(e.Seq, 10), "HARECONCILE_TIME=" + e.Time.Format(time.RFC3339Nano),
	}
}
