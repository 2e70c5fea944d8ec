package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"text/tabwriter"
	"time"

	"golang.org/x/term"

	"github.com/hareconcile/hareconcile/internal/lab"
)

// labExec runs a command on a host with this program's streams, signals and exit code.
func labExec(ctx context.Context, e *env, args []string) error {
	c, rest, err := labTarget(e, "exec", args, 2, len(args)+2)
	if err != nil {
		return err
	}
	wd, err := os.Getwd()
	if err != nil {
		wd = "/"
	}
	signals := make(chan os.Signal, 4) // a person's Ctrl-C, repeated
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGQUIT)
	defer signal.Stop(signals)
	x := lab.Command{
		Host: rest[0], Argv: rest[1:], Env: os.Environ(), Dir: wd,
		Stdin: e.stdin, Stdout: e.stdout, Stderr: e.stderr, Signals: signals,
	}
	restore := func() {}
	if e.terminal && term.IsTerminal(int(os.Stdout.Fd())) {
		if restore, err = labTerminal(&x); err != nil {
			return err
		}
	}
	// A signal is for the command, which decides what to do about it; so ctx must not end with one.
	code, err := c.Exec(context.WithoutCancel(ctx), x)
	restore()
	if err != nil {
		if code != 0 {
			return &codeError{code, err}
		}
		return err
	}
	if code != 0 {
		return &codeError{code, errSaid}
	}
	return nil
}

// labTerminal gives the command a terminal like ours, and ours to the command.
func labTerminal(x *lab.Command) (restore func(), err error) {
	in := int(os.Stdin.Fd())
	cols, rows, err := term.GetSize(in)
	if err != nil {
		return nil, fmt.Errorf("ask the terminal for its size: %w", err)
	}
	old, err := term.MakeRaw(in)
	if err != nil {
		return nil, fmt.Errorf("set up the terminal: %w", err)
	}
	x.TTY, x.Rows, x.Cols = true, uint16(rows), uint16(cols)
	changed := make(chan os.Signal, 1) // only the last size matters
	sizes := make(chan [2]uint16)
	done := make(chan struct{})
	signal.Notify(changed, syscall.SIGWINCH)
	x.Resizes = sizes
	go func() {
		for {
			select {
			case <-changed:
			case <-done:
				return
			}
			if cols, rows, err := term.GetSize(in); err == nil {
				select {
				case sizes <- [2]uint16{uint16(rows), uint16(cols)}:
				case <-done:
					return
				}
			}
		}
	}()
	return func() {
		signal.Stop(changed)
		close(done)
		_ = term.Restore(in, old)
	}, nil
}

// labTarget parses "[-lab DIR] ARG..." and opens the lab. In what it returns the "--"
// between a host and its command is gone.
func labTarget(e *env, verb string, args []string, least, most int) (*lab.Client, []string, error) {
	dir := ""
	define := func(fs *flag.FlagSet) { fs.StringVar(&dir, "lab", "", "") }
	// Flags end at the host's name: what follows belongs to the command.
	own, rest := args, []string(nil)
	for k := 0; k < len(args); k++ {
		if !strings.HasPrefix(args[k], "-") {
			own, rest = args[:k], args[k:]
			break
		}
		if name := strings.TrimLeft(args[k], "-"); name == "lab" {
			k++
		}
	}
	if _, err := labFlags(e, verb, own, 0, 0, define); err != nil {
		return nil, nil, err
	}
	if len(rest) > 1 && rest[1] == "--" {
		rest = append([]string{rest[0]}, rest[2:]...)
	}
	if len(rest) < least || len(rest) > most {
		_, err := labFlags(e, verb, nil, 1, 1, nil) // says how it is used
		return nil, nil, err
	}
	c, err := openLab(dir)
	return c, rest, err
}

func labStart(ctx context.Context, e *env, args []string) error {
	return onService(e, "start", args, func(c *lab.Client, host, service string) error {
		return c.Start(ctx, host, service)
	})
}

func labStop(ctx context.Context, e *env, args []string) error {
	return onService(e, "stop", args, func(c *lab.Client, host, service string) error {
		return c.Stop(ctx, host, service)
	})
}

func labKill(ctx context.Context, e *env, args []string) error {
	return onService(e, "kill", args, func(c *lab.Client, host, service string) error {
		return c.Kill(ctx, host, service, syscall.SIGKILL)
	})
}

func onService(e *env, verb string, args []string, do func(c *lab.Client, host, service string) error) error {
	c, rest, err := labTarget(e, verb, args, 2, 2)
	if err != nil {
		return err
	}
	return do(c, rest[0], rest[1])
}

func labCut(ctx context.Context, e *env, args []string) error {
	c, rest, err := labTarget(e, "cut", args, 1, 1)
	if err != nil {
		return err
	}
	return c.Cut(ctx, rest[0])
}

func labMend(ctx context.Context, e *env, args []string) error {
	c, rest, err := labTarget(e, "mend", args, 1, 1)
	if err != nil {
		return err
	}
	return c.Mend(ctx, rest[0])
}

func labStatus(ctx context.Context, e *env, args []string) error {
	asJSON := false
	fs, err := labFlags(e, "status", args, 0, 1, func(fs *flag.FlagSet) { fs.BoolVar(&asJSON, "json", false, "") })
	if err != nil {
		return err
	}
	c, err := openLab(fs.Arg(0))
	if err != nil {
		return err
	}
	s, err := c.Status(ctx)
	if err != nil {
		return err
	}
	if asJSON {
		return writeJSON(e.stdout, s)
	}
	kernel := "this machine's kernel"
	if s.UML {
		kernel = "User-Mode Linux"
	}
	fmt.Fprintf(e.stdout, "lab %s in %s\nrepository %s\nlogs       %s/log\n\n", s.Name, kernel, s.Repository, s.Dir)
	w := tabwriter.NewWriter(e.stdout, 0, 8, 2, ' ', 0)
	fmt.Fprintln(w, "HOST\tADDRESS\tSERVICE\tSTATE\tSINCE\tPID\tRESTARTS\tLAST END")
	for _, h := range s.Hosts {
		writeLabHost(w, h)
	}
	return w.Flush()
}

func writeLabHost(w *tabwriter.Writer, h lab.HostStatus) {
	address := strings.Join(h.Addresses, " ")
	if h.Cut {
		address += " (cut)"
	}
	if len(h.Services) == 0 {
		fmt.Fprintf(w, "%s\t%s\t-\t\t\t\t\t\n", h.Name, address)
	}
	for k, v := range h.Services {
		name := h.Name
		if k > 0 {
			name, address = "", ""
		}
		pid := "-"
		if v.PID != 0 {
			pid = strconv.Itoa(v.PID)
		}
		since := time.Since(v.Since).Round(time.Second)
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%d\t%s\n", name, address, v.Name, v.State, since, pid, v.Restarts, v.Last)
	}
}
